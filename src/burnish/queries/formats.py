"""Files of queries and grades as people have them: JSON, JSON lines, CSV, tabs, TREC's qrels, BEIR's; read record by record."""

import csv
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from burnish.errors import InputError
from burnish.queries import tsv
from burnish.records import json_lines

QUERY_ID = ("query_id", "_id", "qid", "id")
QUERY_TEXT = ("text", "query", "question")
TARGET_ID = ("target_id", "corpus-id", "passage_id", "document_id", "docid", "pid")
QREL_QUERY = ("query_id", "query-id", "qid")
GRADE = ("grade", "score", "relevance", "label")
HIGHEST = 127  # the largest grade that the table of judgments holds
_NUMBER = re.compile(r"-?\d+(\.\d*)?")
_SPAM = re.compile(r"-\d+(\.0*)?")  # TREC's Web tracks grade it -2


def records(path: Path) -> Iterator[Mapping[str, object]]:
    """The records of a .jsonl, .json (a list), .csv or .tsv file; a table has a header line.

    Quotation marks are text in tables of tabs, and quotes in .csv.

    Raises:
        InputError: the file is missing, not UTF-8, or not what its name says.
    """
    if path.suffix == ".jsonl":
        yield from json_lines(path)
        return
    if not path.is_file():
        raise InputError(f"{path}: expected a .jsonl, .csv or .tsv file, found none")
    if path.suffix == ".json":
        yield from _json_list(path)
        return
    with table(path) as rows:
        yield from rows


@contextmanager
def table(path: Path) -> Iterator["csv.DictReader[str]"]:
    """The rows of a table with a header line, of tabs, or in .csv of commas, semicolons or tabs, whichever its header has most.

    Raises:
        InputError: the file is not UTF-8 or no table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix != ".csv":
                yield csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
                return
            header = file.readline()
            file.seek(0)
            yield csv.DictReader(file, delimiter=max(",;\t", key=header.count))  # spreadsheets write what their country says
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: not readable as a table in UTF-8 with a header line: {error}; from a spreadsheet save it as `CSV UTF-8`"
        ) from error


def grades(path: Path, below_zero: Counter[str]) -> Iterator[tuple[str, str, int, str]]:
    """(query id, target id, grade, annotator's name or "") of each judgment in TREC's, BEIR's or a table's format.

    Args:
        path: the file.
        below_zero: as of `trec`.
    """
    if _is_trec(path):
        yield from ((query, target, found, "") for query, target, found in trec(path, below_zero))
        return
    for number, record in enumerate(records(path), 1):
        where = f"{path}, record {number}"
        found = grade(field(record, GRADE, where), where)
        yield field(record, QREL_QUERY, where), field(record, TARGET_ID, where), found, str(record.get("annotator") or "")


def trec(path: Path, below_zero: Counter[str]) -> Iterator[tuple[str, str, int]]:
    """(query id, target id, grade) of each line of TREC's qrels.

    Args:
        path: the file, or one that has .gz after its name.
        below_zero: counts, by file, grades below 0 (spam and the like), which are taken as 0; grows.
    """
    for where, query, target, text in tsv.qrels(path):
        spam = _SPAM.fullmatch(text) is not None
        found = grade(text.removeprefix("-") if spam else text, where)
        below_zero[str(path)] += spam and found > 0
        yield query, target, 0 if spam else found


def no_judgment(path: Path) -> InputError:
    """What to tell of a file in which no judgment was found."""
    first = _first_line(path)
    found = f"nothing but {first!r:.90}" if first else "nothing"
    return InputError(
        f"{path}: expected judgments, as lines of query, 0, target and grade (TREC's) or as records with a query's id, a target's "
        f"id and a grade, a table with a header line above them; found {found}"
    )


def grade(text: object, where: str) -> int:
    """A grade, which is a whole number from 0 to HIGHEST, however it is written.

    >>> grade("2.0", "here")
    2
    """
    try:
        number = float(str(text))
    except ValueError:
        number = math.nan
    if not (0 <= number <= HIGHEST and number.is_integer()):
        raise InputError(f"{where}: grade {text!r}; expected a whole number from 0 (no answer) to {HIGHEST}")
    return int(number)


def field(record: Mapping[str, object], names: tuple[str, ...], where: str) -> str:
    """The first of the fields `names` that the record fills."""
    for name in names:
        if record.get(name) not in (None, ""):
            return str(record[name])
    raise InputError(f"{where}: expected a field named {' or '.join(names)}, found {sorted(map(str, record))}")


def files(root: Path, pattern: str, knob: str) -> list[Path]:
    """The file `pattern`, or the files that it matches as a glob, in order of their names.

    Args:
        root: the folder that the pattern is relative to; an absolute pattern wins.
        pattern: a path or a glob.
        knob: what to tell the user to mend where there is none.
    """
    whole = root / pattern
    try:
        found = [whole] if whole.is_file() else sorted(root.glob(pattern))
    except (NotImplementedError, ValueError):  # an absolute glob, or `**` inside a name
        found = []
    if not found:
        raise InputError(f"{whole}: expected judgments, found no file; mend `{knob}` or empty it")
    return found


def digest(text: str) -> str:
    """The sha256 of a text, for choices and names that depend on nothing else."""
    return hashlib.sha256(text.encode()).hexdigest()


def _json_list(path: Path) -> Iterator[dict[str, object]]:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a list of JSON objects in UTF-8; {error}") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError(f"{path}: expected a list of JSON objects, found {type(found).__name__}")
    yield from found


def _is_trec(path: Path) -> bool:
    """Whether the first line that says anything has TREC's columns, query, 0, document, grade; perhaps more, which is told later."""
    if path.suffix in {".jsonl", ".json", ".csv"} or not path.is_file():
        return False
    return any(_NUMBER.fullmatch(cell) for cell in tsv.columns_of(_first_line(path))[3:])


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return next((line.rstrip("\n") for line in file if not tsv.is_blank(line)), "")
