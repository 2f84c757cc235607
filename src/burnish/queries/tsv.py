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
    for where, text in _lines(path, columns):
        parts = text.split("\t")
        if len(parts) != columns and len(parts := text.split(None, columns - 1)) != columns:
            raise InputError(f"{where}: expected {columns} columns, found {len(parts)}")
        yield tuple(parts)


def qrels(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Place (for messages), query, target and grade of each line of TREC's qrels; blank lines and comments (#) are none.

    Args:
        path: the file; where it is missing and `path`.gz is there, that.

    Raises:
        InputError: the file is missing, damaged, not UTF-8, or a line has not four columns.
    """
    for where, text in _lines(path, 4):
        if is_blank(text):
            continue
        cells = columns_of(text)
        if len(cells) != 4 or not all(cells):
            raise InputError(
                f"{where}: expected 4 columns, found {sum(map(bool, cells))}; each line is query, 0, target and grade, with tabs "
                "between them where an id has spaces"
            )
        yield where, cells[0], cells[2], cells[3]


def is_blank(line: str) -> bool:
    """Whether a line of qrels says nothing."""
    return not line.strip() or line.lstrip().startswith("#")


def columns_of(line: str) -> list[str]:
    r"""The columns of a line of qrels: between tabs, or between any white space where that alone makes four.

    >>> columns_of("q1\t0\tmy lease.pdf \t 1"), columns_of("q1 0\td1 1")
    (['q1', '0', 'my lease.pdf', '1'], ['q1', '0', 'd1', '1'])
    """
    tabs, words = [cell.strip() for cell in line.strip().split("\t")], line.split()
    return next((one for one in (tabs, words) if len(one) == 4), tabs if len(tabs) > 1 else words)


def _lines(path: Path, columns: int) -> Iterator[tuple[str, str]]:
    """Each line that is not empty, with its place; a byte order mark is no part of the first."""
    found = path if path.is_file() else path.with_name(f"{path.name}.gz")
    if not found.is_file():
        raise InputError(f"{path}: expected a file of {columns} tab-separated columns, found none, nor one with .gz")
    for number, line in _raw(found):
        where = f"{found}, line {number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: not UTF-8: {error}") from error
        if text:
            yield where, text


def _raw(path: Path) -> Iterator[tuple[int, bytes]]:
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
