"""Judgments out of annotation tools: Argilla's and Label Studio's exports, one record for each query and passage."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.queries import formats
from burnish.records import Language

Name = Annotated[str, Field(min_length=1)]
READ = ("choices", "rating", "number")  # Label Studio's controls whose answers are read


class ExportFiles(Knobs):
    """Exports of an annotation tool, and where in them query, target and grade stand."""

    kind: Literal["argilla", "label-studio"]
    path: Name  # a glob; train, dev or test in a file's name gives its queries' split
    query_field: str  # "": the queries stand elsewhere, in another entry or stage
    query_id_field: str  # "": an id is made of the query's text
    target_field: Name
    question: Name
    grades: dict[str, Annotated[int, Field(ge=0, le=formats.HIGHEST)]]  # {}: the answers are grades
    language: Language


@dataclass(frozen=True)
class Answer:
    """What one annotator said of a query and a target; None where nothing that counts was said, by reason."""

    grade: object
    annotator: str
    left_out: str = ""


@dataclass(frozen=True)
class Item:
    """One record of an export: the query, the target, and every annotator's answer."""

    query_id: str
    query: str
    target_id: str
    answers: list[tuple[int, str]]  # grade and annotator


def items(records: Iterator[Mapping[str, object]], given: ExportFiles, where: str, left_out: Counter[str]) -> Iterator[Item]:
    """The items of an export, in its order.

    Args:
        records: the records of the file.
        given: which fields to read.
        where: the file, for messages.
        left_out: counts answers that are none, by reason; grows.

    Raises:
        InputError: a record lacks a field, or an answer is no grade.
    """
    answers = _ANSWERS[given.kind]
    for number, record in enumerate(records, 1):
        place = f"{where}, record {number}"
        fields = _fields(record)
        query = _text(fields, given.query_field, place) if given.query_field else ""
        if given.query_id_field:
            query_id = _text(fields, given.query_id_field, place)
        elif query:
            query_id = f"exp-{formats.digest(query)[:16]}"
        else:
            raise InputError("collect.judgments: an export needs query_field or query_id_field; both are empty")
        found = []
        for answer in answers(record, given.question, place):
            reason = answer.left_out or ("unanswered" if answer.grade in (None, "", []) else "")
            if reason:
                left_out[reason] += 1
            else:
                found.append((_grade(answer.grade, given, place), f"{given.kind} {answer.annotator}"))
        yield Item(query_id, query, _text(fields, given.target_field, place), found)


def _fields(record: Mapping[str, object]) -> dict[str, object]:
    """All that a record says of its pair: Argilla's metadata and fields, Label Studio's data, or the record's own fields."""
    merged = dict(record)
    for part in ("metadata", "fields", "data"):
        inner = record.get(part)
        merged |= inner if isinstance(inner, dict) else {}
    return merged


def _text(fields: Mapping[str, object], name: str, place: str) -> str:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InputError(f"{place}: expected text in field {name!r}, found {value!r}; the fields are {sorted(fields)}")
    return str(value)


def _grade(value: object, given: ExportFiles, place: str) -> int:
    """The grade that an answer stands for."""
    single = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(single, list):
        raise InputError(f"{place}: {len(single)} answers to {given.question!r}; expected one")
    if not given.grades:
        return formats.grade(single, place)
    if str(single) not in given.grades:
        raise InputError(f"{place}: answer {str(single)!r} to {given.question!r}; `grades` knows {sorted(given.grades)}")
    return given.grades[str(single)]


def _argilla(record: Mapping[str, object], question: str, place: str) -> Iterator[Answer]:
    """The responses to a question in a record of Argilla 1's JSON or `records.to_json()`, or flat, of `records.to_datasets()`.

    Suggestions are a model's and do not count. A draft or a discarded response is no judgment.
    """
    if isinstance(record.get("responses"), dict | list) or "fields" in record:
        rows = _responses(record.get("responses") or {}, question, place)
    else:
        name = f"{question}.responses"
        if name not in record:
            raise InputError(f"{place}: expected a column {name!r} (mend `question`), found {sorted(record)}")
        lists = [_list(record.get(part)) for part in (name, f"{name}.users", f"{name}.status")]
        values = lists[0]
        users, states = ([*one, *[None] * (len(values) - len(one))] for one in lists[1:])
        rows = list(zip(values, users, states, strict=True))
    for value, user, status in rows:
        yield Answer(value, str(user), "" if status in (None, "submitted") else f"status {status}")


def _responses(given: Any, question: str, place: str) -> list[tuple[object, object, object]]:
    """Value, person and status of each response: by question, or as Argilla 1 has them, by person with all his answers."""
    by_person = isinstance(given, list)
    responses = given if by_person else given.get(question) or [] if isinstance(given, dict) else None
    if not isinstance(responses, list) or not all(isinstance(one, dict) for one in responses):
        raise InputError(f"{place}: expected a list of responses to {question!r}, found {given!r:.80}")
    said = [_dict(_dict(one.get("values")).get(question)) for one in responses] if by_person else responses
    return [(own.get("value"), one.get("user_id"), one.get("status")) for own, one in zip(said, responses, strict=True)]


def _label_studio(record: Mapping[str, object], question: str, place: str) -> Iterator[Answer]:
    """The answers to a control in a task of a JSON export, or in a row of a JSON-MIN or CSV export."""
    tasks = [record[name] for name in ("annotations", "completions") if isinstance(record.get(name), list)]
    if not tasks:
        value = _opened(record.get(question))
        yield Answer(_value(value), str(record.get("annotator")), _unread(value))
        return
    for one in _list(tasks[0]):
        results = (one.get("result") or []) if isinstance(one, dict) else None
        if not isinstance(results, list) or not all(isinstance(part, dict) for part in results):
            raise InputError(f"{place}: expected annotations as objects, each `result` a list of objects, found {one!r:.80}")
        by = one.get("completed_by")
        person = str(by.get("id", by.get("email")) if isinstance(by, dict) else by)
        parts = [part for part in results if part.get("from_name") == question]
        reason = "cancelled" if one.get("was_cancelled") else next(filter(None, map(_unread, parts)), "")
        if len(parts) > 1 and not reason:
            raise InputError(f"{place}: {len(parts)} answers to {question!r} in one annotation; expected one")
        yield Answer(_value(parts[0].get("value")) if parts else None, person, reason)


def _value(value: object) -> object:
    """The answer in a result's value, of the controls that are read."""
    if isinstance(value, dict):
        return next((value[name] for name in READ if name in value), None)
    return value


def _unread(part: object) -> str:
    """The kind of an answer by a control that is not read, in a result or alone; "" of the others."""
    if not isinstance(part, dict):
        return ""
    value = part.get("value", part)
    if not isinstance(value, dict) or not value or any(name in value for name in READ):
        return ""
    return f"kind {part.get('type') or min(map(str, value))}"


def bare(value: object) -> object:
    """The answer in a cell of JSON-MIN or CSV: bare, or a value or a list of values, in CSV as JSON."""
    return _value(_opened(value))


def _opened(value: object) -> object:
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


_ANSWERS: dict[str, Callable[[Mapping[str, object], str, str], Iterator[Answer]]] = {
    "argilla": _argilla,
    "label-studio": _label_studio,
}
