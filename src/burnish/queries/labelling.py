"""The way of a queue to an expert and back: files to fill in, and the file that keeps what was graded."""

import csv
import fcntl
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from burnish import atomic
from burnish.errors import InputError
from burnish.queries import agreement, exports, formats
from burnish.queries.agreement import GRADES

COLUMNS = ("query_id", "target_id", "grade", "annotator")  # of the file that keeps the labels
_SAID = ("priority", "reason", "detail")  # what a blind expert does not see
# What a spreadsheet takes for a formula at the start of a cell (OWASP, "CSV Injection"), full-width forms included; and the
# apostrophe that marks a text, so that it can be taken off again.
_RISKY = tuple("=+-@\t\r\n＝＋－＠'")


@dataclass(frozen=True)
class Taken:
    """What became of a filled-in queue."""

    new: int
    changed: int
    same: int
    blank: int
    agreement: Mapping[str, object]  # as agreement.agreement gives it, over all that the file now keeps


def write(queue: pl.DataFrame, path: Path, *, blind: bool) -> None:
    """Write a queue with an empty column `grade`, as .csv for spreadsheets or .jsonl for annotation tools.

    Args:
        queue: as `labels.queue` gives it.
        path: what to write.
        blind: leave out priority, reason and detail, and order the pairs by a hash: nothing then tells what is expected.
    """
    shown = queue.with_columns(grade=pl.lit(""))
    if blind:
        shown = shown.sort(pl.struct("query_id", "target_id").map_elements(_draw, return_dtype=pl.String)).drop(_SAID)
    if path.suffix == ".jsonl":
        atomic.write_text(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in shown.iter_rows(named=True)))
    elif path.suffix == ".csv":
        atomic.write_text(path, "\ufeff" + _csv(shown.columns, (map(_harmless, row) for row in shown.iter_rows())))
    else:
        raise InputError(f"{path}: expected a name that ends in .csv or .jsonl")


@dataclass(frozen=True)
class Allowed:
    """What a grade may name, and how high it may be."""

    query_ids: frozenset[str]
    target_ids: frozenset[str]  # passages and documents
    highest: int


def take(path: Path, kept: Path, *, annotator: str, allowed: Allowed) -> Taken:
    """Merge a filled-in queue into the file `kept`, whole or not at all; a second time it changes nothing.

    A later grade of the same annotator takes the place of his earlier one; other annotators' stay.

    Args:
        path: the queue, .csv or .jsonl; of a .csv the separator may be a comma, a semicolon or a tab. A JSON-MIN export of
            Label Studio serves too, if its control is called `grade`.
        kept: the file of all labels, made if it is not there.
        annotator: a name or pseudonym; "" takes the file's column `annotator`. Its code is what is kept.
        allowed: which rows are refused.

    Raises:
        InputError: naming each row with an unknown id, a grade that is none, or a second grade for the same pair.
    """
    rows, blank = _filled(path, annotator, allowed)
    with _alone(kept.parent):
        before = {(query, target, by): grade for query, target, grade, by in _kept(kept)}
        merged = before | rows
        if merged != before:
            lines = [(query, target, grade, by) for (query, target, by), grade in sorted(merged.items())]
            atomic.write_text(kept, _csv(COLUMNS, lines))
    same = sum(before.get(key) == grade for key, grade in rows.items())
    new = sum(key not in before for key in rows)
    frame = _grades(((query, target, grade, by) for (query, target, by), grade in merged.items()), kept)
    return Taken(new, len(rows) - new - same, same, blank, agreement.agreement(frame))


def labelled(kept: Path) -> pl.DataFrame:
    """The pairs that any annotator graded: columns query_id, target_id, grade (the one that counts)."""
    return agreement.settled(_grades(_kept(kept), kept))


def _kept(path: Path) -> list[tuple[str, str, int, str]]:
    rows = formats.grades(path, Counter()) if path.exists() else ()
    return [(query, target, grade, agreement.annotator(by)) for query, target, grade, by in rows]


def _grades(rows: Iterable[tuple[str, str, int, str]], kept: Path) -> pl.DataFrame:
    return pl.DataFrame([(*row, str(kept), "") for row in rows], schema=GRADES, orient="row")


def _filled(path: Path, annotator: str, allowed: Allowed) -> tuple[dict[tuple[str, str, str], int], int]:
    """The grades of a filled-in queue by query, target and annotator, and how many rows were left blank."""
    rows: dict[tuple[str, str, str], int] = {}
    blank, wrong = 0, []
    for number, record in enumerate(_rows(path), 1):
        value = exports.bare(record.get("grade"))
        if value is None or not str(value).strip():
            blank += 1
            continue
        by = annotator or str(record.get("annotator") or "")
        try:
            query, target = (formats.field(record, (name,), f"row {number}") for name in COLUMNS[:2])
            grade = formats.grade(str(value).strip(), f"row {number}")
        except InputError as error:
            wrong.append(str(error))
            continue
        key = (query, target, agreement.annotator(by))
        for fault, told in (
            (query not in allowed.query_ids, f"query_id {query!r} is not among the pipeline's queries"),
            (target not in allowed.target_ids, f"target_id {target!r} is not in the corpus"),
            (grade > allowed.highest, f"grade {grade} is above the highest, {allowed.highest}"),
            (not by, "no annotator: give --annotator, or fill the column `annotator`"),
            (rows.get(key, grade) != grade, f"grade {grade} for a pair that an earlier row grades {rows.get(key)}"),
        ):
            if fault:
                wrong.append(f"row {number}: {told}")
        rows[key] = grade
    if wrong:
        more = f" (and {len(wrong) - 10} more)" if len(wrong) > 10 else ""
        raise InputError(f"{path}: nothing was taken; {'; '.join(wrong[:10])}{more}")
    return rows, blank


def _rows(path: Path) -> Iterator[Mapping[str, object]]:
    if path.suffix != ".csv":
        yield from formats.records(path)
        return
    if not path.is_file():
        raise InputError(f"{path}: expected a filled-in queue, found none")
    with formats.table(path) as rows:
        if missing := {*COLUMNS[:3]} - {*(rows.fieldnames or ())}:
            raise InputError(f"{path}: expected the columns query_id, target_id and grade; {min(missing)} is missing")
        for row in rows:
            yield row | {name: _own(row[name] or "") for name in COLUMNS[:2]}


def _csv(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # else a lone \r would end a row
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _harmless(cell: object) -> object:
    """The cell, marked as text where a spreadsheet would run it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_RISKY) else cell


def _own(cell: str) -> str:
    """The cell as it was before `_harmless`."""
    return cell.removeprefix("'")


def _draw(pair: Mapping[str, str]) -> str:
    return formats.digest(f"{pair['query_id']}\0{pair['target_id']}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While the block runs no other process takes a queue into the same folder: none writes over another's rows."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
