"""The leak audit: what the mix stage promises is proved again, by other code."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.documents.duplicates import near_duplicates
from burnish.errors import InputError
from burnish.training import audit
from burnish.training.audit import leaks

HELD = "how do I pin a package to one version"


def queries(*rows: tuple[str, str, str]) -> pl.DataFrame:
    """Rows of query_id, text, split; of curated origin."""
    frame = pl.DataFrame(list(rows), schema=["query_id", "text", "split"], orient="row")
    return frame.with_columns(language=pl.lit("en"), origin=pl.lit("curated"))


def counts(**dropped: int) -> dict[str, Any]:
    """The mix stage's counts for 100 offered queries."""
    return {"offered": {"curated": 100}, "dropped": {"near_duplicate_of_held_out": dropped} if dropped else {}}


@pytest.mark.parametrize("split", ["test", "dev"])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (HELD, "exact"),
        ("How do I pin a “package” to one version?!", "normalised"),
        ("how do I pin the package to one version", "near-duplicate"),
        ("how do I pin a package# to one version", "near-duplicate"),
    ],
)
def test_a_planted_leak_is_found_and_named(text: str, kind: str, split: str) -> None:
    """Exact, normalised and near-duplicates of test and dev queries, each by the worst that is true of it."""
    found = leaks(queries(("t", text, "train"), ("other", "cook rice", "train"), ("h", HELD, split)), 0.7)
    assert [(leak.kind, leak.train_id, leak.held_id, leak.held_split) for leak in found] == [(kind, "t", "h", split)]


def test_a_planted_leak_stops_the_pipeline() -> None:
    """The check raises, with both ids in its message."""
    with pytest.raises(InputError, match="t is exact to test query h"):
        audit.check(queries(("t", HELD, "train"), ("h", HELD, "test")), counts(), threshold=0.7, max_dropped_share=1.0)


def test_another_question_of_the_same_subject_is_no_leak() -> None:
    """What shares some words with a held-out query is what training is for."""
    asked = queries(("t", "how do I remove a package", "train"), ("h", HELD, "test"))
    assert audit.check(asked, counts(), threshold=0.7, max_dropped_share=0.0) == {
        "exact": 0,
        "normalised": 0,
        "near-duplicate": 0,
    }


def test_dev_is_no_leak_into_training() -> None:
    """What is trained on alone leaks; dev has its own check."""
    assert leaks(queries(("h", HELD, "test"), ("g", HELD, "dev")), 0.7) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [(HELD, "exact"), (f"{HELD}?", "normalised"), ("how do I pin the package to one version", "near-duplicate")],
)
def test_a_dev_query_that_repeats_a_test_query_stops_the_pipeline(text: str, kind: str) -> None:
    """With both ids, whatever is trained on."""
    asked = queries(("t", HELD, "train"), ("g", text, "dev"), ("h", HELD, "test"))
    with pytest.raises(InputError, match=f"1 dev queries repeat test queries, the first: g is {kind} to test query h"):
        audit.check_dev(asked, threshold=0.7)


def test_a_dev_query_of_its_own_passes() -> None:
    """Two test queries alike, or dev and training alike, are no matter of this check."""
    asked = queries(("t", "cook rice", "train"), ("g", "cook rice", "dev"), ("h", HELD, "test"), ("i", HELD, "test"))
    audit.check_dev(asked, threshold=0.7)


def test_texts_shorter_than_a_shingle_are_compared_too() -> None:
    """A one-letter query, and one of signs alone, leak as any other does."""
    asked = queries(("t", "r", "train"), ("u", "??", "train"), ("h", "R", "test"), ("g", "!", "test"))
    assert [(leak.train_id, leak.held_id) for leak in leaks(asked, 0.7)] == [("t", "h"), ("u", "g")]


def test_too_many_dropped_queries_stop_the_pipeline() -> None:
    """A share above the knob's says that train and test come from one place."""
    asked = queries(("t", "cook rice", "train"), ("h", HELD, "test"))
    with pytest.raises(InputError, match="max_leak_share"):
        audit.check(asked, counts(curated=21), threshold=0.7, max_dropped_share=0.2)
    assert audit.check(asked, counts(curated=20), threshold=0.7, max_dropped_share=0.2)["exact"] == 0


@given(st.lists(st.text("ab c?ÄΩ中文の한กٌй ", max_size=12), min_size=2, max_size=8), st.sampled_from([0.3, 0.7, 1.0]))
@settings(max_examples=40, deadline=None)
def test_the_audit_agrees_with_what_mix_drops_by(texts: list[str], threshold: float) -> None:
    """In any script and at any threshold, two programs that share no code find the same pairs."""
    half = len(texts) // 2
    rows = [(str(at), text, "train" if at < half else "test") for at, text in enumerate(texts)]
    found = {(leak.train_id, leak.held_id) for leak in leaks(queries(*rows), threshold)}
    expected = near_duplicates(texts[:half], texts[half:], threshold)
    assert found == {(str(one), str(half + other)) for one, other, _ in expected}
