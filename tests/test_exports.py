"""Exports of annotation tools, in the shapes that the tools write."""

import json
from collections import Counter
from pathlib import Path

import pytest

from burnish.errors import InputError
from burnish.queries import exports, formats
from burnish.queries.exports import ExportFiles, Item


def knobs(kind: str, **changed: object) -> ExportFiles:
    """An export's knobs."""
    own = {
        "kind": kind,
        "path": "e.json",
        "query_field": "query",
        "query_id_field": "query_id",
        "target_field": "passage_id",
        "question": "relevance",
        "grades": {},
        "language": "en",
    }
    return ExportFiles.model_validate(own | changed)


def items(path: Path, given: ExportFiles) -> tuple[list[Item], dict[str, int]]:
    """The items of a file, and what was left out."""
    left_out: Counter[str] = Counter()
    return list(exports.items(formats.records(path), given, path.name, left_out)), dict(left_out)


def argilla(**changed: object) -> dict[str, object]:
    """A record as Argilla 2's records.to_json() writes it."""
    record = {
        "id": "4f7e",
        "fields": {"query": "how to brew tea", "passage": "Boil water."},
        "metadata": {"query_id": "q1", "passage_id": "d1#a"},
        "suggestions": {"relevance": {"value": 0, "score": 0.2, "agent": "some-model"}},
        "responses": {"relevance": [{"value": 2, "user_id": "u1"}, {"value": 1, "user_id": "u2"}]},
        "vectors": {},
        "_server_id": "9a",
    }
    return record | changed


def older(**changed: object) -> dict[str, object]:
    """The same record as Argilla 1 wrote it: a list of people, each with the answers to all questions."""
    answers = {"u1": 2, "u2": 1}
    others: list[dict[str, object]] = [
        {"user_id": "u3", "values": {"relevance": {"value": 0}}, "status": "draft"},
        {"user_id": "u4", "values": None, "status": "discarded"},
    ]
    said = [
        {"user_id": by, "values": {"relevance": {"value": value}, "why": {"value": "so"}}, "status": "submitted"}
        for by, value in answers.items()
    ]
    return argilla(responses=said + others, external_id=None) | changed


def flat(**changed: object) -> dict[str, object]:
    """The same record as a row of records.to_datasets()."""
    record = {
        "id": "4f7e",
        "query": "how to brew tea",
        "passage": "Boil water.",
        "query_id": "q1",
        "passage_id": "d1#a",
        "relevance.responses": [2, 1, 0],
        "relevance.responses.users": ["u1", "u2", "u3"],
        "relevance.responses.status": ["submitted", "submitted", "draft"],
        "relevance.suggestion": 0,
        "relevance.suggestion.agent": "some-model",
    }
    return record | changed


def task(*annotations: dict[str, object], **data: object) -> dict[str, object]:
    """A task as Label Studio's JSON export writes it."""
    own = {"query": "how to brew tea", "passage": "Boil water.", "query_id": "q1", "passage_id": "d1#a"} | data
    return {"id": 1, "data": own, "annotations": list(annotations), "predictions": [{"result": [rating(0)]}]}


def completed(*annotations: dict[str, object]) -> dict[str, object]:
    """A task as Label Studio wrote it before version 1."""
    found = task(*annotations)
    return {("completions" if name == "annotations" else name): value for name, value in found.items()}


def rating(value: int, name: str = "relevance") -> dict[str, object]:
    return {"from_name": name, "to_name": "text", "type": "rating", "value": {"rating": value}}


def choice(*values: str) -> dict[str, object]:
    return {"from_name": "relevance", "to_name": "text", "type": "choices", "value": {"choices": list(values)}}


def said(by: object, *results: dict[str, object], cancelled: bool = False) -> dict[str, object]:
    return {"id": 7, "completed_by": by, "result": list(results), "was_cancelled": cancelled, "ground_truth": False}


BOTH = [(2, "u1"), (1, "u2")]
CSV = (
    '"annotation_id","annotator","created_at","id","lead_time","passage_id","query","query_id","relevance","updated_at"\n'
    '7,"u1","2026-01-01",1,3.2,"d1#a","how to brew tea","q1","[{""rating"": 2}]","2026-01-01"\n'
    '8,"u2","2026-01-01",1,3.2,"d1#a","how to brew tea","q1","1","2026-01-01"\n'
)
MIN = {"query": "how to brew tea", "query_id": "q1", "passage_id": "d1#a", "id": 1}


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("argilla", "e.json", json.dumps([argilla()])),
        ("argilla", "e.jsonl", json.dumps(argilla())),
        ("argilla", "older.json", json.dumps([older()])),
        ("argilla", "flat.json", json.dumps([flat()])),
        ("argilla", "flat.jsonl", json.dumps(flat())),
        ("label-studio", "e.json", json.dumps([task(said("u1", rating(2), rating(5, "other")), said("u2", rating(1)))])),
        ("label-studio", "older.json", json.dumps([completed(said("u1", rating(2)), said("u2", rating(1)))])),
        (
            "label-studio",
            "min.json",
            json.dumps([MIN | {"relevance": [{"rating": 2}], "annotator": "u1"}, MIN | {"relevance": 1, "annotator": "u2"}]),
        ),
        ("label-studio", "e.csv", CSV),
    ],
)
def test_an_export_becomes_grades(tmp_path: Path, kind: str, name: str, content: str) -> None:
    """Every person's answer, of every shape; a model's suggestion or prediction, and a draft, is none."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    found, _ = items(tmp_path / name, knobs(kind))
    assert {(one.query_id, one.query, one.target_id) for one in found} == {("q1", "how to brew tea", "d1#a")}
    assert [answer for one in found for answer in one.answers] == [(grade, f"{kind} {by}") for grade, by in BOTH]


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("argilla", argilla(responses={"relevance": [{"value": "yes", "user_id": "u1"}]})),
        ("argilla", argilla(responses={"relevance": [{"value": ["yes"], "user_id": "u1"}]})),
        ("label-studio", task(said("u1", choice("yes")))),
        ("label-studio", MIN | {"relevance": "yes", "annotator": "u1"}),
    ],
)
def test_labels_become_the_grades_that_the_knob_names(tmp_path: Path, kind: str, record: dict[str, object]) -> None:
    """A label that it does not know is told, with those that it knows."""
    (tmp_path / "e.json").write_text(json.dumps([record]), encoding="utf-8")
    found, _ = items(tmp_path / "e.json", knobs(kind, grades={"yes": 3, "no": 0}))
    assert found[0].answers == [(3, f"{kind} u1")]
    with pytest.raises(InputError, match=r"e.json, record 1: answer 'yes' to 'relevance'; `grades` knows \['ja', 'nein'\]"):
        items(tmp_path / "e.json", knobs(kind, grades={"ja": 3, "nein": 0}))


def test_what_is_no_answer_is_counted(tmp_path: Path) -> None:
    """Drafts, discarded responses, skipped tasks and empty answers."""
    (tmp_path / "a.json").write_text(json.dumps([flat(), argilla(responses=None)]), encoding="utf-8")
    assert items(tmp_path / "a.json", knobs("argilla"))[1] == {"status draft": 1}
    tasks = [task(said(1, rating(2), cancelled=True), said(2), said(3, rating(1)))]
    (tmp_path / "l.json").write_text(json.dumps(tasks), encoding="utf-8")
    found, left_out = items(tmp_path / "l.json", knobs("label-studio"))
    assert (found[0].answers, left_out) == ([(1, "label-studio 3")], {"cancelled": 1, "unanswered": 1})


def test_what_was_answered_otherwise_is_counted_by_its_kind(tmp_path: Path) -> None:
    """Taxonomies and free texts of Label Studio are no grades, and no missing answers either."""
    taxonomy = {"from_name": "relevance", "type": "taxonomy", "value": {"taxonomy": [["good", "very"]]}}
    text = {"from_name": "relevance", "type": "textarea", "value": {"text": ["good"]}}
    row = MIN | {"relevance": [{"taxonomy": [["good"]]}], "annotator": 4}
    tasks = [task(said(1, taxonomy), said(2, text, text), said(3, rating(1))), completed(said(1, text)), row]
    (tmp_path / "l.json").write_text(json.dumps(tasks), encoding="utf-8")
    found, left_out = items(tmp_path / "l.json", knobs("label-studio"))
    assert found[0].answers == [(1, "label-studio 3")]
    assert left_out == {"kind taxonomy": 2, "kind textarea": 2}
    (tmp_path / "a.json").write_text(json.dumps([older()]), encoding="utf-8")
    assert items(tmp_path / "a.json", knobs("argilla"))[1] == {"status draft": 1, "status discarded": 1}


def test_people_are_known_by_their_id(tmp_path: Path) -> None:
    """Label Studio writes a number, or an object with the number and the address; both are the same person."""
    tasks = [task(said({"id": 4, "email": "ada@example.com"}, rating(2))), task(said(4, rating(2)))]
    (tmp_path / "l.json").write_text(json.dumps(tasks), encoding="utf-8")
    found, _ = items(tmp_path / "l.json", knobs("label-studio"))
    assert [one.answers for one in found] == [[(2, "label-studio 4")]] * 2


def test_a_query_without_an_id_has_one_by_its_text(tmp_path: Path) -> None:
    """The same text is the same query; texts may also stand elsewhere."""
    other = argilla(fields={"query": "where do cups go"})
    (tmp_path / "e.json").write_text(json.dumps([argilla(), argilla(), other]), encoding="utf-8")
    found, _ = items(tmp_path / "e.json", knobs("argilla", query_id_field=""))
    assert found[0].query_id == found[1].query_id != found[2].query_id
    assert items(tmp_path / "e.json", knobs("argilla", query_field=""))[0][0].query == ""


@pytest.mark.parametrize(
    ("kind", "changed", "record", "told"),
    [
        ("argilla", {"target_field": "doc"}, argilla(), "expected text in field 'doc', found None; the fields are"),
        ("argilla", {"query_field": "", "query_id_field": ""}, argilla(), "needs query_field or query_id_field"),
        ("argilla", {"question": "fit"}, flat(), "expected a column 'fit.responses' (mend `question`)"),
        ("argilla", {}, argilla(responses={"relevance": [2]}), "expected a list of responses to 'relevance'"),
        ("argilla", {}, argilla(responses={"relevance": [{"value": 1.5}]}), "grade 1.5; expected a whole number"),
        ("argilla", {}, argilla(responses={"relevance": 2}), "expected a list of responses to 'relevance'"),
        ("argilla", {}, argilla(responses="x"), "expected a list of responses to 'relevance', found 'x'"),
        ("argilla", {}, older(responses=["x"]), "e.json, record 1: expected a list of responses to 'relevance', found ['x']"),
        (
            "label-studio",
            {},
            task({"result": ["x"]}),
            "e.json, record 1: expected annotations as objects, each `result` a list",
        ),
        ("label-studio", {}, task({"result": "x"}), "expected annotations as objects, each `result` a list of objects"),
        ("label-studio", {}, MIN | {"completions": ["x"]}, "expected annotations as objects"),
        ("label-studio", {}, task(said(1, choice("a", "b"))), "2 answers to 'relevance'; expected one"),
        ("label-studio", {}, task(said(1, rating(1), rating(2))), "2 answers to 'relevance' in one annotation"),
        ("label-studio", {}, task(said(1, choice("good"))), "grade 'good'; expected a whole number"),
        ("label-studio", {}, {"data": {}, "annotations": ["x"]}, "expected text in field 'query_id'"),
    ],
)
def test_exports_that_cannot_be_used_are_told(
    tmp_path: Path, kind: str, changed: dict[str, object], record: dict[str, object], told: str
) -> None:
    """By file and record, or by knob."""
    (tmp_path / "e.json").write_text(json.dumps([record]), encoding="utf-8")
    given = knobs(kind, **({"query_field": ""} | changed))
    with pytest.raises(InputError) as caught:
        items(tmp_path / "e.json", given)
    assert told in str(caught.value)


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[1]", b"\xff"])
def test_a_file_that_is_no_list_of_objects_is_told(tmp_path: Path, content: str | bytes) -> None:
    """A .json file must be one list."""
    (tmp_path / "e.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match="e.json: expected a list of JSON objects"):
        items(tmp_path / "e.json", knobs("argilla"))
