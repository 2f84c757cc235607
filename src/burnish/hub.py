"""The hub that models and data sets come from (huggingface.co, or HF_ENDPOINT): its failures, each told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from datasets.exceptions import DatasetNotFoundError
from httpx2 import HTTPError
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from burnish.errors import InputError, UnfinishedError

_GATED = "it is gated: accept its terms on its page, then set HF_TOKEN to a token of that account"
_MENDED_BY = {  # the first that fits counts: some are kinds of others
    GatedRepoError: _GATED,
    RevisionNotFoundError: "it has no such revision; copy a commit, 40 hexadecimal digits, from its page",
    RepositoryNotFoundError: "there is no such repository, or it is private: mend the name, or set HF_TOKEN",
    OfflineModeIsEnabled: "HF_HUB_OFFLINE is set, and the cache does not hold it; unset it",
    HFValidationError: "that is no name of a repository, which is OWNER/NAME",
}


@contextmanager
def telling(what: str, *, rerun: str = "files that have arrived are kept") -> Iterator[None]:
    """Whatever the hub's client libraries raise in the block becomes one line that starts with `what`.

    Args:
        what: what was asked for.
        rerun: what a further run finds of what has arrived.

    Raises:
        InputError: the user must mend something: a name, a revision, a token, a configuration.
        UnfinishedError: the connection failed, or the hub did.
    """
    try:
        yield
    except (OSError, HTTPError, EntryNotFoundError, ValueError, RuntimeError) as error:
        if isinstance(error, OSError) and error.strerror and not isinstance(error, ConnectionError | TimeoutError):
            raise  # the disk's fault, not the hub's
        raise _told(what, error, rerun) from error


def _told(what: str, error: BaseException, rerun: str) -> InputError | UnfinishedError:
    chain = _chain(error)
    for kind, words in _MENDED_BY.items():
        if any(isinstance(one, kind) for one in chain):
            return InputError(f"{what}: the hub did not give it: {words}")
    reason = " ".join(str(error).split())
    if isinstance(error, DatasetNotFoundError):  # datasets cuts the chain that would tell why
        return InputError(f"{what}: the hub did not give it: {_GATED if 'gated' in reason else reason}")
    if any(isinstance(one, HTTPError | ConnectionError | TimeoutError) for one in chain) or isinstance(error, OSError):
        return UnfinishedError(
            f"{what}: the connection to {constants.ENDPOINT} failed ({reason}); check network, proxy and HF_ENDPOINT, and run "
            f"the same command again: {rerun}"
        )
    return InputError(f"{what}: the hub did not give it: {reason}")


def _chain(error: BaseException) -> list[BaseException]:
    """The error, what it came from, and so on."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found:
        found.append(one)
        one = one.__cause__ or one.__context__
    return found
