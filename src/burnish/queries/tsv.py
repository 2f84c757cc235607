"""Tables of tabs without a header, as TREC and MS MARCO have them, plain or compressed by gzip, of any size."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from burnish.errors import InputError

_LINES = 20_000  # between two steps of the progress bar


def fields(path: Path, columns: int) -> Iterator[tuple[str, ...]]:
    """The fields of each line that is not empty; white space other than tabs counts where tabs are too few or too many.

    Args:
        path: the file; where it is missing and `path`.gz is there, that.
        columns: how many fields each line has. The last takes in what is left of the line.

    Raises:
        InputError: the file is missing, damaged, not UTF-8, or a line has fewer fields.
    """
    found = path if path.is_file() else path.with_name(f"{path.name}.gz")
    if not found.is_file():
        raise InputError(f"{path}: expected a file of {columns} tab-separated columns, found none, nor one with .gz")
    for number, line in _lines(found):
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{found}, line {number}: not UTF-8: {error}") from error
        if not text:
            continue
        parts = text.split("\t")
        if len(parts) != columns and len(parts := text.split(None, columns - 1)) != columns:
            raise InputError(f"{found}, line {number}: expected {columns} columns, found {len(parts)}")
        yield tuple(parts)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        file: Iterable[bytes] = stack.enter_context(gzip.open(raw)) if path.suffix == ".gz" else raw
        size = path.stat().st_size
        bar = stack.enter_context(tqdm(total=size, desc=path.name, unit="B", unit_scale=True, disable=None, leave=False))
        try:
            for number, line in enumerate(file, 1):
                yield number, line
                if number % _LINES == 0:
                    bar.update(min(raw.tell(), size) - bar.n)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{path}: damaged, {error}; copy it again from where it came from") from error
