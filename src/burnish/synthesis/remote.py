"""Batches at the service: files up and down, batches created, found again and looked at, through openai's client."""

import io
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import openai
from openai.types import Batch, FileObject

from burnish.errors import InputError, UnfinishedError
from burnish.synthesis import faults
from burnish.synthesis.faults import Fault
from burnish.synthesis.service import Service

T = TypeVar("T")

ENDPOINT: Final = "/v1/chat/completions"

_MARK = "burnish"  # the name of the metadata by which a batch is found again
_OUTAGE = 1800.0  # seconds that a service may be gone while a batch is looked at or fetched
_UNKNOWN = frozenset({404, 405, 410, 501})


class Remote:
    """The Batch API of a service. What may be repeated without harm is tried again as single requests are (`limits`), not as
    openai's client does, which waits for seconds alone.
    """

    def __init__(self, service: Service) -> None:
        """Raises InputError where the environment holds no key."""
        self._retries = service.retries
        self._client = openai.OpenAI(**service.options(), max_retries=0)

    def uploaded(self, lines: Path) -> str:
        """The id of a file of requests, once the service has it. One that is uploaded twice costs nothing.

        Raises:
            InputError: the service has no Batch API, or refuses the key.
            UnfinishedError: it does not answer.
        """

        def upload() -> FileObject:
            with lines.open("rb") as file:
                return self._client.files.create(file=(lines.name, file), purpose="batch")

        uploaded = self._tried(upload, "takes no files for batches; set synthesize.service.mode to requests", 0)
        if not isinstance(uploaded, FileObject):
            raise Fault("final", "what came back is no file").error()
        return uploaded.id

    def submitted(self, mark: str, file: str) -> str:
        """The id of a new batch that carries `mark`, of the requests in an uploaded file.

        The request for it is not repeated blindly: its answer may have been lost after the batch was created, so before
        another try the mark is looked for.

        Raises:
            InputError, UnfinishedError: the service refuses, or does not answer; a batch may have been created.
        """
        for tries in itertools.count(1):
            found = self._created(mark, file)
            if isinstance(found, Batch):
                return found.id
            if tries > self._retries:
                raise found.error()
            time.sleep(found.pause(tries))
            if before := self.found(mark):
                return before
        raise AssertionError

    def found(self, mark: str) -> str | None:
        """The id of the batch that carries `mark`, if the service has one."""

        def search() -> str | None:
            every = iter(self._client.batches.list(limit=100))
            return next((one.id for one in every if (one.metadata or {}).get(_MARK) == mark), None)

        return self._tried(search, "lists no batches; set synthesize.service.mode to requests")

    def look(self, batch_id: str) -> Batch:
        """The batch as it is now."""
        batch = self._tried(
            lambda: self._client.batches.retrieve(batch_id), f"does not know the batch {batch_id} with this key"
        )
        if not isinstance(batch, Batch):
            raise Fault("final", "what came back is no batch").error()
        return batch

    def results(self, batch: Batch) -> Iterator[bytes]:
        """The lines of the batch's file of answers, then those of its file of errors."""
        for name in (batch.output_file_id, batch.error_file_id):
            if name:
                file = self._tried(
                    partial(self._client.files.content, name), f"no longer has the results of the batch {batch.id}"
                )
                yield from (line for line in io.BytesIO(file.content) if line.strip())

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _created(self, mark: str, file: str) -> Batch | Fault:
        """The new batch, or why it is not known whether there is one."""
        try:
            batch = self._client.batches.create(
                completion_window="24h", endpoint=ENDPOINT, input_file_id=file, metadata={_MARK: mark}
            )
        except openai.APIStatusError as error:
            found = faults.answered(error)
            if found.kind != "passing":
                raise _refused(found) from None
            return found
        except openai.APIError as error:
            return faults.broken(error)
        return batch if isinstance(batch, Batch) else Fault("passing", "what came back is no batch")

    def _tried(self, call: Callable[[], T], unknown: str, patience: float = _OUTAGE) -> T:
        """What `call` gives, after further tries where the service does not answer.

        Args:
            call: may be repeated without harm.
            unknown: said of a service that lacks what was asked of it.
            patience: seconds to go on trying, however few the retries are: a batch under way is paid for, and to look at it is not.

        Raises:
            InputError, UnfinishedError: the service refuses, or does not answer.
        """
        end = time.monotonic() + patience
        for tries in itertools.count(1):
            try:
                return call()
            except openai.APIStatusError as error:
                if error.status_code in _UNKNOWN:
                    raise InputError(f"synthesize: the service {unknown} (HTTP {error.status_code})") from None
                found = faults.answered(error)
            except openai.APIError as error:
                found = faults.broken(error)
            if found.kind != "passing":
                raise _refused(found)
            if tries > self._retries and time.monotonic() >= end:
                raise found.error()
            time.sleep(found.pause(tries))
        raise AssertionError


def _refused(found: Fault) -> InputError | UnfinishedError:
    if found.kind == "final":
        return found.error()
    return InputError(
        f"synthesize: the service refused to create the batch ({found.words}); nothing was paid for it: check synthesize.model "
        "and your account's limits, or set synthesize.service.mode to requests"
    )
