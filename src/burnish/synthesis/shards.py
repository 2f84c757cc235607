"""Shards: the append-only files of lines that a store is made of, each named by its content once it is closed.

A writer appends to a shard of its own, `open-*.jsonl`, which it holds locked, and never to one of another: no two processes
write one file, and a closed shard never changes, so that copies of a store are merged by putting their files together.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from burnish import atomic

ASIDE = "damaged"  # folder, within a store's, of the files that a repair has replaced
FORGOTTEN = "forgotten"  # the same, of those that held lines to be forgotten

T = TypeVar("T")  # what a line says

_OPEN = "open-"
_NAMED = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Damage:
    """A shard that is not whole: the lines in it that can be read, and those that are lost for certain."""

    path: Path
    sound: int
    lost: int


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


def taken(folder: Path, read: Callable[[bytes], T | None], take: Callable[[bytes, T], None]) -> list[Damage]:
    """Hand each sound line of each shard to `take`; the shards that are damaged, in the order of their names.

    A closed shard whose content is not what its name says has lost something, even where each of its lines is sound. The
    last line of a shard that is open may be unfinished, which is no loss: the process still writes it, or was killed before it
    had kept the line.

    Args:
        folder: of a store; need not be there.
        read: what a line says; nothing, where it is not what was once written.
        take: gets a line and what it says. A shard that is closed meanwhile may be read twice.
    """
    found = [_damage(path, file, read, take) for path, file, _ in _files(folder)]
    return sorted((one for one in found if one), key=lambda one: one.path)


def adopt(folder: Path, read: Callable[[bytes], T | None]) -> None:
    """Close the shards that killed processes left open, without an unfinished last line; what is damaged waits for `repair`."""
    for path in sorted(folder.glob(f"{_OPEN}*.jsonl")):
        try:
            file = path.open("r+b")
        except FileNotFoundError:
            continue
        with file:
            if not _free(file.fileno(), path, fcntl.LOCK_EX) or _damage(path, file, read, _leave):
                continue
            if _cut(file):
                _name_by_content(path)
            else:
                path.unlink()


def repair(folder: Path, read: Callable[[bytes], T | None]) -> dict[str, Repaired]:
    """Write the sound lines of each damaged shard to a new one, and put the damaged file aside, unchanged.

    Returns:
        What was done, by the name of each damaged shard; the others are not touched.
    """
    done: dict[str, Repaired] = {}
    for path, file, live in _files(folder):
        damage = None if live else _damage(path, file, read, _leave)
        if not damage:
            continue
        done[path.name] = Repaired(damage.sound, damage.lost, _replaced(path, file, read, folder / ASIDE))
    return done


def forget(folder: Path, read: Callable[[bytes], T | None], unwanted: Callable[[T], bool]) -> int:
    """Write each shard that holds unwanted lines anew without these, and put the file aside, unchanged; how many lines that are.

    Shards that are damaged, or that a process writes, are not touched.
    """

    def wanted(line: bytes) -> T | None:
        said = read(line)
        return None if said is None or unwanted(said) else said

    number = 0
    for path, file, live in _files(folder):
        if live or _damage(path, file, read, _leave):
            continue
        file.seek(0)
        found = sum(said is not None and unwanted(said) for said in map(read, file))
        if found:
            _replaced(path, file, wanted, folder / FORGOTTEN)
        number += found
    return number


def _files(folder: Path) -> Iterator[tuple[Path, BinaryIO, bool]]:
    """Path and open file of each shard, and whether a process writes it now.

    One that another process closes in between is read under its new name.
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
                yield path, file, live


def _damage(path: Path, file: BinaryIO, read: Callable[[bytes], T | None], take: Callable[[bytes, T], None]) -> Damage | None:
    """What a shard has lost, if anything; its sound lines are handed to `take`."""
    digest = hashlib.sha256()
    sound = lost = 0
    for line in file:
        digest.update(line)
        if not line.strip() or (path.name.startswith(_OPEN) and not line.endswith(b"\n")):
            continue
        said = read(line)
        if said is None:
            lost += 1
        else:
            sound += 1
            take(line, said)
    changed = _NAMED.fullmatch(path.stem) is not None and digest.hexdigest() != path.stem
    return Damage(path, sound, lost or 1) if lost or changed else None


def _cut(file: BinaryIO) -> int:
    """Take an unfinished last line off the file; the bytes that are left."""
    file.seek(0)
    whole = sum(len(line) for line in file if line.endswith(b"\n"))
    file.truncate(whole)
    os.fsync(file.fileno())
    return whole


def _replaced(path: Path, file: BinaryIO, read: Callable[[bytes], T | None], aside: Path) -> Path:
    """Where a shard lies now, after its sound lines were written to a new one."""
    aside.mkdir(exist_ok=True)
    shutil.copyfile(path, aside / path.name)
    rewritten = _rewritten(path.parent, file, read)
    if path != rewritten:  # its sound lines may be what its name says, and only what follows them be damage
        path.unlink()
    _sync(path.parent)
    return aside / path.name


def _leave(line: bytes, said: object) -> None:
    """Take nothing."""


def _rewritten(folder: Path, file: BinaryIO, read: Callable[[bytes], T | None]) -> Path:
    """The shard of a file's sound lines, once it is written; none is where no line is sound."""
    digest = hashlib.sha256()
    for line in _sound(file, read):
        digest.update(line)
    shard = folder / f"{digest.hexdigest()}.jsonl"
    if digest.digest() != hashlib.sha256().digest():
        with atomic.file(shard) as temporary, temporary.open("wb") as out:
            out.writelines(_sound(file, read))
    return shard


def _sound(file: BinaryIO, read: Callable[[bytes], T | None]) -> Iterator[bytes]:
    file.seek(0)
    return (line.removesuffix(b"\n") + b"\n" for line in file if read(line) is not None)


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
