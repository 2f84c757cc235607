"""Synthetic queries as test and dev: which documents' are held out, and when."""

import polars as pl
import pytest

from burnish.errors import InputError
from burnish.queries.judgments import Shares
from burnish.tables import PASSAGES
from burnish.training.held_out import with_held_out
from test_mixing import qrels, queries


def synthetic(documents: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(queries, judgments, passages) of documents with three synthetic queries for each of two passages."""
    ids = [f"s{at}#{part}" for at in range(documents) for part in range(2)]
    frame = pl.DataFrame([(one, one.split("#")[0], 0, "", "", one, 3) for one in ids], schema=PASSAGES.columns, orient="row")
    # Documents 0 and 1, 2 and 3 ... are near-duplicates of each other.
    numbers = pl.col("document_id").str.slice(1).cast(pl.Int64)
    passages = frame.with_columns(duplicate_group=pl.format("s{}", numbers // 2 * 2))
    asked = [(f"{one}?{at}", f"{one} {at}", "synthetic", "train") for one in ids for at in range(3)]
    return queries(*asked), qrels(*((row[0], row[0].split("?")[0], 1) for row in asked), origin="synthetic"), passages


SHARES = Shares(test=0.3, dev=0.2)


def sides(found: pl.DataFrame, judged: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """The splits of each duplicate group's queries: columns duplicate_group, split, distinct."""
    named = judged.join(passages.select("duplicate_group", target_id="passage_id"), on="target_id")
    return named.join(found.select("query_id", "split"), on="query_id").select("duplicate_group", "split").unique()


def test_all_queries_of_a_duplicate_group_stand_on_one_side() -> None:
    """Without a curated test query whole groups become test, dev and train, at about the shares."""
    asked, judged, passages = synthetic(100)
    found = sides(with_held_out(asked, judged, passages, SHARES), judged, passages)
    assert found["duplicate_group"].is_duplicated().sum() == 0
    counted = dict(found.group_by("split").len().iter_rows())
    assert 8 <= counted["test"] <= 22
    assert 4 <= counted["dev"] <= 17


def test_a_query_for_two_documents_keeps_both_on_its_side() -> None:
    """Ten queries that two groups answer each: no group is tested by one and trained on by its siblings."""
    asked, judged, passages = synthetic(100)
    both = [(f"both{at}", f"asked of two {at}", "synthetic", "train") for at in range(10)]
    asked = pl.concat([asked, queries(*both)])
    two = [(f"both{at}", f"s{document}#0", 1) for at in range(10) for document in (at * 4, at * 4 + 2)]
    judged = pl.concat([judged, qrels(*two, origin="synthetic")])
    found = sides(with_held_out(asked, judged, passages, SHARES), judged, passages)
    assert found["duplicate_group"].is_duplicated().sum() == 0


def test_curated_test_queries_leave_synthetic_ones_to_training() -> None:
    """Real judgments are the test wherever there are any."""
    asked, judged, passages = synthetic(10)
    both = pl.concat([asked, queries(("h", "x", "curated", "test"), ("k", "y", "curated", "dev"))])
    answered = pl.concat([judged, qrels(("h", "s0", 1), ("k", "s0", 1))])
    assert with_held_out(both, answered, passages, SHARES).equals(both)
    refused = pl.concat([judged, qrels(("h", "s0", 1), ("k", "s0", 0))])  # a dev query without an answer measures nothing
    assert not with_held_out(both, refused, passages, SHARES).equals(both)


def test_without_judged_dev_queries_synthetic_ones_choose_the_weights() -> None:
    """Judged queries that are all test leave dev to synthetic ones; a general dev query is none of the domain."""
    asked, judged, passages = synthetic(100)
    both = pl.concat([asked, queries(("h", "x", "curated", "test"), ("g", "y", "general", "dev"))])
    found = with_held_out(both, judged, passages, SHARES).filter(pl.col("origin") == "synthetic")
    assert set(found["split"]) == {"dev", "train"}
    assert 20 <= found.filter(pl.col("split") == "dev").height <= 240  # of 600


@pytest.mark.parametrize("documents", [6, 8, 12])
def test_a_handful_of_documents_has_every_split(documents: int) -> None:
    """Wherever chance would leave one empty: three groups are enough."""
    asked, judged, passages = synthetic(documents)
    for name in "abcdefgh":
        renamed = passages.with_columns(pl.format("{}{}", pl.lit(name), "duplicate_group").alias("duplicate_group"))
        for shares in (Shares(test=0.01, dev=0.01), Shares(test=0.5, dev=0.1), Shares(test=0.05, dev=0.9)):
            found = sides(with_held_out(asked, judged, renamed, shares), judged, renamed)
            assert set(found["split"]) == {"test", "dev", "train"}
            assert found.height == documents // 2


def test_a_single_group_of_documents_is_told() -> None:
    """It cannot be judged and trained on, whatever the shares."""
    for name in "abcdefgh":
        asked, judged, passages = synthetic(2)
        renamed = passages.with_columns(duplicate_group=pl.lit(name))
        with pytest.raises(InputError, match="of 1 groups of documents"):
            with_held_out(asked, judged, renamed, Shares(test=0.5, dev=0.45))


def test_no_dev_query_at_all_is_an_error_that_names_the_knob() -> None:
    """Training would have nothing to choose its weights by, and end at the base model."""
    with pytest.raises(InputError, match=r"mix\.synthetic_shares\.dev"):
        with_held_out(*synthetic(10), Shares(test=0.2, dev=0.0))


def test_one_more_document_moves_no_other_query() -> None:
    """A split goes by the group's own name."""
    one, more = (with_held_out(*synthetic(count), SHARES) for count in (40, 42))
    assert more.filter(pl.col("query_id").is_in(one["query_id"].to_list())).equals(one)


def test_an_experts_word_moves_no_query_to_another_side() -> None:
    """Groups are joined by what made the queries, not by what is judged later."""
    asked, judged, passages = synthetic(40)
    more = pl.concat([judged, qrels(("s0#0?0", "s20#0", 0), ("s0#0?0", "s30#0", 2))])
    before, after = (with_held_out(asked, one, passages, SHARES) for one in (judged, more))
    assert after.equals(before)


def test_no_test_query_at_all_is_an_error_that_names_the_knob() -> None:
    """A verdict without a test would be none."""
    with pytest.raises(InputError, match=r"mix\.synthetic_shares\.test"):
        with_held_out(*synthetic(10), Shares(test=0.0, dev=0.0))
