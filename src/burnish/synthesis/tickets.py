"""Tickets: what is written down of a batch before the service hears of it, so that no crash makes it be paid twice."""

import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from burnish import atomic
from burnish.errors import InputError, UnfinishedError

FOLDER = "batches"  # within a store's


@dataclass(frozen=True)
class Ticket:
    """A batch that was, or was about to be, submitted.

    Attributes:
        mark: what the batch carries as metadata, by which it is found again.
        address: the service that it is at.
        requests: what the replies to it are kept under, by key.
        batch_id: the service's name for it; empty until that is known.
        tokens_in: the most that all its messages can have, which tells what it can cost.
    """

    mark: str
    address: str
    requests: Mapping[str, dict[str, Any]]
    batch_id: str = ""
    tokens_in: int = 0


class Tickets:
    """The tickets in a folder, one file each: read by anyone, written by one process at a time, which enters it."""

    def __init__(self, store: Path, address: str) -> None:
        """The tickets, beside the replies in `store`, of batches at `address`; those of another are left alone."""
        self._folder = store / FOLDER
        self._address = address

    def __enter__(self) -> Self:
        """Take the folder; two processes would submit the same questions twice.

        Raises:
            UnfinishedError: another process has it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise UnfinishedError(
                f"{self._folder}: another process is asking in batches with this store; wait until it has ended, then run again"
            ) from None
        for leftover in self._folder.glob("*.jsonl"):
            leftover.unlink()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def __iter__(self) -> Iterator[Ticket]:
        """Every ticket for this address, by mark.

        Raises:
            InputError: a file is none.
        """
        found = [self._read(path) for path in sorted(self._folder.glob("*.json"))]
        return iter([one for one in found if one.address == self._address])

    def path(self, ticket: Ticket) -> Path:
        """Where a ticket lies."""
        return self._folder / f"{ticket.mark}.json"

    def begun(self, requests: Mapping[str, dict[str, Any]], tokens_in: int) -> Ticket:
        """A new ticket, on disk when this returns."""
        return self._written(Ticket(uuid.uuid4().hex, self._address, requests, tokens_in=tokens_in))

    def named(self, ticket: Ticket, batch_id: str) -> Ticket:
        """The ticket with the service's name for its batch, on disk when this returns."""
        return self._written(replace(ticket, batch_id=batch_id))

    def drop(self, ticket: Ticket) -> None:
        """Forget a batch: its replies are kept, or it was never created."""
        self.path(ticket).unlink()

    def input_file(self, ticket: Ticket, lines: Iterable[bytes]) -> Path:
        """A file of these lines, to be uploaded and removed; one that a crash leaves is removed by the next run."""
        path = self._folder / f"{ticket.mark}.jsonl"
        with path.open("wb") as file:
            file.writelines(lines)
        return path

    def _written(self, ticket: Ticket) -> Ticket:
        atomic.write_text(self.path(ticket), json.dumps(vars(ticket), ensure_ascii=False, sort_keys=True))
        return ticket

    def _read(self, path: Path) -> Ticket:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            tokens_in = int(told.get("tokens_in", 0))
            ticket = Ticket(path.stem, str(told["address"]), dict(told["requests"]), str(told["batch_id"]), tokens_in)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: expected a note of a batch under way, found something else; the service has it, if at all, with "
                f"the metadata burnish: {path.stem}; remove the file, and its requests are submitted, and paid, again"
            ) from error
        return ticket
