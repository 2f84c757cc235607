"""The queue for experts: what is asked, why, in which order; and the whole way there and back."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from burnish import tables
from burnish.arrays import Vectors
from burnish.cli import cli
from burnish.embedding import vectors
from burnish.embedding.teachers import Embedder
from burnish.errors import InputError
from burnish.queries import borderline, built, labels, ranks
from burnish.queries.built import Built
from burnish.tables import NEGATIVES, PASSAGES, QRELS, QUERIES, RUNS, VERDICTS
from burnish.training.mining import Rule

SIZE = 120  # passages, of two a document


def passages() -> pl.DataFrame:
    rows = [(f"d{at // 2}#{at % 2}", f"d{at // 2}", at % 2, f"title {at}", "", f"text {at}", 2) for at in range(SIZE)]
    return pl.DataFrame(rows, schema=PASSAGES.columns, orient="row")


QUERIES_OF = [
    ("t1", "first test question", "curated", "test"),
    ("t2", "=second test question", "curated", "test"),
    ("s1", "a synthetic question", "synthetic", "train"),
    ("s2", "another synthetic one", "synthetic", "train"),
    ("c1", "what people clicked for", "clicks", "train"),
    ("general:1", "why is the sky blue", "general", "test"),
]
QRELS_OF = [
    ("t1", "d0", "document", 2, "curated"),
    ("t1", "d1", "document", 0, "curated"),
    ("t2", "d5#0", "passage", 1, "curated"),
    ("s1", "d2#0", "passage", 1, "synthetic"),
    ("s2", "d3#0", "passage", 1, "synthetic"),
    ("c1", "d55#0", "passage", 2, "clicks"),
]
CLICKS_OF = [
    ("c1", "d55#0", "passage", 2),
    ("c1", "d0", "document", 0),
    ("c1", "d1", "document", 0),
    ("c1", "d6", "document", 1),
    ("gone", "d59", "document", 1),
]
RULE = Rule(per_query=0, first_rank=1, last_rank=100, pool=20, max_share=0.95, search="exact")
NEGATIVES_OF = [("s1", "d7#0", 0.3), ("s1", "d8#0", 0.01), ("s2", "d9#0", 0.2), ("c1", "d9#1", 0.02)]
RUNS_OF = {
    "base": {"t1": ["d1#1", "d1#0", "d0#0", "d4#1"], "t2": ["d5#0"], "general:1": ["general:9"]},
    "tuned": {"t1": ["d0#0", "d4#1"], "t2": ["d6#0", "d5#0"]},
    "tuned@64": {"t1": ["d50#0"]},
    "bm25": {"t1": ["d4#0"], "t2": ["d5#1"]},
}


@pytest.fixture(scope="module")
def clicked(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    """The vector of c1's text, shape (1, dimensions)."""
    return Embedder.at(base_model, tmp_path_factory.mktemp("store")).vectors("query", ["what people clicked for"])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base_model: Path, clicked: Vectors) -> Path:
    """A built repository of a few tables, whose release is the real base model."""
    asked = pl.DataFrame([(*row[:2], "en", *row[2:]) for row in QUERIES_OF], schema=QUERIES.columns, orient="row")
    judged = pl.DataFrame([(*row[:4], 1.0, row[4]) for row in QRELS_OF], schema=QRELS.columns, orient="row")
    for name, test in (("training", False), ("test", True)):
        ids = asked.filter((pl.col("split") == "test") == test)["query_id"].to_list()
        tables.write(asked.filter(pl.col("query_id").is_in(ids)), QUERIES, tmp_path / "data/mixed" / name / "queries.parquet")
        tables.write(judged.filter(pl.col("query_id").is_in(ids)), QRELS, tmp_path / "data/mixed" / name / "qrels.parquet")
    for name, origins in (("collected", ["curated", "clicks", "general"]), ("synthetic", ["synthetic"])):
        own = asked.filter(pl.col("origin").is_in(origins))
        tables.write(own, QUERIES, tmp_path / "data" / name / "queries.parquet")
    tables.write(judged.filter(pl.col("origin") == "synthetic"), QRELS, tmp_path / "data/synthetic/qrels.parquet")
    own = [(query, target, unit, grade, 1.0, "clicks") for query, target, unit, grade in CLICKS_OF]
    tables.write(pl.DataFrame(own, schema=QRELS.columns, orient="row"), QRELS, tmp_path / "data/collected/qrels.parquet")
    tables.write(tables.empty(VERDICTS), VERDICTS, tmp_path / "data/synthetic/verdicts.parquet")
    mined = [(query, passage, 5, 0.5, margin, "exact") for query, passage, margin in NEGATIVES_OF]
    tables.write(
        pl.DataFrame(mined, schema=NEGATIVES.columns, orient="row"), NEGATIVES, tmp_path / "data/negatives/negatives.parquet"
    )
    found = [
        (system, query, passage, rank, 1 / rank)
        for system, lists in RUNS_OF.items()
        for query, ranked in lists.items()
        for rank, passage in enumerate(ranked, 1)
    ]
    tables.write(pl.DataFrame(found, schema=RUNS.columns, orient="row"), RUNS, tmp_path / "data/runs/runs.parquet")
    tables.write(passages(), PASSAGES, tmp_path / "data/corpus/passages.parquet")
    near = np.linspace(1, 0.1, SIZE, dtype=np.float32)[:, None]  # passage n has rank n + 1 for every query
    vectors.write(tmp_path / "data/vectors/base/passages.parquet", passages()["passage_id"].to_list(), near)
    RULE.write(tmp_path / "data/negatives/rule.json")
    vectors.write(tmp_path / "data/vectors/tuned/passages.parquet", passages()["passage_id"].to_list(), near * clicked)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/release").symlink_to(base_model)
    ids = [row[0] for row in QUERIES_OF]
    vectors.write(tmp_path / "data/vectors/base/queries.parquet", ids, np.ones((len(ids), 1), np.float32))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def known(root: Path) -> Built:
    return built.built(root)


def details(pairs: pl.DataFrame) -> dict[tuple[str, str], str]:
    return {(query, passage): detail for query, passage, detail in pairs.select("query_id", "passage_id", "detail").iter_rows()}


def test_unjudged_passages_within_ten_are_asked(known: Built) -> None:
    """By document, since judgments name documents: d4 through its best passage, d6; not d1, whose document is judged."""
    found = labels.unjudged(known).sort("urgency", descending=True)
    assert details(found) == {
        ("t1", "d4#0"): "rank 1 of bm25, rank 2 of tuned, rank 3 of base",
        ("t2", "d6#0"): "rank 1 of tuned",
    }
    assert found["urgency"].to_list() == pytest.approx([1 + 1 / np.log2(3) + 1 / 2, 1.0])


def test_a_judged_non_answer_that_a_model_ranks_first_is_asked_again(known: Built) -> None:
    """One of the two is wrong."""
    assert details(labels.first_but_no_answer(known)) == {("t1", "d1#1"): "judged 0, first of base"}


def test_clicks_that_the_tuned_model_contradicts_are_asked(root: Path, known: Built) -> None:
    """The answer at rank 111, and the first that nobody clicked; not d6, whose passage is the 13th, the document the 7th."""
    found = ranks.tuned_ranks(root, known).sort("target_id")
    assert found.select("target_id", "grade", "passage_id", "rank").rows() == [
        ("d0", 0, "d0#0", 1),
        ("d1", 0, "d1#0", 2),
        ("d55#0", 2, "d55#0", 111),
        ("d6", 1, "d6#0", 7),
    ]
    low, first = labels.clicked_but_low(found), labels.first_but_not_clicked(found)
    assert details(low) == {("c1", "d55#0"): "an answer by clicks, grade 2, rank 111 of tuned"}
    assert details(first) == {("c1", "d0#0"): "shown and hardly clicked, first of tuned, score 1.0"}


def test_without_clicks_no_model_is_loaded(root: Path, known: Built) -> None:
    """As before there were search logs: the release need not lie here."""
    (root / "models/release").unlink()
    found = ranks.tuned_ranks(root, replace(known, clicks=known.clicks.clear()))
    assert (found.height, labels.clicked_but_low(found).height, labels.first_but_not_clicked(found).height) == (0, 0, 0)
    with pytest.raises(InputError, match="models/release: expected a sentence-transformers model"):
        ranks.tuned_ranks(root, known)


def test_blocks_of_queries_change_no_rank(root: Path, known: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by scores at once; here those of one query, of three."""
    two = pl.concat([known.clicks.with_columns(query_id=pl.lit(name)) for name in ("c1", "s1", "s2")])
    three = replace(known, clicks=two)
    whole = ranks.tuned_ranks(root, three)
    monkeypatch.setattr(ranks, "_CELLS", SIZE)
    assert ranks.tuned_ranks(root, three).drop("score").equals(whole.drop("score"))
    monkeypatch.setattr(ranks, "_MOST", 1)
    assert ranks.tuned_ranks(root, three)["query_id"].n_unique() == 1


def test_an_answer_far_down_is_doubted(root: Path, known: Built) -> None:
    """The clicked one at rank 111; the synthetic ones, at 5 and 7, are not."""
    found = labels.answer_far_down(ranks.base_ranks(root, known))
    assert details(found) == {("c1", "d55#0"): "an answer by clicks, rank 111 of base"}


def test_without_a_judge_nothing_is_said_of_one(root: Path, known: Built) -> None:
    """No reason names it and no table of refused pairs is missed; where queries have scores it is."""
    (root / "models/release").unlink()
    offered = labels.candidates(root, known, ["refused-but-first", "passed-but-far-down", "judge-against-clicks"])
    assert [pairs.height for pairs in offered.values()] == [0, 0, 0]
    scores = pl.DataFrame([("s1", 9)], VERDICTS.columns, orient="row")
    tables.write(scores, VERDICTS, root / "data/synthetic/verdicts.parquet")
    with pytest.raises(InputError, match=r"refused.parquet: expected the Parquet table refused"):
        built.built(root)


def test_the_nearest_negative_of_each_query_is_asked(root: Path, known: Built) -> None:
    """The smaller the margin the sooner."""
    found = borderline.borderline_negative(root, known).sort("urgency", descending=True)
    assert found.select("query_id", "passage_id").rows() == [("s1", "d8#0"), ("c1", "d9#1"), ("s2", "d9#0")]


def test_where_nothing_was_mined_the_rule_finds_borderline_ones(root: Path, known: Built) -> None:
    """The first below 0.95 of each answer's score; c1's hundred first are all above it, and what an expert graded 0 is known."""
    none = replace(known, negatives=known.negatives.clear())
    found = borderline.borderline_negative(root, none).sort("query_id")
    assert list(details(found)) == [("s1", "d5#1"), ("s2", "d6#1")]
    own, other = (1 - at * 0.9 / 119 for at in (4, 11))
    assert found["urgency"][0] == pytest.approx(other - own, abs=1e-5)
    assert found["detail"][0] == f"just under mine.max_share, {own - other:.3f} below the answer"
    no = pl.DataFrame([("s1", "d5#1", "passage", 0, 1.0, "curated")], schema=QRELS.columns, orient="row")
    graded = replace(none, qrels=pl.concat([known.qrels, no]))
    assert list(details(borderline.borderline_negative(root, graded).sort("query_id"))) == [("s1", "d6#0"), ("s2", "d6#1")]


def test_judged_negatives_are_not_mined_ones(root: Path, known: Built) -> None:
    """Training that has these alone mined nothing."""
    judged = replace(known, negatives=known.negatives.with_columns(miner=pl.lit("judged")))
    assert list(details(borderline.borderline_negative(root, judged).sort("query_id"))) == [("s1", "d5#1"), ("s2", "d6#1")]


def queue(root: Path, known: Built, *done: tuple[str, str], size: int = 99) -> pl.DataFrame:
    """The queue of every reason, less what is labelled already."""
    labelled = pl.DataFrame(list(done), schema={"query_id": pl.String, "target_id": pl.String}, orient="row")
    return labels.queue(labels.candidates(root, known), known, labelled=labelled, size=size)


def test_reasons_take_turns(root: Path, known: Built) -> None:
    """Each with its most urgent pair; a shorter queue is the longer one's beginning."""
    found = queue(root, known)
    assert found.select("priority", "reason", "query_id", "target_id").rows() == [
        (1, "unjudged", "t1", "d4#0"),
        (2, "first-but-no-answer", "t1", "d1#1"),
        (3, "clicked-but-low", "c1", "d55#0"),
        (4, "first-but-not-clicked", "c1", "d0#0"),
        (5, "borderline-negative", "s1", "d8#0"),
        (6, "unjudged", "t2", "d6#0"),
        (7, "borderline-negative", "c1", "d9#1"),
        (8, "borderline-negative", "s2", "d9#0"),
    ]
    assert queue(root, known, size=3).equals(found.head(3))
    assert found.row(0, named=True)["text"] == "text 8"
    assert queue(root, known).equals(found)


def test_what_is_labelled_is_not_asked_again(root: Path, known: Built) -> None:
    """By whichever annotator."""
    found = queue(root, known, ("t1", "d4#0"), ("s1", "d8#0"))
    assert found.height == 6
    assert ("t1", "d4#0") not in found.select("query_id", "target_id").rows()


def test_a_pair_stands_once(root: Path, known: Built) -> None:
    """For the first reason that names it."""
    same = borderline.borderline_negative(root, known)
    none = pl.DataFrame(schema={"query_id": pl.String, "target_id": pl.String})
    found = labels.queue({"unjudged": same, "borderline-negative": same}, known, labelled=none, size=9)
    assert found["reason"].to_list() == ["unjudged"] * 3


def run(*arguments: str) -> str:
    """What the command says."""
    result = CliRunner().invoke(cli, ["label", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_there_and_back_again(root: Path) -> None:
    """Written, filled in by two people, taken twice, and the next queue asks for the rest."""
    run("--out", "q.csv", "--out", "q.jsonl", "--size", "3")
    rows = [json.loads(line) for line in Path("q.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["priority"] for row in rows] == [1, 2, 3]
    for name, grades in (("ada", (0, 2, 1)), ("bob", (0, 1, 1))):
        filled = [row | {"grade": grade} for row, grade in zip(rows, grades, strict=True)]
        Path(f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in filled), encoding="utf-8")
    assert "3 new, 0 changed, 0 as before, 0 left blank" in run("--take", "ada.jsonl", "--annotator", "Ada")
    said = run("--take", "bob.jsonl", "--annotator", "Bob")
    assert '"pairs": 3' in said
    kept = Path("data/judged/labels.csv").read_bytes()
    assert "0 new, 0 changed, 3 as before" in run("--take", "ada.jsonl", "--annotator", "Ada")
    assert Path("data/judged/labels.csv").read_bytes() == kept
    assert not any(name in kept.decode() + said for name in ("Ada", "Bob"))
    dropped = tables.read(QUERIES, root / "data/mixed/training/queries.parquet").filter(pl.col("query_id") != "c1")
    tables.write(dropped, QUERIES, root / "data/mixed/training/queries.parquet")  # as mix does once Ada's 1 were a 0
    assert "3 as before" in run("--take", "ada.jsonl", "--annotator", "Ada")
    run("--out", "next.jsonl", "--only", "unjudged")
    assert [json.loads(line)["target_id"] for line in Path("next.jsonl").read_text().splitlines()] == ["d6#0"]


def test_clicks_against_the_model_in_either_format(root: Path) -> None:
    """Asked for by their names, as CSV and as JSON lines."""
    run("--out", "q.csv", "--out", "q.jsonl", "--only", "clicked-but-low", "--only", "first-but-not-clicked")
    rows = [json.loads(line) for line in (root / "q.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["reason"], row["query_id"], row["target_id"]) for row in rows] == [
        ("clicked-but-low", "c1", "d55#0"),
        ("first-but-not-clicked", "c1", "d0#0"),
    ]
    table = pl.read_csv(root / "q.csv").select("reason", "query_id", "target_id", "detail")
    assert table.rows() == [(row["reason"], row["query_id"], row["target_id"], row["detail"]) for row in rows]


def test_a_repository_that_is_not_built_is_told(tmp_path: Path) -> None:
    """With what to run."""
    with pytest.raises(InputError, match=r"runs.parquet: the runs are not there; run `dvc repro`, then ask again"):
        built.built(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give either --out"),
        (("--out", "q.csv", "--take", "q.csv"), "give either"),
        (("--out", "q.csv", "--only", "x"), "--only x"),
    ],
)
def test_what_cannot_be_asked_is_told(root: Path, arguments: tuple[str, ...], told: str) -> None:
    """With what can."""
    assert told in run(*arguments)
