"""Turns: one process at a time asks with a store, so that no two pay for the same question."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "asking.lock"  # file, within a store's folder, that the asking process holds locked, and that tells its id


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Hold the turn to ask with the store `folder`, after a wait for the process that has it.

    It waits instead of failing: what the other one pays for is then there, and the rest is asked for without another start. The
    lock is the system's, so it ends with its process, however that ends. It holds for one machine; whether it does between
    machines depends on the file system that they share. The file stays, since to remove it while others wait for it would give
    two of them a turn at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"synthesize: {_holder(folder)} is asking with the store {folder}; waiting until it has ended, so that no question "
                "is paid for twice (Ctrl-C ends the wait; nothing was asked yet)",
                file=sys.stderr,
                flush=True,
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(b"%d\n" % os.getpid())
        yield


def _holder(folder: Path) -> str:
    """The process that has the turn; it may have taken it just now, and not told its id yet."""
    told = (folder / LOCK).read_bytes().strip()
    return f"process {told.decode()}" if told.isdigit() else "another process"
