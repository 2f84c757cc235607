"""The pairs that a reranker learns."""

import numpy as np
import polars as pl

from burnish import tables
from burnish.training import pairs
from burnish.training.parts import Part

PASSAGES = ("answer", "near", "far", "other")
Judgment = tuple[str, str, str, int, float]


def part(passages: tuple[str, ...], **splits: str) -> Part:
    """A part of some passages, and of queries by their split."""
    row = {"ordinal": 0, "title": "", "heading": "", "tokens": 9}
    texts = [row | {"passage_id": name, "document_id": name.upper(), "text": f"text of {name}"} for name in passages]
    queries = [(name, f"query {name}", "en", "synthetic", split) for name, split in splits.items()]
    return Part(
        pl.DataFrame(queries, schema=tables.QUERIES.columns, orient="row"),
        pl.DataFrame(texts, schema=tables.PASSAGES.columns),
        np.zeros((len(passages), 2), np.float32),
    )


def judgment(query: str, target: str, *, grade: int = 1, weight: float = 1.0, unit: str = "passage") -> Judgment:
    """A judgment."""
    return query, target, unit, grade, weight


def labelled(mined: list[tuple[str, str]], judged: list[Judgment]) -> list[tuple[str, str, float]]:
    """The pairs of training queries a and b and dev query d, and of general query g with a passage of its own."""
    qrels = pl.DataFrame([(*one, "synthetic") for one in judged], schema=tables.QRELS.columns, orient="row")
    rows = [(query, passage, rank, 0.5, 0.1, "exact") for rank, (query, passage) in enumerate(mined, 1)]
    negatives = pl.DataFrame(rows, schema=tables.NEGATIVES.columns, orient="row")
    parts = [part(PASSAGES, a="train", b="train", d="dev"), part(("sky", "sea"), g="train")]
    return [
        (query.removeprefix("query "), passage.removeprefix("text of "), label)
        for query, passage, label in pairs.labelled(parts, qrels, negatives).iter_rows()
    ]


def test_answers_and_negatives_of_each_part() -> None:
    """Each with its sign, by query; a grade of 0, a judged document and a dev query are no answers."""
    judged = [
        judgment("a", "answer"),
        judgment("a", "other", grade=0),
        judgment("a", "NEAR", unit="document"),
        judgment("d", "other"),
        judgment("g", "sky"),
    ]
    found = labelled([("g", "sea"), ("a", "far"), ("a", "other"), ("d", "far")], judged)
    assert found == [("a", "answer", 1), ("a", "far", -1), ("a", "other", -1), ("g", "sky", 1), ("g", "sea", -1)]


def test_a_query_without_negatives_is_left_out() -> None:
    """Its answers alone would say that everything is one."""
    assert labelled([("a", "far")], [judgment("a", "answer"), judgment("b", "answer")]) == [
        ("a", "answer", 1),
        ("a", "far", -1),
    ]


def test_weights_are_the_judgments() -> None:
    """A query's negatives weigh as its answers on average."""
    judged = [judgment("a", "answer", weight=2.0), judgment("a", "near", weight=4.0)]
    assert labelled([("a", "far")], judged) == [("a", "near", 4), ("a", "answer", 2), ("a", "far", -3)]


def test_nothing_to_train_on_is_no_pair() -> None:
    """An empty table has its columns."""
    assert labelled([], []) == []
