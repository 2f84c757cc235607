"""Runs: rows of the table of runs, from any search."""

import numpy as np
import polars as pl
import pytest

from burnish import tables
from burnish.arrays import Vectors
from burnish.search import retrieval
from burnish.tables import DOCUMENTS, PASSAGES, QUERIES, RUNS


def queries(*rows: tuple[str, str, str]) -> pl.DataFrame:
    """Rows of query_id, text, language."""
    return pl.DataFrame([(*row, "curated", "test") for row in rows], schema=QUERIES.columns, orient="row")


def passages(*texts: str, title: str = "") -> pl.DataFrame:
    """Passages p0, p1 ..."""
    rows = [(f"p{at}", f"p{at}", 0, title, "", text, 3) for at, text in enumerate(texts)]
    return pl.DataFrame(rows, schema=PASSAGES.columns, orient="row")


def unit(count: int, seed: int) -> Vectors:
    """Random unit vectors."""
    made = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


ASKED = queries(("a", "sun", "en"), ("b", "moon", "en"))


def test_a_dense_run_is_the_table_of_runs() -> None:
    """Ranks from 1, scores falling, depth rows a query, each passage once."""
    corpus = passages(*(str(at) for at in range(30)))
    run = retrieval.dense_run("base", ASKED, corpus, unit(2, 0), unit(30, 1), width=16, depth=5)
    tables.checked(run, RUNS, "run")
    assert run["query_id"].to_list() == ["a"] * 5 + ["b"] * 5
    assert run["rank"].to_list() == [1, 2, 3, 4, 5] * 2
    expected = np.argsort(-(unit(2, 0) @ unit(30, 1).T), axis=1)[:, :5]
    assert run["passage_id"].to_list() == [f"p{at}" for at in expected.reshape(-1)]


def test_a_narrower_run_searches_cut_vectors_of_unit_length() -> None:
    """The ranking at width 4 is that of the first four dimensions' cosine."""
    corpus = passages(*(str(at) for at in range(30)))
    run = retrieval.dense_run("base@4", ASKED, corpus, unit(2, 0), unit(30, 1), width=4, depth=30)
    one, other = (part[:, :4] / np.linalg.norm(part[:, :4], axis=1, keepdims=True) for part in (unit(2, 0), unit(30, 1)))
    assert run["score"].to_numpy().reshape(2, 30) == pytest.approx(-np.sort(-(one @ other.T), axis=1), abs=1e-6)


def test_a_vector_that_is_nought_within_the_width_stays_nought() -> None:
    """Not a division by zero, which would rank it by chance."""
    assert retrieval.truncated(np.array([[0, 0, 1]], np.float32), 2).tolist() == [[0, 0]]


def test_bm25_searches_the_title_too() -> None:
    """Every system is given the same text: title, heading and text."""
    corpus = pl.concat([passages("cold light"), passages("x", title="moon").with_columns(passage_id=pl.lit("p9"))])
    run = retrieval.bm25_run(ASKED, corpus, 2, documents=tables.empty(DOCUMENTS))
    assert run.filter(pl.col("query_id") == "b")["passage_id"].to_list()[0] == "p9"
    assert tables.checked(run, RUNS, "run")["system"].unique().to_list() == ["bm25"]
