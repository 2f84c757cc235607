"""The two ways in which a run stops, and how a script tells its user."""

import sys
from collections.abc import Callable
from typing import NoReturn


class InputError(Exception):
    """Something the user gave cannot be used: a file, a knob, a model.

    The message names the file or knob, what was expected, what was found and what to do.
    """


class UnfinishedError(Exception):
    """A stage stopped before its end, with all that it has paid for kept; running it again goes on from there."""


def run(command: Callable[[], object]) -> NoReturn:
    """Run a script's command; an expected failure is one line on stderr and exit status 2, with no traceback.

    A full disk (any `OSError` that carries a file name) is told the same way, since the user can mend it.
    """
    try:
        command()
    except (InputError, UnfinishedError) as error:
        sys.exit(_told(str(error)))
    except OSError as error:
        if error.strerror is None:
            raise
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(_told(f"{place}{error.strerror}; nothing was recorded: mend it and run the same command again"))
    sys.exit(0)


def _told(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2
