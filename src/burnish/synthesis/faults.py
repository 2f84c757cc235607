"""What it means when a service gives no completion: try again, ask otherwise, never ask this again, or stop."""

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import openai

from burnish.errors import InputError, UnfinishedError
from burnish.synthesis import limits
from burnish.synthesis.service import KEY_VARIABLE

Kind = Literal["passing", "output", "limit", "refused", "question", "final"]

_PASSING = frozenset({408, 409, 424, 425, 429})  # 424: TGI, when the model fails
_ABOUT_THE_REQUEST = frozenset({400, 413, 422})
_PERHAPS_COMPUTED = frozenset({0, 200, 408, 504, 524})  # 0: cut off or too late; 504, 524: too late for a proxy
_NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_FILTERED = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})
_OUTPUT = re.compile(r"response_format|json_schema|json_object|structured output|guided|grammar", re.IGNORECASE)
_LIMIT = re.compile(r"max_(completion_)?tokens")
_UNKNOWN = re.compile(r"unsupported|not supported|unrecognized|unknown|unexpected|not permitted|extra", re.IGNORECASE)
_EFFORT = re.compile(r"reasoning_effort|does not support thinking")  # the latter: Ollama
_KNOBS = frozenset({"model", "temperature", "reasoning_effort"})  # parameters that are the same for every question
_NO_CONNECTION = frozenset({"ConnectError", "ConnectTimeout"})  # by name: which HTTP library it uses is the client's affair
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class Fault:
    """Why there is no completion.

    Attributes:
        kind: passing (another try may succeed); output, limit (the server does not know this shape of output, or this name
            of the cap on it); refused, question (it will not answer this question, now or later); final (it will
            answer none as things stand).
        words: what is told of it: the status, and the service's code where that is one plain word. Never its message,
            which may repeat the key.
        status: the HTTP status, 0 where there was none.
        knob: of a final fault, the knob that the service does not take.
        retry_after: the seconds that the service asked to wait.
        unreachable: whether there was no connection at all, so that no question can be what the service failed at.
    """

    kind: Kind
    words: str
    status: int = 0
    knob: str = ""
    retry_after: float | None = None
    unreachable: bool = False

    @property
    def may_cost(self) -> bool:
        """Whether the service may have computed, and charged, an answer that did not come."""
        return self.kind == "passing" and not self.unreachable and self.status in _PERHAPS_COMPUTED

    @property
    def of_the_service(self) -> bool:
        """Whether it would have met any other question too: nobody is there, or the service is too busy."""
        return self.unreachable or self.status in {429, 503}

    def pause(self, tries: int) -> float:
        """Seconds to wait before another try: as long as the service asks, else by the number of failures.

        Raises:
            UnfinishedError: the service asks for longer than a run should wait.
        """
        asked = self.retry_after or 0
        if asked > limits.LONGEST_RETRY_AFTER:
            raise UnfinishedError(
                f"synthesize: the service asks to wait {math.ceil(asked / 60)} minutes ({self.words}); every reply "
                "so far is kept: run the same command again then, which asks only for the rest"
            )
        return asked * random.uniform(1, 1.1) or limits.back_off(tries)

    def error(self) -> InputError | UnfinishedError:
        """What the user is told when asking stops for it."""
        if self.knob:
            return InputError(
                f"synthesize: the service does not take synthesize.{self.knob} as it is set ({self.words}); change it"
            )
        if self.status in {401, 403}:
            return InputError(f"synthesize: the service refused the key in {KEY_VARIABLE} ({self.words}); set another")
        if self.status == 404:
            return InputError(
                f"synthesize: the service knows no such model or address ({self.words}); check synthesize.model and "
                "synthesize.service.base_url"
            )
        if self.kind == "output":
            return InputError(
                f"synthesize: the service does not know the output that synthesize.service.output asks for ({self.words}); "
                "set it to json_object or text"
            )
        if self.kind == "limit":
            return InputError(f"synthesize: the service knows no cap on a reply's tokens by its usual names ({self.words})")
        if not self.status:
            return UnfinishedError(
                f"synthesize: the service did not answer ({self.words}); every reply so far is kept: check "
                "synthesize.service.base_url and the network, then run the same command again, which asks only for the rest"
            )
        if self.kind == "final":
            return UnfinishedError(
                f"synthesize: the service takes no request ({self.words}); every reply so far is kept: see to your credit "
                "and limits there, then run the same command again, which asks only for the rest"
            )
        return UnfinishedError(
            f"synthesize: the service still gave {self.words} after all retries; every reply so far is kept: run the same "
            "command again later, or lower synthesize.service.concurrency or requests_per_minute"
        )


def fault(status: int, body: object) -> Fault:
    """What an answer of `status`, 400 or more, means.

    >>> fault(429, {"error": {"code": "insufficient_quota"}}).kind, fault(503, "<html>").kind
    ('final', 'passing')
    >>> fault(400, {"error": {"param": "response_format", "message": "This model has none."}}).kind
    'output'
    >>> too_long = fault(400, {"error": {"code": "context_length_exceeded", "param": "messages"}})
    >>> too_long.kind, too_long.words
    ('question', 'HTTP 400, context_length_exceeded')
    """
    told = _told(body)
    code, param = str(told.get("code") or ""), str(told.get("param") or "")
    message = str(told.get("message") or told.get("detail") or "")  # detail: servers made with FastAPI
    words = f"HTTP {status}, {code}" if _WORD.fullmatch(code) and code != str(status) else f"HTTP {status}"
    if status == 402 or code in _NO_CREDIT:
        return Fault("final", words, status)
    if status in _PASSING or status >= 500:
        return Fault("passing", words, status)
    if status not in _ABOUT_THE_REQUEST:
        return Fault("final", words, status)
    if code in _FILTERED:
        return Fault("refused", words, status)
    if _OUTPUT.search(f"{param} {message[:1000]}"):
        return Fault("output", words, status)
    if _LIMIT.search(f"{param} {message[:1000]}") and _UNKNOWN.search(f"{code} {message[:1000]}"):
        return Fault("limit", words, status)
    if param in _KNOBS:
        return Fault("final", words, status, param)
    if _EFFORT.search(message[:1000]):
        return Fault("final", words, status, "reasoning_effort")
    return Fault("question", words, status)


def answered(error: openai.APIStatusError) -> Fault:
    """What an answer means that openai's client raised, with the wait that it asks for."""
    seconds = limits.retry_after(error.response.headers, datetime.now(UTC))
    return replace(fault(error.status_code, error.body), retry_after=seconds)


def broken(error: openai.APIError) -> Fault:
    """What it means that openai's client got no answer: no connection, or one that broke before the answer was whole."""
    return Fault("passing", type(error).__name__, unreachable=type(error.__cause__).__name__ in _NO_CONNECTION)


def _told(body: object) -> Mapping[str, object]:
    """The object that describes an error: OpenAI's and most others' `error`, or the body itself."""
    if not isinstance(body, Mapping):
        return {"message": body}
    inner = body.get("error", body)
    return inner if isinstance(inner, Mapping) else {"message": inner}
