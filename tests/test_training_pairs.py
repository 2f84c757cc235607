"""The pairs that a reranker learns."""

import numpy as np
import polars as pl

from burnish import tables
from burnish.arrays import Vectors
from burnish.training import pairs
from burnish.training.parts import Part


def unit(degrees: float) -> Vectors:
    """A vector of two dimensions."""
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], dtype=np.float32)


PLACES = {"answer": 0.0, "near": 5.0, "far": 60.0, "other": 80.0, "second": 90.0}  # angles of the passages
ASKED = {"a": 0.0, "b": 2.0, "c": 90.0, "d": 0.0}


def labelled(
    mined: list[tuple[str, str]], judged: list[tuple[str, str, str, int, float]], **options: float
) -> list[tuple[str, str, float]]:
    """The pairs of a small corpus; document ids are the passages' in capitals."""
    row = {"ordinal": 0, "title": "", "heading": "", "tokens": 9}
    passages = pl.DataFrame(
        [row | {"passage_id": name, "document_id": name.upper(), "text": f"text of {name}"} for name in PLACES],
        schema=tables.PASSAGES.columns,
    )
    queries = pl.DataFrame(
        [(name, f"query {name}", "en", "synthetic", "dev" if name == "d" else "train") for name in ASKED],
        schema=tables.QUERIES.columns,
        orient="row",
    )
    qrels = pl.DataFrame([(*one, "synthetic") for one in judged], schema=tables.QRELS.columns, orient="row")
    negatives = pl.DataFrame(
        [(query, passage, rank, 0.5, 0.1, "exact") for rank, (query, passage) in enumerate(mined, 1)],
        schema=tables.NEGATIVES.columns,
        orient="row",
    )
    part = Part(queries, passages, np.stack([unit(angle) for angle in PLACES.values()]))
    chosen = {"negatives": 8, "max_share": 0.95} | options
    known = {name: unit(angle) for name, angle in ASKED.items()}
    found = pairs.labelled([part], qrels, negatives, known, negatives=int(chosen["negatives"]), max_share=chosen["max_share"])
    return [
        (query.removeprefix("query "), passage.removeprefix("text of "), label) for query, passage, label in found.iter_rows()
    ]


def judgment(
    query: str, target: str, grade: int = 1, weight: float = 1.0, unit: str = "passage"
) -> tuple[str, str, str, int, float]:
    """A judgment."""
    return query, target, unit, grade, weight


def test_answers_and_own_negatives() -> None:
    """Each with its sign; dev queries and grade 0 are no answers."""
    judged = [judgment("a", "answer"), judgment("a", "far", 0), judgment("d", "other")]
    assert labelled([("a", "far"), ("a", "other")], judged) == [("a", "answer", 1), ("a", "far", -1), ("a", "other", -1)]


def test_queries_of_one_passage_share_negatives() -> None:
    """Their own first, each once, no more than asked for."""
    judged = [judgment("a", "answer"), judgment("b", "answer")]
    mined = [("a", "far"), ("b", "other"), ("b", "far")]
    assert labelled(mined, judged) == [
        ("a", "answer", 1), ("a", "far", -1), ("a", "other", -1), ("b", "answer", 1), ("b", "other", -1), ("b", "far", -1)
    ]  # fmt: skip
    assert [one for one in labelled(mined, judged, negatives=1) if one[2] < 0] == [("a", "far", -1), ("b", "other", -1)]


def test_a_shared_negative_that_may_be_an_answer_is_left_out() -> None:
    """By the rule of mining; the query's own have passed it already."""
    judged = [judgment("a", "answer"), judgment("b", "answer")]
    assert ("a", "near", -1) not in labelled([("b", "near")], judged)
    assert ("b", "near", -1) in labelled([("b", "near")], judged)
    assert ("a", "near", -1) in labelled([("b", "near")], judged, max_share=1.1)


def test_an_answer_of_a_query_is_none_of_its_negatives() -> None:
    """Whether the judgment names the passage or its document."""
    judged = [judgment("a", "answer"), judgment("b", "answer"), judgment("a", "far"), judgment("a", "OTHER", unit="document")]
    found = labelled([("b", "far"), ("b", "other"), ("b", "second")], judged)
    assert [one for one in found if one[0] == "a"] == [("a", "answer", 1), ("a", "far", 1), ("a", "second", -1)]


def test_weights_are_the_judgments() -> None:
    """A query's negatives weigh as its answers on average."""
    judged = [judgment("a", "answer", weight=2.0), judgment("a", "near", weight=4.0)]
    assert labelled([("a", "far")], judged) == [("a", "answer", 2), ("a", "near", 4), ("a", "far", -3)]


def test_nothing_trained_on_is_no_pair() -> None:
    """An empty table has its columns."""
    assert labelled([], []) == []
