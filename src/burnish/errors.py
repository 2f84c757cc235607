"""The two ways in which a run stops, and how a script tells its user."""

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import duckdb
from polars.exceptions import PolarsError
from safetensors import SafetensorError

_FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))
_REFUSED = (  # what usearch and torch say of a write that the system refused; neither says why
    "Failed to serialize into stream",
    "PytorchStreamWriter failed writing file",
    "inline_container.cc",
)


class InputError(Exception):
    """Something the user gave cannot be used: a file, a knob, a model.

    The message names the file or knob, what was expected, what was found and what to do.
    """


class UnfinishedError(Exception):
    """A stage stopped before its end, with all that it has paid for kept; running it again goes on from there."""


def on_stderr(message: str) -> None:
    """Tell a failure in one line."""
    print(f"error: {message}", file=sys.stderr)


def run(command: Callable[[], object], tell: Callable[[str], None] = on_stderr) -> NoReturn:
    """Run a script's command; an expected failure is one line on stderr and exit status 2, with no traceback.

    A full disk, and any other refusal of the system, is told the same way, since the user can mend it. Libraries that write
    files by themselves raise their own exceptions for it, most of which carry the system's words.
    """
    try:
        command()
    except (InputError, UnfinishedError) as error:
        tell(str(error))
    except OSError as error:
        if error.strerror is None:
            raise
        place = f"{error.filename}: " if error.filename else ""
        tell(f"{place}{error.strerror}; nothing was recorded: mend it and run the same command again")
    except (PolarsError, SafetensorError, duckdb.Error) as error:
        if (words := next((words for words in _FULL if words in str(error)), None)) is None:
            raise
        tell(f"{words}; nothing was recorded: mend it and run the same command again")
    except RuntimeError as error:
        if not any(words in str(error) for words in _REFUSED):
            raise
        tell(
            f"a file could not be written ({error}); nothing was recorded: make room on the disk and run the same command again"
        )
    else:
        sys.exit(0)
    sys.exit(2)
