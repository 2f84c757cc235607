"""The service that is asked: a server that speaks OpenAI's chat completions, and how hard it may be pressed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from burnish.compute import Cluster
from burnish.errors import InputError

KEY_VARIABLE = "OPENAI_API_KEY"  # the only way in for a key: no knob, file, log line or metric ever holds it

Output = Literal["auto", "json_schema", "json_object", "text"]
Mode = Literal["requests", "batch"]

_OWN_URL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Service:
    """A server, the shape of output that it is asked for, and how hard it may be pressed.

    Attributes:
        base_url: empty for OpenAI's own.
        timeout_seconds: how long a request may take, from its first byte out to its last byte in, before it is tried again.
        concurrency: how many requests are under way at once.
        retries: how often a request is tried again on 429, 5xx, a broken connection or no answer in time.
        requests_per_minute: 0 is unlimited.
        tokens_per_minute: of input and output together; 0 is unlimited.
        output: the shape that replies are asked for; auto takes the strictest that the server knows.
        mode: one request for each question, or OpenAI's Batch API.
        store: the folder of the reply store, below which batches under way are written down; needed by mode batch alone.
        cluster: whose machines send the requests of mode requests; None: this one.
    """

    base_url: str
    timeout_seconds: float
    concurrency: int
    retries: int = 5
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    output: Output = "auto"
    mode: Mode = "requests"
    store: Path | None = None
    cluster: Cluster | None = None

    @property
    def address(self) -> str:
        """The base URL, OpenAI's own included."""
        return self.base_url or _OWN_URL

    def options(self) -> dict[str, Any]:
        """What a client of the `openai` package is made with.

        Raises:
            InputError: the environment holds no key, or one that no header can carry.
        """
        key = os.environ.get(KEY_VARIABLE, "")
        if not key:
            raise InputError(
                f"synthesize.provider openai: expected a key in the environment variable {KEY_VARIABLE}, found none; "
                "a server of your own takes any word"
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise InputError(f"{KEY_VARIABLE}: expected a key without spaces or line breaks, found some; set it again")
        return {"api_key": key, "base_url": self.address, "timeout": self.timeout_seconds}


@dataclass(frozen=True)
class Traffic:
    """What asking took.

    Attributes:
        answered: the questions that got a reply, of whatever status.
        tried_again: requests sent once more, by reason.
        outputs: replies by the shape of output that was asked for.
    """

    answered: int = 0
    tried_again: Mapping[str, int] = field(default_factory=dict)
    outputs: Mapping[str, int] = field(default_factory=dict)

    def told(self) -> str:
        """A line for the user.

        >>> Traffic(3, {"HTTP 429": 2}, {"json_object": 3}).told()
        'asked: 3 replies (3 json_object), 2 tries more (2 HTTP 429)'
        """
        shapes = ", ".join(f"{number} {name}" for name, number in sorted(self.outputs.items()))
        again = ", ".join(f"{number} {why}" for why, number in sorted(self.tried_again.items()))
        more = f", {sum(self.tried_again.values())} tries more ({again})" if again else ""
        return f"asked: {self.answered} replies{f' ({shapes})' if shapes else ''}{more}"
