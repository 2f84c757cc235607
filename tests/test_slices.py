"""Slices: which test queries are told apart, and by what."""

import polars as pl
import pytest

from burnish.evaluation import slices
from burnish.tables import PASSAGES, QRELS, QUERIES


def queries(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    """Rows of query_id, text, origin, split."""
    return pl.DataFrame(
        [(name, text, "en", origin, split) for name, text, origin, split in rows], schema=QUERIES.columns, orient="row"
    )


def labels_of(text: str, *, terms: frozenset[str] = frozenset()) -> dict[str, str]:
    """The labels of one query that is unseen."""
    found = slices.labels(queries(("q", text, "curated", "test")), frozenset(), terms)
    return dict(found.select("slice", "label").iter_rows())


@pytest.mark.parametrize(("text", "label"), [("one two three four five", "short"), ("one two three four five six", "long")])
def test_length_turns_at_five_words(text: str, label: str) -> None:
    """Five words are short, six are long."""
    assert labels_of(text)["length"] == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("join a lazyframe", "domain-terms"),  # of join and lazyframe one is a term: half
        ("how to join a lazyframe", "plain"),  # of how, join and lazyframe one is
        ("a is of", "plain"),
        ("LazyFrame", "domain-terms"),
    ],
)
def test_half_of_the_longer_words_make_a_query_of_domain_terms(text: str, label: str) -> None:
    """Words of one or two letters do not count."""
    assert labels_of(text, terms=frozenset({"lazyframe"}))["vocabulary"] == label


def test_own_columns_are_slices() -> None:
    """A column `slice_style` of the judgments becomes the slice "style"."""
    asked = queries(("q", "x", "curated", "test")).with_columns(slice_style=pl.lit("plain words"))
    found = slices.labels(asked, frozenset(), frozenset())
    assert found.filter(pl.col("slice") == "style")["label"].to_list() == ["plain words"]


def test_domain_words_are_ten_times_more_frequent_than_in_the_general_set() -> None:
    """Of 100 texts each: "frame" in 60 against 2 is a term, "water" in 20 against 2 is not."""
    corpus = ["frame water"] * 20 + ["frame"] * 40 + ["stone"] * 40
    general = ["frame water"] * 2 + ["stone"] * 98
    assert slices.domain_words(corpus, general) == frozenset({"frame"})


def passages(*ids: str) -> pl.DataFrame:
    """Passages whose document stands before the #."""
    return pl.DataFrame([(one, one.split("#")[0], 0, "", "", one, 1) for one in ids], schema=PASSAGES.columns, orient="row")


def judged(*rows: tuple[str, str, str, int]) -> pl.DataFrame:
    """Rows of query, target, unit, grade."""
    return pl.DataFrame([(*row, 1.0, "curated") for row in rows], schema=QRELS.columns, orient="row")


def test_seen_is_a_query_whose_answers_document_was_trained_on() -> None:
    """By the same passage, another passage of its document, or the document itself; grade 0 shows nothing."""
    asked = queries(
        ("t", "x", "synthetic", "train"),
        *((name, name, "curated", "test") for name in ("same", "sibling", "document", "other", "non_answer")),
        ("dev", "x", "curated", "dev"),
    )
    qrels = judged(
        ("t", "d#0", "passage", 1),
        ("t", "e#0", "passage", 0),
        ("same", "d#0", "passage", 1),
        ("sibling", "d#1", "passage", 2),
        ("document", "d", "document", 1),
        ("other", "e#0", "passage", 1),
        ("non_answer", "d#0", "passage", 0),
        ("dev", "d#0", "passage", 1),
    )
    found = slices.seen_queries(asked, qrels, passages("d#0", "d#1", "e#0"))
    assert found == frozenset({"same", "sibling", "document", "dev"})
