"""Training rows: pairs and their passage's shared negatives."""

import numpy as np
import polars as pl

from burnish.tables import NEGATIVES, PASSAGES, QRELS, QUERIES
from burnish.training.masks import Suspicion
from burnish.training.parts import Part
from burnish.training.rows import TrainingSet, training_set


def part(prefix: str, texts: int, queries: dict[str, str]) -> Part:
    """Passages prefix0, prefix1 ... and queries with their split."""
    passages = [(f"{prefix}{at}", f"{prefix}{at}", 0, "", "", f"{prefix} text {at}", 3) for at in range(texts)]
    asked = [(name, f"text of {name}", "en", "curated", split) for name, split in queries.items()]
    return Part(
        pl.DataFrame(asked, schema=QUERIES.columns, orient="row"),
        pl.DataFrame(passages, schema=PASSAGES.columns, orient="row"),
        np.eye(texts, 4, dtype=np.float32),
    )


def judged(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """Rows of query, passage, grade."""
    return pl.DataFrame(
        [(query, target, "passage", grade, 1.0, "curated") for query, target, grade in rows],
        schema=QRELS.columns,
        orient="row",
    )


def mined(*rows: tuple[str, str], miner: str = "exact") -> pl.DataFrame:
    """Rows of query, passage."""
    return pl.DataFrame(
        [(query, passage, 1, 0.5, 0.1, miner) for query, passage in rows], schema=NEGATIVES.columns, orient="row"
    )


def rows_of(parts: list[Part], qrels: pl.DataFrame, negatives: pl.DataFrame) -> TrainingSet:
    """The training set, with vectors that do not matter."""
    known = {name: np.ones(4, np.float32) for one in parts for name in one.queries["query_id"]}
    return training_set(parts, qrels, negatives, known, suspicion=Suspicion(2.0, -1.0), seed=1)


def test_rows_are_training_pairs_alone() -> None:
    """No held-out query, no grade 0, and one row for each of a query's positives."""
    domain = part("p", 4, {"a": "train", "b": "test", "c": "dev"})
    found = rows_of([domain], judged(("a", "p0", 2), ("a", "p2", 1), ("a", "p1", 0), ("b", "p3", 1), ("c", "p1", 1)), mined())
    assert (list(found.queries), found.passages.tolist()) == (["text of a", "text of a"], [[0], [2]])
    assert found.masks.positives == [frozenset({0, 2})] * 2


def test_the_queries_of_a_passage_share_their_negatives() -> None:
    """Taken in turn, so that each passage is embedded once a batch."""
    domain = part("p", 6, {"a": "train", "b": "train"})
    found = rows_of([domain], judged(("a", "p0", 1), ("b", "p0", 1)), mined(("a", "p3"), ("b", "p4")))
    assert found.passages.tolist() == [[0, 3], [0, 3]]


def test_missing_negatives_are_drawn_from_the_querys_own_part() -> None:
    """A general query without mined negatives gets general passages, never the domain's, and not its own positive."""
    domain, general = part("p", 5, {"a": "train"}), part("g", 5, {"b": "train"})
    found = rows_of([domain, general], judged(("a", "p0", 1), ("b", "g1", 1)), mined(("a", "p2"), ("a", "p3")))
    assert set(found.passages[0].tolist()) == {0, 2, 3}
    own = found.passages[1].tolist()
    assert (own[0], len(set(own)), min(own) >= 5) == (6, 3, True)


def test_judged_negatives_fill_no_other_row() -> None:
    """One query's expert costs no other query a passage: its place is empty, and nobody's negative."""
    domain = part("p", 6, {"a": "train", "b": "train"})
    found = rows_of([domain], judged(("a", "p0", 1), ("b", "p1", 1)), mined(("a", "p4"), ("a", "p3"), miner="judged"))
    assert found.passages.tolist() == [[0, 3, 4], [1, 1, 1]]
    assert found.masks.negatives().tolist() == [2, 0]
    texts = found.dataset().to_dict()
    assert (texts["negative_1"], texts["negative_2"]) == (["p text 3", "."], ["p text 4", "."])
    assert texts["positive"] == ["p text 0", "p text 1"]
    assert found.masks.mask(np.arange(2))[:, [3, 5]].all()
    assert not found.masks.mask(np.arange(2))[:, [2, 4]].any()
    assert found.masks.own(np.arange(2)).tolist() == [[False, False], [True, True]]


def test_judged_negatives_come_besides_mined_ones() -> None:
    """Mined ones are as many in every row; a passage that is both stands once; a passage's queries share what is judged."""
    domain = part("p", 9, {"a": "train", "b": "train", "c": "train"})
    qrels = judged(("a", "p0", 1), ("b", "p0", 1), ("c", "p1", 1))
    said_no = mined(("a", "p4"), ("b", "p5"), ("b", "p6"), ("b", "p0"), miner="judged")
    found = rows_of([domain], qrels, pl.concat([mined(("a", "p6"), ("b", "p7"), ("c", "p8")), said_no]))
    assert found.passages.tolist() == [[0, 6, 4, 5], [0, 6, 4, 5], [1, 8, 1, 1]]


def test_a_passage_of_many_judged_queries_has_a_bound() -> None:
    """They share as many as one of them has; else one passage would widen every batch."""
    queries = {f"q{at:02}": "train" for at in range(10)}
    domain = part("p", 101, queries)
    said_no = mined(*((name, f"p{1 + 10 * at + more}") for at, name in enumerate(queries) for more in range(8)), miner="judged")
    found = rows_of([domain], judged(*((name, "p0", 1) for name in queries)), said_no)
    assert found.passages.shape == (10, 9)
    assert len(set(found.passages[0].tolist())) == 9


def test_where_there_is_hardly_a_passage_places_stay_empty() -> None:
    """Two passages make one negative, however many are mined for."""
    domain = part("p", 2, {"a": "train", "b": "train"})
    found = rows_of([domain], judged(("a", "p0", 1), ("b", "p1", 1)), mined(("a", "p1")))
    assert [row[0] for row in found.passages.tolist()] == [0, 1]
    assert found.masks.negatives()[0] == 1


def test_each_row_weighs_what_its_judgment_does() -> None:
    """In the rows' order, over all parts."""
    domain, general = part("p", 3, {"a": "train", "b": "train"}), part("g", 2, {"c": "train"})
    qrels = judged(("a", "p1", 1), ("b", "p0", 1), ("b", "p2", 1), ("c", "g0", 1))
    qrels = qrels.with_columns(pl.Series("weight", [2.0, 1.0, 0.5, 0.25], dtype=pl.Float32))
    found = rows_of([domain, general], qrels, mined())
    assert list(zip(found.queries, found.passages[:, 0].tolist(), found.weights.tolist(), strict=True)) == [
        ("text of a", 1, 2.0),
        ("text of b", 0, 1.0),
        ("text of b", 2, 0.5),
        ("text of c", 3, 0.25),
    ]
