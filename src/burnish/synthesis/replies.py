"""The reply store: what a language model answered, kept for good and never asked for twice."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from burnish.synthesis import shards
from burnish.synthesis.shards import Repaired, Writer

Status = Literal["ok", "refused", "empty", "truncated", "malformed", "off-language", "failed-permanently"]
STATUSES: tuple[Status, ...] = get_args(Status)

_PLACE = ("document_id", "ordinal")  # where an excerpt stood: kept to find it again, but the model was not told


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer and what decided it.

    Attributes:
        request: model, prompt (file and sha256), excerpt and messages (sha256), parameters, document_id, ordinal.
        status: what became of the request; only "ok" holds queries.
        text: what the model wrote, as it came.
        usage: the tokens that were paid for, where the server told.
    """

    request: dict[str, Any]
    status: Status
    text: str
    usage: dict[str, int] | None = None

    @property
    def key(self) -> str:
        """The sha256 of everything that decides the reply."""
        return key(self.request)


def key(request: dict[str, Any]) -> str:
    """The sha256 of what decides a reply: all of its request but the excerpt's place and the prompt file's name.

    >>> asked = {"model": "m", "prompt": {"file": "a.txt", "sha256": "0"}, "document_id": "d", "ordinal": 0}
    >>> key(asked) == key({**asked, "document_id": "e", "prompt": {"file": "b.txt", "sha256": "0"}})
    True
    >>> key(asked) == key({**asked, "model": "n"})
    False
    """
    deciding = {name: value for name, value in request.items() if name not in _PLACE}
    deciding["prompt"] = request["prompt"]["sha256"]
    return _sha256(deciding)


class ReplyStore:
    """An append-only folder of replies, safe for any number of processes and threads at once.

    Each process appends to a shard of its own (`shards`), synced after every line: a reply that was paid for outlives
    `kill -9`. A line that does not match its checksum is told in `damaged`; its neighbours are kept.

    Every line is held in memory, 0.8 GB for a million replies of 600 bytes.

    Attributes:
        damaged: the shards that have lost lines, by name.
    """

    def __init__(self, folder: Path) -> None:
        """Read what `folder` holds; it need not be there before the first `put`, and reading changes nothing in it."""
        self._folder = folder
        self._found: dict[str, bytes] = {}
        self._writer: Writer | None = None
        self._lock = threading.Lock()
        self.damaged = shards.taken(folder, _parsed, self._keep)

    def refresh(self) -> bool:
        """Read again what other processes may have kept meanwhile; whether anything is new. A million replies take a minute."""
        before = len(self), self.damaged
        self.damaged = shards.taken(self._folder, _parsed, self._keep)
        return (len(self), self.damaged) != before

    def get(self, wanted: str) -> Reply | None:
        """The reply with this key, if there is one."""
        found = self._found.get(wanted)
        return None if found is None else _reply(json.loads(found))

    def __iter__(self) -> Iterator[Reply]:
        """Every reply, in the order of keys, whatever shards they lie in."""
        return (_reply(json.loads(self._found[one])) for one in sorted(self._found))

    def __len__(self) -> int:
        """The number of replies."""
        return len(self._found)

    def put(self, reply: Reply) -> None:
        """Keep `reply`; when this returns it is on disk."""
        with self._lock:
            if self._writer is None:
                shards.adopt(self._folder, _parsed)
                self._writer = Writer(self._folder)
            written = line(reply)
            self._writer.append(written)
            self._keep(written, reply)

    def close(self) -> None:
        """Give this process's shard its lasting name."""
        if self._writer:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the store, whatever happened: what it holds was paid for."""
        self.close()

    def _keep(self, written: bytes, reply: Reply) -> None:
        """Of two replies with one key keep the better, then the smaller: no order of shards decides it."""
        if self._found.get(reply.key) == written:
            return
        standing = self.get(reply.key)
        if standing is None or _rank(reply) < _rank(standing):
            self._found[reply.key] = written


def repair(folder: Path) -> dict[str, Repaired]:
    """Close what killed processes left open in the store `folder`, rewrite the sound replies of each damaged shard, and put the
    damaged file aside.

    Returns:
        What was kept, what was lost and where the damaged file lies now, by the shard's name; empty where all is whole.
    """
    shards.adopt(folder, _parsed)
    return shards.repair(folder, _parsed)


def forget(folder: Path, status: Status) -> int:
    """Take the replies of `status` out of the store `folder`, so that they are asked for again; how many those were.

    The files that held them are put aside. A copy of the store that is merged later brings them back.
    """
    shards.adopt(folder, _parsed)
    return shards.forget(folder, _parsed, lambda reply: reply.status == status)


def line(reply: Reply) -> bytes:
    """`reply` as a line of a shard: canonical JSON with the checksum of the rest."""
    body = _body(reply)
    return _canonical({**body, "sha256": _sha256(body)}) + b"\n"


def _body(reply: Reply) -> dict[str, Any]:
    answer = {"status": reply.status, "text": reply.text, "usage": reply.usage}
    return {"key": reply.key, "request": reply.request, "reply": answer}


def _parsed(one: bytes) -> Reply | None:
    """The reply on a line, or nothing where the line is not what `line` would write of it."""
    try:
        body = json.loads(one)
        reply = _reply(body)
        whole = body["sha256"] == _sha256(_body(reply))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return reply if whole and reply.status in STATUSES and isinstance(reply.text, str) else None


def _reply(body: dict[str, Any]) -> Reply:
    answer = body["reply"]
    return Reply(body["request"], answer["status"], answer["text"], answer["usage"])


def _rank(reply: Reply) -> tuple[bool, str]:
    return reply.status != "ok", _sha256(_body(reply))


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _sha256(value: object) -> str:
    return hashlib.sha256(_canonical(value)).hexdigest()
