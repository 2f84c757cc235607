"""A chat completion as data: what is sent for a question, in which shape of output, and the reply in what comes back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from burnish.synthesis.faults import Fault
from burnish.synthesis.prompt import Question
from burnish.synthesis.replies import Reply, Status
from burnish.synthesis.service import Service

_OUTPUTS = ("json_schema", "json_object", "text")  # the strictest first
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]+")

# What a server gives now and then, with status 200, where its model or a proxy before it failed; and what only a wrong address gives.
NONE = Fault("passing", "HTTP 200 without a chat completion", 200)
NO_SERVICE = Fault("final", "what came back is no chat completion")


@dataclass(frozen=True)
class Dialect:
    """How a server wants to be asked: the shape of output, and the name that it gives to the cap on output.

    OpenAI's servers know `max_completion_tokens` alone, many others only the older `max_tokens`.
    """

    output: str
    limit: str

    @classmethod
    def first(cls, service: Service, one: Question) -> "Dialect":
        """What is tried first for a question; without a schema `auto` asks for free text."""
        output = service.output
        if output == "json_schema" and one.schema is None:
            output = "text"
        if output == "auto":
            output = "json_schema" if one.schema is not None else "text"
        own = (urlsplit(service.address).hostname or "").endswith("openai.com")
        return cls(output, "max_completion_tokens" if own else "max_tokens")

    def looser(self) -> "Dialect | None":
        """The next shape of output, if there is one.

        >>> Dialect("json_schema", "max_tokens").looser()
        Dialect(output='json_object', limit='max_tokens')
        >>> Dialect("text", "max_tokens").looser()
        """
        at = _OUTPUTS.index(self.output) + 1
        return replace(self, output=_OUTPUTS[at]) if at < len(_OUTPUTS) else None

    def renamed(self) -> "Dialect":
        """The same with the other name of the cap on output."""
        return replace(self, limit=_LIMITS[self.limit])


def body(one: Question, dialect: Dialect) -> dict[str, Any]:
    """The JSON that is sent for a question."""
    parameters = one.request["parameters"]
    sent = {
        "model": one.request["model"],
        "messages": [{"role": "user", "content": one.message}],
        "temperature": parameters["temperature"],
        dialect.limit: parameters["max_output_tokens"],
    }
    if effort := parameters.get("reasoning_effort"):
        sent["reasoning_effort"] = effort
    if dialect.output == "json_object":
        sent["response_format"] = {"type": "json_object"}
    elif dialect.output == "json_schema" and one.schema is not None:
        name = _NO_NAME.sub("_", str(one.schema.get("title", "reply")))[:64]
        sent["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": name, "strict": True, "schema": dict(one.schema)},
        }
    return sent


def reply(request: dict[str, Any], completion: Mapping[str, Any]) -> Reply:
    """The first choice of a chat completion, as the reply to `request`.

    Raises:
        KeyError, TypeError, IndexError, AttributeError: it lacks the shape of one.
    """
    choice = completion["choices"][0]
    message, finish = choice["message"], choice.get("finish_reason")
    written = (message.get("content") or "").encode("utf-8", "replace").decode()
    status: Status = "ok" if written.strip() else "empty"
    if finish == "length":
        status = "truncated"
    if message.get("refusal") or finish == "content_filter":
        status = "refused"
    return Reply(request, status, written, _usage(completion.get("usage")))


def never(request: dict[str, Any], found: Fault) -> Reply:
    """The reply to a request that the service will not serve, now or later."""
    return Reply(request, "refused" if found.kind == "refused" else "failed-permanently", found.words)


def _usage(told: object) -> dict[str, int] | None:
    """The tokens that were paid for; a server that tells them otherwise, or not at all, costs no reply."""
    if not isinstance(told, Mapping):
        return None
    counts = {"input": told.get("prompt_tokens"), "output": told.get("completion_tokens")}
    known = {name: count for name, count in counts.items() if isinstance(count, int) and count >= 0}
    return known if len(known) == len(counts) else None
