"""Queues as files, and the file that keeps the labels."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from burnish.errors import InputError
from burnish.queries import labelling
from burnish.queries.labelling import Allowed, Taken

ALLOWED = Allowed(frozenset({"q1", "q2", "=q3"}), frozenset({"p1", "p2", "'p3"}), 3)
HEADER = "query_id,target_id,grade\n"


def queue(*pairs: tuple[str, str], text: str = "A text.") -> pl.DataFrame:
    rows = [(at, "unjudged", "rank 1 of base", *pair, "a query", "Title", "", text) for at, pair in enumerate(pairs, 1)]
    names = ["priority", "reason", "detail", "query_id", "target_id", "query", "title", "heading", "text"]
    return pl.DataFrame(rows, schema=names, orient="row")


def take(folder: Path, content: str | bytes, *, annotator: str = "Ada", name: str = "filled.csv") -> Taken:
    """What becomes of a filled-in queue."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return labelling.take(path, folder / "judged/labels.csv", annotator=annotator, allowed=ALLOWED)


def kept(folder: Path) -> list[dict[str, str]]:
    with (folder / "judged/labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＠"])
def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path, start: str) -> None:
    """A document may say =HYPERLINK(...); a spreadsheet must not do it."""
    labelling.write(queue(("q1", "p1"), text=f"{start}1+1"), tmp_path / "q.csv", blind=False)
    with (tmp_path / "q.csv").open(encoding="utf-8-sig", newline="") as file:
        row = next(csv.DictReader(file))
    assert row["text"] == f"'{start}1+1"
    assert not any(cell[:1] in set("=+-@\t\r＝＠") for cell in row.values() if cell)


def test_ids_come_back_as_they_went(tmp_path: Path) -> None:
    """Marked in a .csv, bare in JSON lines."""
    pairs = queue(("=q3", "'p3"), ("q1", "p1"))
    labelling.write(pairs, tmp_path / "q.csv", blind=False)
    labelling.write(pairs, tmp_path / "q.jsonl", blind=False)
    with (tmp_path / "q.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "q.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"grade": 2} for row in rows)
    assert take(tmp_path, (tmp_path / "q.csv").read_bytes()).new == 2
    assert {(row["query_id"], row["target_id"]) for row in kept(tmp_path)} == {("=q3", "'p3"), ("q1", "p1")}
    lines = [json.loads(line) | {"grade": 2} for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    found = take(tmp_path, "\n".join(map(json.dumps, lines)), name="q2.jsonl")
    assert (found.same, found.new) == (2, 0)


def test_a_blind_queue_tells_nothing(tmp_path: Path) -> None:
    """No reason, no priority, and an order that another order of the queue does not change."""
    pairs = queue(*((f"q{at}", "p") for at in range(20)))
    labelling.write(pairs, tmp_path / "a.jsonl", blind=True)
    labelling.write(pairs.reverse(), tmp_path / "b.jsonl", blind=True)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert list(rows[0]) == ["query_id", "target_id", "query", "title", "heading", "text", "grade"]
    assert [row["query_id"] for row in rows] not in ([f"q{at}" for at in range(20)], [f"q{at}" for at in range(19, -1, -1)])


def test_another_kind_of_file_is_told(tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(InputError, match=r"q.xlsx: expected a name that ends in .csv or .jsonl"):
        labelling.write(queue(("q1", "p1")), tmp_path / "q.xlsx", blind=False)


def test_labels_are_merged(tmp_path: Path) -> None:
    """Blank ones stay out, another person's stand beside, a person's later one replaces the earlier, nothing is lost."""
    assert take(tmp_path, f"{HEADER}q1,p1,2\nq1,p2,\nq2,p1, 0 \n").__dict__.items() >= {"new": 2, "blank": 1}.items()
    assert take(tmp_path, f"{HEADER}q1,p1,0\n", annotator="Bob").new == 1
    found = take(tmp_path, f"{HEADER}q1,p1,3\nq2,p1,0\n")
    assert (found.new, found.changed, found.same) == (0, 1, 1)
    assert sorted((row["query_id"], row["target_id"], row["grade"]) for row in kept(tmp_path)) == [
        ("q1", "p1", "0"),
        ("q1", "p1", "3"),
        ("q2", "p1", "0"),
    ]
    assert found.agreement["pairs"] == 1


def test_taking_again_changes_no_byte(tmp_path: Path) -> None:
    """Nor does the order of the rows matter."""
    take(tmp_path, f"{HEADER}q1,p1,2\nq2,p2,1\n")
    before = (tmp_path / "judged/labels.csv").read_bytes()
    take(tmp_path, f"{HEADER}q2,p2,1\nq1,p1,2\n")
    assert (tmp_path / "judged/labels.csv").read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        "query_id;target_id;grade\r\nq1;p1;2\r\n",
        "\ufeffquery_id\ttarget_id\tgrade\nq1\tp1\t2.0\n",
        'grade,extra,target_id,query_id\n"2","a, b\nc",p1,q1\n',
    ],
    ids=["semicolons", "tabs and a mark", "other columns"],
)
def test_what_spreadsheets_save_is_read(tmp_path: Path, content: str) -> None:
    """Their country decides the separator."""
    take(tmp_path, content)
    assert [(row["query_id"], row["grade"]) for row in kept(tmp_path)] == [("q1", "2")]


def test_an_export_of_label_studio_is_read(tmp_path: Path) -> None:
    """JSON-MIN, with a control called `grade`; its annotators are in the file."""
    row = {"query_id": "q1", "target_id": "p1", "id": 1}
    rows = [row | {"grade": [{"rating": 2}], "annotator": 1}, row | {"grade": "1", "annotator": 2}]
    found = take(tmp_path, json.dumps(rows), annotator="", name="export.json")
    assert (found.new, found.agreement["annotators"]) == (2, 2)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("q9,p1,1\n", "row 1: query_id 'q9' is not among the pipeline's queries"),
        ("q1,p1,1\nq1,p9,1\n", "row 2: target_id 'p9' is not in the corpus"),
        ("q1,p1,4\n", "row 1: grade 4 is above the highest, 3"),
        ("q1,p1,-1\n", "row 1: grade '-1'; expected a whole number"),
        ("q1,p1,1.5\n", "row 1: grade '1.5'; expected a whole number"),
        ("q1,p1,yes\n", "row 1: grade 'yes'; expected a whole number"),
        (",p1,1\n", "row 1: expected a field named query_id"),
        ("q1,p1,1\nq1,p1,2\n", "row 2: grade 2 for a pair that an earlier row grades 1"),
        ("q1,p1,x\nq2,p1,y\n", "row 1: grade 'x'; expected a whole number from 0 (no answer) to 127; row 2: grade 'y'"),
    ],
)
def test_rows_that_cannot_be_taken_are_told(tmp_path: Path, rows: str, told: str) -> None:
    """All of them at once, and nothing is taken."""
    take(tmp_path, f"{HEADER}q2,p2,1\n")
    before = (tmp_path / "judged/labels.csv").read_bytes()
    with pytest.raises(InputError) as caught:
        take(tmp_path, HEADER + rows)
    assert told in str(caught.value)
    assert "nothing was taken" in str(caught.value)
    assert (tmp_path / "judged/labels.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("query_id,grade\nq1,1\n", "the columns query_id, target_id and grade; target_id is missing"),
        (b"query_id,target_id,grade\nq1,p1,\xff\n", "not readable as a table in UTF-8"),
        ("", "is missing"),
    ],
)
def test_a_file_that_is_no_queue_is_told(tmp_path: Path, content: str | bytes, told: str) -> None:
    """With what it lacks."""
    with pytest.raises(InputError) as caught:
        take(tmp_path, content)
    assert told in str(caught.value)


def test_a_row_without_an_annotator_is_told(tmp_path: Path) -> None:
    """Whose grade is it?"""
    with pytest.raises(InputError, match="row 1: no annotator: give --annotator, or fill the column"):
        take(tmp_path, f"{HEADER}q1,p1,1\n", annotator="")


def test_people_at_once_lose_nothing(tmp_path: Path) -> None:
    """Twenty takes side by side keep twenty people's grades."""
    for at in range(20):
        (tmp_path / f"{at}.csv").write_text(f"{HEADER}q1,p1,{at % 4}\n", encoding="utf-8")

    def one(at: int) -> Taken:
        return labelling.take(tmp_path / f"{at}.csv", tmp_path / "labels.csv", annotator=f"p{at}", allowed=ALLOWED)

    with ThreadPoolExecutor(20) as pool:
        assert [found.new for found in pool.map(one, range(20))] == [1] * 20
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 21


def test_a_take_that_fails_keeps_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stops the writing, the file is the earlier one."""
    take(tmp_path, f"{HEADER}q1,p1,2\n")
    before = (tmp_path / "judged/labels.csv").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        take(tmp_path, f"{HEADER}q2,p1,1\n")
    assert (tmp_path / "judged/labels.csv").read_bytes() == before
    assert [path.name for path in (tmp_path / "judged").iterdir()] == ["labels.csv"]
