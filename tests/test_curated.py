"""Judged queries: each format that people have them in, the splits, and how a file that is none is told."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import small
from burnish import tables
from burnish.errors import InputError
from burnish.queries import curated as curating
from burnish.queries.curated import Curated, JudgmentFiles
from burnish.queries.exports import ExportFiles
from burnish.queries.judgments import Judged, Shares
from burnish.tables import QUERIES
from conftest import ROOT
from test_msmarco_files import GENERAL

QUERIES_TSV = "query_id\ttext\nq1\thow to brew tea\nq2\twhere do cups go\n"
GRADES = [("q1", "d1#a", 2), ("q1", "d2", 0), ("q2", "d2", 1)]
TREC = "".join(f"{query} 0 {target} {grade}\n" for query, target, grade in GRADES)
ROWS = "".join(f"{query}\t{target}\t{grade}\n" for query, target, grade in GRADES)
Stage = Callable[..., int | None]


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """The folder, with these files in it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def curated(root: Path, queries: str = "q.tsv", qrels: str = "r.tsv", *, test: float = 0.5, dev: float = 0.2) -> Curated:
    """The judged queries below `root`, over a corpus of documents d1 and d2 and passages d1#a and d2#b."""
    files = JudgmentFiles(queries=queries, qrels=qrels, language="en")
    ids = {"passage_ids": frozenset({"d1#a", "d2#b"}), "document_ids": frozenset({"d1", "d2"})}
    return curating.curated([files], root, **ids, shares=Shares(test=test, dev=dev))


def splits(found: Judged) -> dict[str, str]:
    return dict(found.queries.select("query_id", "split").iter_rows())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.tsv", f"query-id\tcorpus-id\tscore\n{ROWS}"),
        ("r.csv", f"query_id,target_id,grade\n{ROWS}".replace("\t", ",")),
        ("r.csv", f"\ufeffqid,docid,label\r\n{ROWS}".replace("\t", ",").replace("1\n", "1.0\r\n")),
        ("r.txt", TREC),
        ("r.qrels", TREC.replace(" ", "\t")),
        ("r.txt", f"\ufeff{TREC}"),
        ("r.txt", f"\n# query, iteration, target, grade\n{TREC}"),
        ("r.txt", TREC.replace("2\n", "2.0\n")),
        ("r.txt", TREC.replace(" 0 ", "\t0\t").replace(" ", " \t ")),
        ("r.csv", f"\ufeffqid;docid;label\r\n{ROWS}".replace("\t", ";").replace("\n", "\r\n")),
        ("r.jsonl", "\n".join(json.dumps(dict(zip(("qid", "pid", "relevance"), row, strict=True))) for row in GRADES)),
    ],
    ids=[
        "beir",
        "csv",
        "excel's csv",
        "trec",
        "trec with tabs",
        "trec with a mark",
        "trec with a comment",
        "trec with decimals",
        "trec with spaces at its tabs",
        "excel's csv in europe",
        "jsonl",
    ],
)
def test_grades_are_read_from_each_format(tmp_path: Path, name: str, content: str) -> None:
    """Passages and documents may be judged, and 0 is a judgment."""
    found = curated(write(tmp_path, {"q.tsv": QUERIES_TSV, name: content}), qrels=name)
    assert found.qrels.select("query_id", "target_id", "unit", "grade").rows() == [
        ("q1", "d1#a", "passage", 2),
        ("q1", "d2", "document", 0),
        ("q2", "d2", "document", 1),
    ]


def test_a_line_of_trec_may_have_spaces_in_an_id(tmp_path: Path) -> None:
    """Between tabs; documents go by the names of their files, the only one in the file too."""
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": "q1\t0\tmy lease.pdf\t1\n"})
    files = JudgmentFiles(queries="q.tsv", qrels="r.tsv", language="en")
    ids = {"passage_ids": frozenset[str](), "document_ids": frozenset({"my lease.pdf"})}
    found = curating.curated([files], tmp_path, **ids, shares=Shares(test=0.5, dev=0.2))
    assert found.qrels["target_id"].to_list() == ["my lease.pdf"]


def test_trecs_grades_below_0_are_0_and_counted(tmp_path: Path) -> None:
    """TREC's Web tracks grade spam so."""
    found = curated(write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": "q1 0 d1 -2\nq1 0 d2 1\nq2 0 d2 -1\nq2 0 d1 -0\n"}))
    assert found.qrels["grade"].to_list() == [0, 1, 0, 0]
    assert found.counts["grades_below_0"] == 2
    assert "grades_below_0" not in curated(write(tmp_path, {"r.tsv": TREC})).counts


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.tsv", 'qid\tquery\nq1\t"quoted" tea\nq2\twhere\n'),
        ("q.csv", '_id,question\nq1,"""quoted"" tea"\nq2,where\n'),
        ("q.csv", '_id;question\r\nq1;"""quoted"" tea"\r\nq2;where\r\n'),
        ("q.jsonl", '{"_id": "q1", "text": "\\"quoted\\" tea", "metadata": {}}\n{"_id": "q2", "text": "where"}'),
    ],
)
def test_queries_are_read_from_each_format(tmp_path: Path, name: str, content: str) -> None:
    """Quotation marks are text in tables of tabs, and quotes in tables of commas."""
    found = curated(write(tmp_path, {name: content, "r.tsv": TREC}), queries=name)
    assert found.queries.select("query_id", "text", "language", "origin").rows() == [
        ("q1", '"quoted" tea', "en", "curated"),
        ("q2", "where", "en", "curated"),
    ]


def test_further_columns_are_slices(tmp_path: Path) -> None:
    """A query without a value is in the slice none; the language may be a query's own."""
    lines = '{"id": "q1", "text": "a", "team": "law", "language": "de"}\n{"id": "q2", "text": "b", "count": 3}'
    found = curated(write(tmp_path, {"q.jsonl": lines, "r.tsv": TREC}), queries="q.jsonl")
    assert found.queries.select("query_id", "language", "slice_team").rows() == [("q1", "de", "law"), ("q2", "en", "none")]
    assert [name for name in found.queries.columns if name.startswith("slice_")] == ["slice_team"]


def test_queries_without_grades_are_left_out(tmp_path: Path) -> None:
    """Nothing is known of their answers."""
    found = curated(write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": "q2 0 d1 1\n"}))
    assert found.queries["query_id"].to_list() == ["q2"]


def test_a_querys_own_split_comes_first(tmp_path: Path) -> None:
    """Then the name of the judgment file, whatever the shares."""
    queries = "query_id\ttext\tsplit\nq1\thow to brew tea\ttest\nq2\twhere do cups go\t\n"
    write(tmp_path, {"q.tsv": queries, "r/train.tsv": "q1 0 d1 1\n", "r/dev.tsv": "q2 0 d1 1\n"})
    assert splits(curated(tmp_path, qrels="r/*.tsv", test=0)) == {"q1": "test", "q2": "dev"}


def test_a_query_of_two_files_is_told(tmp_path: Path) -> None:
    """It cannot be trained on and tested on."""
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r/train.tsv": "q1 0 d1 1\nq2 0 d1 1\n", "r/test.tsv": "q2 0 d2 1\n"})
    with pytest.raises(InputError, match="query 'q2' stands in the judgment files of two splits"):
        curated(tmp_path, qrels="r/*.tsv")


def many(root: Path, texts: dict[str, str], *, qrels: str = "r.tsv") -> Path:
    """A folder with these queries, each with an answer."""
    lines = "".join(f"{name}\t{text}\n" for name, text in texts.items())
    return write(root, {"q.tsv": f"query_id\ttext\n{lines}", qrels: "".join(f"{name} 0 d1 1\n" for name in texts)})


def distinct(count: int) -> dict[str, str]:
    """Queries of which no two are alike."""
    return {f"q{number}": hashlib.sha256(str(number).encode()).hexdigest()[:24] for number in range(count)}


def test_dev_is_cut_from_train_where_files_give_none(tmp_path: Path) -> None:
    """Of BEIR's usual two files, test stays as it is, and about the dev share of train becomes dev."""
    many(tmp_path, distinct(200), qrels="r/train.tsv")
    texts = (tmp_path / "q.tsv").read_text() + "t1\thow to brew tea\n"
    write(tmp_path, {"q.tsv": texts, "r/test.tsv": "t1 0 d1 1\n"})
    found = splits(curated(tmp_path, qrels="r/*.tsv", dev=0.2))
    assert found.pop("t1") == "test"
    assert set(found.values()) == {"train", "dev"}
    assert 20 < list(found.values()).count("dev") < 60


def test_shares_are_about_what_was_asked_for(tmp_path: Path) -> None:
    """Test and dev are drawn by hash, so their sizes are near the shares."""
    found = list(splits(curated(many(tmp_path, distinct(300)), test=0.5, dev=0.2)).values())
    assert 120 < found.count("test") < 180
    assert 35 < found.count("dev") < 85


def test_near_duplicates_are_in_one_split(tmp_path: Path) -> None:
    """Spellings of a query never stand on two sides."""
    texts = distinct(40)
    both = texts | {f"{name}x": f"{text.upper()}?" for name, text in texts.items()}
    found = splits(curated(many(tmp_path, both)))
    assert [name for name in texts if found[name] != found[f"{name}x"]] == []
    assert len(set(found.values())) > 1


def test_a_new_query_moves_no_other(tmp_path: Path) -> None:
    """The split of a query depends on its own cluster alone."""
    texts = distinct(60)
    before = splits(curated(many(tmp_path / "before", texts)))
    after = splits(
        curated(many(tmp_path / "after", {"new": "an altogether different question"} | dict(reversed(texts.items()))))
    )
    assert {name: after[name] for name in texts} == before


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"r.tsv": None}, "r.tsv: expected judgments, found no file; mend `collect.judgments` or empty it"),
        ({"q.tsv": None}, "q.tsv: expected a .jsonl, .csv or .tsv file, found none"),
        ({"q.tsv": "query_id\ttext\n"}, "q.tsv: expected queries, found none"),
        ({"q.tsv": b"query_id\ttext\nq1\t\xff\n"}, "q.tsv: not readable as a table in UTF-8"),
        ({"q.tsv": "query_id\ttext\nq1\t\nq2\tb\n"}, "q.tsv, record 1: expected a field named text or query or question"),
        ({"q.tsv": "query_id\ttext\nq1\ta\n"}, "q.tsv: judged query 'q2' is not there; add it or drop its grades"),
        ({"q.tsv": "query_id\ttext\tsplit\nq1\ta\ttests\nq2\tb\t\n"}, "q.tsv, record 1: split 'tests'; expected one of train"),
        ({"r.tsv": "q1 0 d1 1\nq2 0 gone 1\nq2 0 gone2 1\n"}, "2 of 3 judgments name an id that is neither a document nor a"),
        ({"r.tsv": "q1 0 d1 1\nq2 0 gone 1\n"}, "the first: 'gone' (query 'q2')"),
        ({"r.tsv": "q1 0 d1 1\nq2 0 d1\n"}, "r.tsv, line 2: expected 4 columns, found 3"),
        (
            {"r.tsv": "q1 0 d1 1\nq2 0 d1 -1.5\n"},
            "r.tsv, line 2: grade '-1.5'; expected a whole number from 0 (no answer) to 127",
        ),
        ({"r.tsv": "q1 0 d1 1 ada\n"}, "r.tsv, line 1: expected 4 columns, found 5; each line is query, 0, target and grade"),
        ({"r.tsv": "q1\t0\td1\t1\tada\n"}, "r.tsv, line 1: expected 4 columns, found 5"),
        (
            {"r.tsv": "q1 0 my lease.pdf 1\n"},
            "found 5; each line is query, 0, target and grade, with tabs between them where an id",
        ),
        ({"r.tsv": "q1 0 d1 1\nq2\t0\t\t1\n"}, "r.tsv, line 2: expected 4 columns, found 3"),
        ({"r.tsv": "qid\tpid\tgrade\nq1\td1\t-1\n"}, "r.tsv, record 1: grade '-1'; expected a whole number"),
        ({"r.tsv": "q1\td1\t1\n"}, "r.tsv: expected judgments, as lines of query, 0, target and grade (TREC's) or as records"),
        ({"r.tsv": "q1\td1\t1\n"}, r"a table with a header line above them; found nothing but 'q1\td1\t1'"),
        ({"r.tsv": "# none yet\n\n"}, "above them; found nothing"),
        ({"r.tsv": "qid\tpid\tgrade\nq1\td1\t1.5\n"}, "r.tsv, record 1: grade '1.5'; expected a whole number"),
        ({"r.tsv": "qid\tpid\tgrade\nq1\td1\tinf\n"}, "r.tsv, record 1: grade 'inf'; expected a whole number"),
        ({"r.tsv": "qid\tpid\tgrade\nq1\td1\tyes\n"}, "r.tsv, record 1: grade 'yes'; expected a whole number"),
        ({"r.tsv": "qid\tpid\tgrade\nq1\td1\t128\n"}, "r.tsv, record 1: grade '128'; expected a whole number"),
        ({"r.tsv": "qid\tpid\tpoints\nq1\td1\t1\tmore\n"}, "r.tsv, record 1: expected a field named grade or score"),
        ({"r.tsv": b"q1 0 d1 1\nq2 0 \xff 1\n"}, "r.tsv, line 2: not UTF-8"),
    ],
)
def test_judgments_that_cannot_be_used_are_told(tmp_path: Path, files: dict[str, str | bytes | None], told: str) -> None:
    """The message names the file, the record, what was expected and what was found."""
    good: dict[str, str | bytes | None] = {"q.tsv": QUERIES_TSV, "r.tsv": TREC}
    write(tmp_path, {name: content for name, content in (good | files).items() if content is not None})
    with pytest.raises(InputError) as caught:
        curated(tmp_path)
    assert told in str(caught.value)


def test_a_grade_that_contradicts_nothing_stands_once(tmp_path: Path) -> None:
    """The same judgment in two files is one."""
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r/a.tsv": TREC, "r/b.tsv": TREC})
    assert curated(tmp_path, qrels="r/*.tsv").qrels.height == 3


def test_an_annotator_column_tells_people_apart(tmp_path: Path) -> None:
    """Their median counts, their agreement is told, and no name leaves."""
    rows = "qid,pid,grade,annotator\nq1,d1,2,Ada\nq1,d1,0,Bob\nq1,d2,1,Ada\nq1,d2,1,Bob\n"
    found = curated(write(tmp_path, {"q.tsv": QUERIES_TSV, "r.csv": rows}), qrels="r.csv")
    assert found.qrels.select("target_id", "grade").rows() == [("d1", 0), ("d2", 1)]
    assert (found.counts["agreement"]["pairs"], found.counts["agreement"]["annotators"]) == (2, 2)
    assert not any(name in f"{found}" for name in ("Ada", "Bob"))


def test_a_contradiction_of_one_annotator_is_told(tmp_path: Path) -> None:
    """A table without annotators is one person's; two such tables are two people's."""
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r/a.tsv": "q1 0 d1 2\nq1 0 d1 1\n"})
    with pytest.raises(InputError, match=r"r/a.tsv: grade 2 for query 'q1', target 'd1', but 1 by the same annotator in"):
        curated(tmp_path, qrels="r/*.tsv")
    write(tmp_path, {"r/a.tsv": "q1 0 d1 2\n", "r/b.tsv": "q1 0 d1 1\n"})
    found = curated(tmp_path, qrels="r/*.tsv")
    assert (found.qrels["grade"].to_list(), found.counts["agreement"]["pairs"]) == ([1], 1)


EXPORT = {
    "kind": "argilla",
    "path": "e.jsonl",
    "query_field": "query",
    "query_id_field": "query_id",
    "target_field": "passage_id",
    "question": "fit",
    "grades": {},
    "language": "de",
}


def reviewed(query_id: str, query: str, target: str, **grades: int) -> str:
    """A record of Argilla, each person's grade."""
    responses = {"fit": [{"value": grade, "user_id": by} for by, grade in grades.items()]}
    metadata = {"query_id": query_id, "passage_id": target}
    return json.dumps({"fields": {"query": query}, "metadata": metadata, "responses": responses}) + "\n"


def both(root: Path, labels: str = "", **changed: object) -> Curated:
    """The judged queries of the files and of an export."""
    sources = [JudgmentFiles(queries="q.tsv", qrels="r.tsv", language="en"), ExportFiles.model_validate(EXPORT | changed)]
    ids = {"passage_ids": frozenset({"d1#a", "d2#b"}), "document_ids": frozenset({"d1", "d2"})}
    return curating.curated(sources, root, **ids, shares=Shares(test=0.5, dev=0.2), labels=labels)


def grades_of(found: Curated) -> dict[tuple[str, str], int]:
    return {(query, target): grade for query, target, grade in found.qrels.select("query_id", "target_id", "grade").iter_rows()}


def test_an_export_stands_beside_files(tmp_path: Path) -> None:
    """Its new queries are added, and its grades of known pairs are further people's."""
    lines = reviewed("q1", "how to brew tea", "d1#a", u1=0, u2=1) + reviewed("q9", "noch etwas", "d2#b", u1=3)
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": TREC, "e.jsonl": lines})
    found = both(tmp_path)
    assert grades_of(found) == {("q1", "d1#a"): 1, ("q1", "d2"): 0, ("q2", "d2"): 1, ("q9", "d2#b"): 3}
    assert dict(found.queries.select("query_id", "language").iter_rows()) == {"q1": "en", "q2": "en", "q9": "de"}


def test_two_texts_of_one_query_are_told(tmp_path: Path) -> None:
    """Else grades of one question would be taken for another's."""
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": TREC, "e.jsonl": reviewed("q1", "how to drink tea", "d1#a", u1=1)})
    with pytest.raises(InputError, match="query 'q1' has the text 'how to brew tea' and the text 'how to drink tea'"):
        both(tmp_path)


def test_an_export_whose_question_nobody_answered_is_told(tmp_path: Path) -> None:
    """Most likely the knob names another question."""
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": TREC, "e.jsonl": reviewed("q1", "how to brew tea", "d1#a", u1=1)})
    with pytest.raises(InputError, match=r"e.jsonl: no answer to 'other' counts \(left out: \{\}\); mend `question`"):
        both(tmp_path, question="other")


SKIPPED = {
    "data": {"query": "how to brew tea", "query_id": "q1", "passage_id": "d1#a"},
    "annotations": [
        {"completed_by": 1, "result": [{"from_name": "fit", "type": "rating", "value": {"rating": 2}}]},
        {"completed_by": 2, "result": [{"from_name": "fit", "type": "taxonomy", "value": {"taxonomy": [["a", "b"]]}}]},
    ],
}


def test_an_export_of_another_control_is_told(tmp_path: Path) -> None:
    """With the kind that was met and those that are read."""
    lines = json.dumps(SKIPPED | {"annotations": SKIPPED["annotations"][1:]})
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": TREC, "e.jsonl": lines})
    with pytest.raises(InputError) as caught:
        both(tmp_path, kind="label-studio")
    assert (
        "no answer to 'fit' counts (left out: {'kind taxonomy': 1}); mend `question`, which must name a control of choices"
        in (str(caught.value))
    )


LABELS = "query_id,target_id,grade,annotator\n"


def test_labels_join_the_grades_of_their_queries(tmp_path: Path) -> None:
    """Those of queries that other stages make stay for mix; those of passages that are gone are counted."""
    rows = f"{LABELS}q1,d1#a,0,Ada\nsyn-1,d2#b,2,Ada\nq2,d1#gone,1,Ada\n"
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": TREC, "e.jsonl": reviewed("q1", "how to brew tea", "d2#b", u1=1)})
    write(tmp_path, {"labels.csv": rows})
    found = both(tmp_path, labels="labels.csv")
    assert grades_of(found)["q1", "d1#a"] == 0
    assert grades_of(found)["syn-1", "d2#b"] == 2
    assert "syn-1" not in found.queries["query_id"]
    assert found.counts["labels"] == {"read": 3, "of_no_passage": 1}


def test_no_labels_yet_are_no_fault(tmp_path: Path) -> None:
    """`burnish label --take` makes the file."""
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": TREC, "e.jsonl": reviewed("q1", "how to brew tea", "d2#b", u1=1)})
    assert grades_of(both(tmp_path, labels="labels.csv")) == grades_of(both(tmp_path))


def test_an_export_without_queries_grades_those_of_other_entries(tmp_path: Path) -> None:
    """And of other stages, as labels do."""
    lines = reviewed("q2", "anything", "d1#a", u1=2) + reviewed("syn-1", "anything", "d1#a", u1=1)
    write(tmp_path, {"q.tsv": QUERIES_TSV, "r.tsv": TREC, "e.jsonl": lines})
    found = both(tmp_path, query_field="")
    assert grades_of(found)["q2", "d1#a"] == 2
    assert set(found.queries["query_id"]) == {"q1", "q2"}


def collected(stage: Stage, root: Path, **knobs: object) -> int | None:
    """The exit status of the stage, over a corpus of two documents with a passage each."""
    small.write_corpus(root / "corpus", {"d1": "d1#a", "d2": "d2#b"})
    write(root / "general", GENERAL)
    own = {
        "judgments": [{"queries": "q.tsv", "qrels": "r.tsv", "language": "en"}],
        "labels": "",
        "shares": {"test": 0, "dev": 0},
    }
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (root / "params.yaml").write_text(json.dumps({"collect": params["collect"] | own | knobs}))
    where = {name: root / name for name in ("corpus", "judged", "logs", "general", "out")}
    return stage("collect", params=root / "params.yaml", **where)


def test_curated_and_general_queries_become_one_table(tmp_path: Path, stage: Stage) -> None:
    """Counted by origin and split, and by grade."""
    write(tmp_path / "judged", {"q.tsv": QUERIES_TSV, "r.tsv": TREC})
    assert collected(stage, tmp_path, shares={"test": 0.99, "dev": 0.0}) == 0
    counts = json.loads((tmp_path / "out/counts.json").read_text())
    assert counts["queries"] == {"curated test": 2, "general test": 1, "general train": 2}
    assert counts["grades"] == {"0": 1, "1": 4, "2": 1}
    assert tables.read(QUERIES, tmp_path / "out/queries.parquet").height == 5


def test_what_of_the_experts_does_not_count_is_told(tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """In the stage's line, beside the counts."""
    files = {"q.tsv": QUERIES_TSV, "r.tsv": TREC.replace(" 0\n", " -2\n"), "e.json": json.dumps([SKIPPED])}
    export = EXPORT | {"kind": "label-studio", "path": "e.json"}
    write(tmp_path / "judged", files)
    entries = [{"queries": "q.tsv", "qrels": "r.tsv", "language": "en"}, export]
    assert collected(stage, tmp_path, judgments=entries, shares={"test": 0.99, "dev": 0.0}) == 0
    said = capsys.readouterr().out
    assert "; answers of experts left out: {'kind taxonomy': 1}; experts' grades below 0, taken as 0: 1\n" in said
    counts = json.loads((tmp_path / "out/counts.json").read_text())
    assert (counts["left_out"], counts["grades_below_0"]) == ({"kind taxonomy": 1}, 1)


def test_an_unknown_kind_of_judgments_is_told(tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """With the kinds there are."""
    assert collected(stage, tmp_path, judgments=[EXPORT | {"kind": "prodigy"}]) == 2
    assert "Input should be 'argilla' or 'label-studio'; found 'prodigy'" in capsys.readouterr().err


def test_agreement_reaches_the_counts(tmp_path: Path, stage: Stage) -> None:
    """And with them metrics/judgments.json."""
    rows = "qid,pid,grade,annotator\nq1,d1,2,Ada\nq1,d1,0,Bob\nq2,d2,1,Ada\nq2,d2,1,Bob\n"
    write(tmp_path / "judged", {"q.tsv": QUERIES_TSV, "r.csv": rows})
    entry = {"queries": "q.tsv", "qrels": "r.csv", "language": "en"}
    assert collected(stage, tmp_path, judgments=[entry], shares={"test": 0.99, "dev": 0.0}) == 0
    written = (tmp_path / "out/counts.json").read_text()
    assert json.loads(written)["agreement"]["kappa"]["1-2"]["pairs"] == 2
    assert not any(name in written for name in ("Ada", "Bob", "a-"))


def test_no_judgments_are_no_fault(tmp_path: Path, stage: Stage) -> None:
    """Someone with documents alone has the general set's queries here, and synthetic ones later."""
    assert collected(stage, tmp_path, judgments=[]) == 0
    assert set(tables.read(QUERIES, tmp_path / "out/queries.parquet")["origin"]) == {"general"}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"q.tsv": QUERIES_TSV, "r.tsv": TREC}, "no test query with an answer (a grade above 0), of 0 test queries"),
        ({"q.tsv": "query_id\ttext\tsplit\nq1\ttea\ttest\n", "r.tsv": "q1 0 d1 0\n"}, "(a grade above 0), of 1 test queries"),
        ({"q.tsv": QUERIES_TSV, "r.tsv": TREC.replace("d2", "d3")}, "2 of 3 judgments name an id"),
        ({}, "expected judgments, found no file"),
    ],
)
def test_a_bad_set_stops_the_stage(
    tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str], files: dict[str, str | bytes], told: str
) -> None:
    """One line, exit status 2, and no output."""
    write(tmp_path / "judged", files)
    assert collected(stage, tmp_path) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert told in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
