"""The judged queries and the general set that lie in this repository: enough of them, and as they are described."""

import json
from typing import Any

import polars as pl
import pytest

from conftest import ROOT

JUDGED, GENERAL = ROOT / "data/judged", ROOT / "data/general"


def table(path: str, columns: list[str], separator: str = "\t") -> pl.DataFrame:
    """A file of the general set, without a header."""
    return pl.read_csv(GENERAL / path, separator=separator, has_header=False, new_columns=columns, quote_char=None)


@pytest.mark.parametrize(("split", "least"), [("test", 200), ("dev", 80)])
def test_queries_are_many_and_of_both_wordings(split: str, least: int) -> None:
    """Half in users' own words, half in the field's terms; each package has its share; no text stands twice."""
    queries = pl.read_ndjson(JUDGED / "queries.jsonl")
    own = queries.filter(pl.col("split") == split)
    assert own.height >= least
    assert own.filter(pl.col("wording") == "own-words").height * 2 == own.height
    assert set(own["package"]) == {"polars", "networkx", "duckdb"}
    assert own["package"].value_counts()["count"].min() >= own.height // 5
    assert queries["query_id"].is_unique().all()
    assert queries["text"].str.to_lowercase().is_unique().all()


def test_each_query_has_an_answer_and_a_judged_pool() -> None:
    """A full answer at least, non-answers beside it, and no pair judged twice."""
    queries = pl.read_ndjson(JUDGED / "queries.jsonl")
    qrels = pl.read_csv(JUDGED / "qrels.tsv", separator="\t")
    assert set(qrels["query_id"]) == set(queries["query_id"])
    assert set(qrels["grade"]) == {0, 1, 2}
    assert qrels.select("query_id", "document_id").is_unique().all()
    each = qrels.group_by("query_id").agg(full=(pl.col("grade") == 2).sum(), judged=pl.len())
    assert each["full"].min() >= 1
    assert each["judged"].min() >= 10


@pytest.mark.parametrize(("split", "least"), [("train", 1100), ("dev", 290), ("test", 790)])
def test_general_questions_are_many(split: str, least: int) -> None:
    """Each with an answer in the collection, no pair twice."""
    passages = set(table("collection.tsv", ["passage_id", "text"])["passage_id"])
    queries = table(f"queries.{split}.tsv", ["query_id", "text"])
    qrels = table(f"qrels.{split}.tsv", ["query_id", "iteration", "passage_id", "grade"], " ")
    assert queries.height >= least
    assert set(qrels["query_id"]) == set(queries["query_id"])
    assert qrels.select("query_id", "passage_id").is_unique().all()
    assert set(qrels["passage_id"]) <= passages


def test_held_out_questions_have_distractors() -> None:
    """More passages that answer none of them than passages that answer one."""
    passages = table("collection.tsv", ["passage_id", "text"]).height
    held_out = [
        table(f"qrels.{split}.tsv", ["query_id", "iteration", "passage_id", "grade"], " ")["passage_id"]
        for split in ("dev", "test")
    ]
    assert passages > 2 * pl.concat(held_out).n_unique()


def metrics(name: str) -> Any:
    """A file of metrics, as committed."""
    return json.loads((ROOT / f"metrics/{name}.json").read_text(encoding="utf-8"))


def test_the_default_domain_is_won_and_general_language_kept() -> None:
    """By a fifth over the base, beyond chance, narrow vectors too, and with every first ten passages judged."""
    found = metrics("retrieval")
    base, tuned = (found["test"][system] for system in ("base", "tuned"))
    assert found["test"]["origin"] == "curated"
    assert tuned["ndcg@10"] >= 1.2 * base["ndcg@10"]
    assert found["test"]["delta"]["ndcg@10_low"] > 0
    assert metrics("widths")["128"]["ndcg@10"] >= base["ndcg@10"]
    assert found["general"]["delta"]["ndcg@10"] >= -0.01
    assert found["general"]["base"]["ndcg@10"] < 0.9  # room to forget
    assert [found["test"][system]["judged@10"] for system in ("bm25", "base", "tuned")] == [1, 1, 1]


def test_the_tables_of_metrics_speak_of_the_judged_queries() -> None:
    """As many as lie here: none was left out."""
    test = pl.read_ndjson(JUDGED / "queries.jsonl").filter(pl.col("split") == "test").height
    general = table("queries.test.tsv", ["query_id", "text"]).height
    found = metrics("retrieval")
    assert [found[part]["delta"]["queries"] for part in ("test", "general")] == [test, general]
