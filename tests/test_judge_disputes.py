"""Where a real judge on loopback disagrees with a real model and with clicks: from the stage through the queue and back."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml
from click.testing import CliRunner

import loopback
from burnish import tables
from burnish.cli import cli
from burnish.embedding import vectors
from burnish.embedding.teachers import Embedder
from burnish.queries import built, judge_disputes, ranks
from burnish.tables import DOCUMENTS, NEGATIVES, PASSAGES, QRELS, QUERIES, RUNS
from conftest import ROOT
from handmade import documents_of, table
from loopback import Act, says, serving
from test_generate import KNOBS, LOCAL, at

HERDS = 101  # passages that a query about zebras is nearer to than to any subject
SAID = {  # by subject: the queries that the model writes, and the judge's score of each
    "Frames": {"what are Frames": 3, "when do zebras move north": 7},
    "Joins": {"make Joins in one call": 9, "do zebras walk in herds": 10},
    "Paths": {"what are Paths": 4, "make Frames in one call": 1},
    "Trees": {"what are Trees": 9, "what are   joins": 4},
}
CLICKED = [  # query, target, unit, grade
    ("WHAT ARE frames?", "Frames#0", "passage", 2),
    ("what are paths", "Paths", "document", 1),
    ("Make joins, in one call", "Joins", "document", 0),
    ("Make joins, in one call", "Trees#0", "passage", 2),
    ("what are trees", "Trees#0", "passage", 2),
]
REASONS = ("refused-but-first", "passed-but-far-down", "judge-against-clicks")


def passages() -> pl.DataFrame:
    """One of each subject, and a document of all herds, which is asked about once."""
    subjects = [(name, name, "", f"{name} hold values. They are made in one call.") for name in SAID]
    herds = [("Herds", "Herds", "", f"Zebras of herd {n} walk and move north in spring.") for n in range(HERDS)]
    return table(*subjects, *herds)


def model(message: str, before: int) -> Act:
    """Writes the queries of SAID, none about herds, and judges them."""
    title = re.search(r"<excerpt>\n(\w+)\n", message)
    assert title
    said = SAID.get(title[1], {})
    judges = message.startswith("You judge")
    return says(json.dumps({"scores": list(said.values())} if judges else {"queries": list(said)}))


def synthesized(root: Path, url: str, *, threshold: int) -> None:
    """Run the stage in `root`, as the pipeline does."""
    judge = {**KNOBS["judge"], "threshold": threshold, "prompt": "judge.txt"}
    chosen = {**KNOBS, "service": at(url), "judge": judge, "max_bad_share": 1.0}
    (root / "params.yaml").write_text(yaml.safe_dump({"synthesize": chosen, "compute": LOCAL}))
    words = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["synthesize"]["cmd"].split()
    own = {"OPENAI_API_KEY": loopback.KEY, "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, str(ROOT / words[1]), *words[2:]], cwd=root, env=os.environ | own, check=True)


def collected(root: Path) -> None:
    """Write what people clicked and one test query, and what `mix` makes of all queries: everything is used."""
    asked = list(dict.fromkeys(text for text, *_ in CLICKED))
    rows = [(f"clicks:{n}", text, "en", "clicks", "train") for n, text in enumerate(asked)]
    rows.append(("t", "a test question", "en", "curated", "test"))
    own = pl.DataFrame(rows, QUERIES.columns, orient="row")
    grades = [(f"clicks:{asked.index(text)}", *rest, 1.0, "clicks") for text, *rest in CLICKED]
    clicks = pl.DataFrame(grades, QRELS.columns, orient="row")
    test = pl.DataFrame([("t", "Trees#0", "passage", 1, 1.0, "curated")], QRELS.columns, orient="row")
    tables.write(own, QUERIES, root / "data/collected/queries.parquet")
    tables.write(pl.concat([clicks, test]), QRELS, root / "data/collected/qrels.parquet")
    made = tables.read(QUERIES, root / "data/synthetic/queries.parquet")
    answers = tables.read(QRELS, root / "data/synthetic/qrels.parquet")
    every = pl.concat([own, made])
    tables.write(every.filter(pl.col("split") == "train"), QUERIES, root / "data/mixed/training/queries.parquet")
    tables.write(every.filter(pl.col("split") == "test"), QUERIES, root / "data/mixed/test/queries.parquet")
    tables.write(pl.concat([clicks, answers]), QRELS, root / "data/mixed/training/qrels.parquet")
    tables.write(test, QRELS, root / "data/mixed/test/qrels.parquet")


def embedded(root: Path, base_model: Path) -> None:
    """Write the real model's vectors; the tuned model's are the same, but that Paths and Trees have changed places."""
    (root / "models").mkdir()
    for name in ("base", "release"):
        (root / "models" / name).symlink_to(base_model)
    embedder, read = (
        Embedder.at(base_model, root / ".cache/vectors"),
        tables.read(PASSAGES, root / "data/corpus/passages.parquet"),
    )
    ids = read["passage_id"].to_list()
    found = embedder.vectors("passage", tables.embedded_text(read))
    vectors.write(root / "data/vectors/base/passages.parquet", ids, found)
    one, other = ids.index("Paths#0"), ids.index("Trees#0")
    ids[one], ids[other] = ids[other], ids[one]
    vectors.write(root / "data/vectors/tuned/passages.parquet", ids, found)
    queries = tables.read(QUERIES, root / "data/mixed/training/queries.parquet")
    own = embedder.vectors("query", queries["text"].to_list())
    vectors.write(root / "data/vectors/base/queries.parquet", queries["query_id"].to_list(), own)


@pytest.fixture(scope="module")
def server() -> Iterator[loopback.Service]:
    """The language model."""
    with serving(model) as running:
        yield running


@pytest.fixture(scope="module")
def root(server: loopback.Service, base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which the stage was run with a threshold of 7, and the rest is built on what it wrote."""
    folder = tmp_path_factory.mktemp("judged")
    tables.write(passages(), PASSAGES, folder / "data/corpus/passages.parquet")
    tables.write(documents_of(passages()), DOCUMENTS, folder / "data/corpus/documents.parquet")
    (folder / "prompts").symlink_to(ROOT / "prompts")
    synthesized(folder, server.url, threshold=7)
    collected(folder)
    embedded(folder, base_model)
    tables.write(tables.empty(NEGATIVES), NEGATIVES, folder / "data/negatives/negatives.parquet")
    run = pl.DataFrame([("base", "t", "Trees#0", 1, 1.0)], RUNS.columns, orient="row")
    tables.write(run, RUNS, folder / "data/runs/runs.parquet")
    return folder


@pytest.fixture(autouse=True)
def _here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


def label(*arguments: str) -> str:
    """What the command says."""
    result = CliRunner().invoke(cli, ["label", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def queued(path: Path) -> list[dict[str, str]]:
    """The rows of the queue for the judge's three reasons."""
    label("--out", str(path), *(part for reason in REASONS for part in ("--only", reason)))
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_the_judge_disputes_is_asked(tmp_path: Path) -> None:
    """Each reason with its most urgent pair first: more models, a higher score, a surer judge. What is agreed on is not asked."""
    rows = queued(tmp_path / "q.jsonl")
    assert [(row["reason"], row["query"], row["target_id"], row["detail"]) for row in rows] == [
        ("refused-but-first", "what are Frames", "Frames#0", "judge: 3 of 10, first of base, tuned"),
        ("passed-but-far-down", "do zebras walk in herds", "Joins#0", f"judge: 10 of 10, rank {ranked('do zebras')} of base"),
        ("judge-against-clicks", "Make joins, in one call", "Joins#0", "judge: 9 of 10, shown and hardly clicked"),
        ("refused-but-first", "what are Paths", "Paths#0", "judge: 4 of 10, first of base"),
        ("passed-but-far-down", "when do zebras move north", "Frames#0", f"judge: 7 of 10, rank {ranked('when do')} of base"),
        ("judge-against-clicks", "WHAT ARE frames?", "Frames#0", "judge: 3 of 10, an answer by clicks, grade 2"),
        ("judge-against-clicks", "what are paths", "Paths#0", "judge: 4 of 10, an answer by clicks, grade 1"),
    ]
    assert all(row["text"].startswith(row["target_id"].removesuffix("#0")) for row in rows)


def ranked(begin: str) -> int:
    """The base's rank of the answer to the synthetic query that begins so: beyond all herds."""
    known = built.built(Path())
    found = ranks.base_ranks(Path(), known).join(known.queries.select("query_id", "text"), on="query_id")
    rank = int(found.filter(pl.col("text").str.starts_with(begin))["rank"][0])
    assert rank > HERDS
    return rank


def test_a_document_is_refused_by_all_its_passages_alone() -> None:
    """With a second passage that the judge never saw, clicks on the document contradict nothing; its passing still does."""
    known = built.built(Path())
    further = known.passages.filter(pl.col("document_id").is_in(["Paths", "Joins"])).with_columns(
        passage_id=pl.col("document_id") + "#1"
    )
    longer = pl.concat([known.passages, further])
    found = judge_disputes.judge_against_clicks(replace(known, passages=longer))
    assert set(found["passage_id"]) == {"Frames#0", "Joins#0"}


def test_experts_tell_what_scores_are_worth(tmp_path: Path) -> None:
    """A refused query's grade is taken, though no table of queries has it, and the command tells answers by the judge's score."""
    rows = [row | {"grade": int(row["target_id"] == "Frames#0")} for row in queued(tmp_path / "q.jsonl")]
    (tmp_path / "q.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    said = label("--take", str(tmp_path / "q.jsonl"), "--annotator", "Ada", "--labels", str(tmp_path / "labels.csv"))
    assert "7 new" in said
    told = json.loads(said.split("judge, by score: ")[1])
    assert told == {  # of synthetic pairs: clicked queries are others'
        "3": {"graded": 1, "answers": 1},
        "4": {"graded": 1, "answers": 0},
        "7": {"graded": 1, "answers": 1},
        "10": {"graded": 1, "answers": 0},
    }
    again = label("--out", str(tmp_path / "n.jsonl"), "--only", "refused-but-first", "--labels", str(tmp_path / "labels.csv"))
    assert "0 pairs of" in again


def test_a_lower_threshold_lets_in_what_was_graded(root: Path, server: loopback.Service, tmp_path: Path) -> None:
    """The refused query comes by the id under which it was asked about, so its grade counts; nobody is asked again."""
    before = tables.read(QUERIES, Path("data/synthetic/queries.parquet"))
    asked = {row["query_id"]: row["query"] for row in queued(tmp_path / "q.jsonl") if row["reason"] == "refused-but-first"}
    for name in ("prompts", "data/paid", "data/corpus"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(root / name)
    paid = server.delivered.total()
    synthesized(tmp_path, server.url, threshold=2)
    assert server.delivered.total() == paid
    after = tables.read(QUERIES, tmp_path / "data/synthetic/queries.parquet")
    assert not asked.keys() & {*before["query_id"]}
    assert dict(after.filter(pl.col("query_id").is_in(list(asked))).select("query_id", "text").iter_rows()) == asked
