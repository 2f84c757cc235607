"""Files of queries and grades as people have them: JSON, JSON lines, CSV, tabs, TREC's qrels, BEIR's; read record by record."""

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
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


def records(path: Path) -> Iterator[Mapping[str, object]]:
    """The records of a .jsonl, .json (a list), .csv or .tsv file; a table has a header line.

    Quotation marks are text in tables of tabs, and quotes in tables of commas.

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
    comma = path.suffix == ".csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(
                file, delimiter="," if comma else "\t", quoting=csv.QUOTE_MINIMAL if comma else csv.QUOTE_NONE
            )
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as a table in UTF-8 with a header line: {error}") from error


def grades(path: Path) -> Iterator[tuple[str, str, int, str]]:
    """(query id, target id, grade, annotator's name or "") of each judgment in TREC's, BEIR's or a table's format."""
    for number, record in enumerate(_trec(path) if _is_trec(path) else records(path), 1):
        where = f"{path}, record {number}"
        found = grade(field(record, GRADE, where), where)
        yield field(record, QREL_QUERY, where), field(record, TARGET_ID, where), found, str(record.get("annotator") or "")


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
    """Whether the first line has TREC's four columns: query, 0, document, grade."""
    if path.suffix in {".jsonl", ".json", ".csv"} or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        parts = file.readline().split()
    return len(parts) == 4 and parts[3].lstrip("-").isdigit()


def _trec(path: Path) -> Iterator[dict[str, object]]:
    for query, _, target, found in tsv.fields(path, 4):
        yield {"query_id": query, "target_id": target, "grade": found}
