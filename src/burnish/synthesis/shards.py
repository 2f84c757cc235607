"""Shards: the append-only files of lines that a store is made of, each named by its content once it is closed.

A writer appends to a shard of its own, `open-*.jsonl`, which it holds locked, and never to one of another: no two processes
write one file, and a closed shard never changes, so that copies of a store are merged by putting their files together.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from burnish import atomic

ASIDE = "damaged"  # folder, within a store's, of the files that a repair has replaced

T = TypeVar("T")  # what a line says

_OPEN = "open-"
_NAMED = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Shard(Generic[T]):
    """What was read of a shard: its sound lines, how many are lost for certain, and whether a process still writes it."""

    path: Path
    lines: list[tuple[bytes, T]]
    lost: int
    live: bool


@dataclass(frozen=True)
class Repaired:
    """What a repair did with a shard: the lines that it kept and, for certain, lost; and where the damaged file lies now."""

    kept: int
    lost: int
    aside: Path


class Writer:
    """A shard that this process alone writes, its name already safe on disk."""

    def __init__(self, folder: Path) -> None:
        """Open a new shard in `folder`; the file is locked before another process can see it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{_OPEN}{os.getpid()}-{os.urandom(8).hex()}.jsonl"
        hidden = folder / f".{self._path.stem}.new"
        self._file = hidden.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        hidden.replace(self._path)
        _sync(folder)

    def append(self, line: bytes) -> None:
        """Write a line; when this returns it is on disk. Where the disk is full, nothing of it is left for the next to stick to."""
        begin = self._file.tell()
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(begin)
            self._file.seek(begin)
            raise

    def close(self) -> None:
        """Give the shard its lasting name, and let go of it."""
        _name_by_content(self._path)
        self._file.close()


def shards(folder: Path, read: Callable[[bytes], T | None]) -> Iterator[Shard[T]]:
    """Each shard of `folder`, by name.

    A closed shard whose content is not what its name says has lost something, even where each of its lines is sound. The
    last line of a shard that a process still writes may be unfinished, which is no loss.

    Args:
        folder: of a store; need not be there.
        read: what a line says; nothing, where it is not what was once written.
    """
    for path, content, live in _contents(folder):
        whole = [line for line in content.split(b"\n") if line.strip()]
        if live and not content.endswith(b"\n"):
            whole = whole[:-1]
        lines = [(line, said) for line in whole if (said := read(line)) is not None]
        lost = len(whole) - len(lines)
        changed = _NAMED.fullmatch(path.stem) and hashlib.sha256(content).hexdigest() != path.stem
        yield Shard(path, lines, lost or int(bool(changed)), live)


def adopt(folder: Path, read: Callable[[bytes], T | None]) -> None:
    """Close the shards that killed processes left open, if they are whole; what is damaged waits for `repair`."""
    for path in sorted(folder.glob(f"{_OPEN}*.jsonl")):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue
        with file:
            if not _free(file.fileno(), path, fcntl.LOCK_EX):
                continue
            content = file.read()
            if not content:
                path.unlink()
            elif content.endswith(b"\n") and all(read(line) is not None for line in content.split(b"\n")[:-1]):
                _name_by_content(path)


def repair(folder: Path, read: Callable[[bytes], T | None]) -> dict[str, Repaired]:
    """Write the sound lines of each damaged shard to a new one, and put the damaged file aside, unchanged.

    Returns:
        What was done, by the name of each damaged shard; the others are not touched.
    """
    done: dict[str, Repaired] = {}
    for shard in shards(folder, read):
        if shard.live or not shard.lost:
            continue
        if shard.lines:
            content = b"".join(line + b"\n" for line, _ in shard.lines)
            with atomic.file(folder / f"{hashlib.sha256(content).hexdigest()}.jsonl") as temporary:
                temporary.write_bytes(content)
        aside = folder / ASIDE / shard.path.name
        aside.parent.mkdir(exist_ok=True)
        shard.path.replace(aside)
        _sync(folder)
        done[shard.path.name] = Repaired(len(shard.lines), shard.lost, aside)
    return done


def _contents(folder: Path) -> Iterator[tuple[Path, bytes, bool]]:
    """Path and content of each shard, and whether a process writes it now.

    One that another process closes in between is read under its new name; what it is read twice for, its reader knows by
    the lines' keys.
    """
    seen: set[Path] = set()
    while fresh := sorted(set(folder.glob("*.jsonl")) - seen):
        for path in fresh:
            seen.add(path)
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                live = path.name.startswith(_OPEN) and not _free(file.fileno(), path, fcntl.LOCK_SH)
                yield path, file.read(), live


def _free(descriptor: int, path: Path, lock: int) -> bool:
    """Whether no process writes the shard; if so, it is locked until `descriptor` is closed."""
    try:
        fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _name_by_content(path: Path) -> None:
    with path.open("rb") as file:
        name = hashlib.file_digest(file, "sha256").hexdigest()
    path.replace(path.with_name(f"{name}.jsonl"))
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
