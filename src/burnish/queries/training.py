"""Judged training queries, apart from all others: what a language model may be shown."""

import polars as pl

from burnish.documents import duplicates
from burnish.queries.judgments import Judged

_NEAR = 0.5  # Jaccard similarity of shingles; stricter than the audit, since a prompt spreads an example over every query


def shown(queries: pl.DataFrame, qrels: pl.DataFrame) -> Judged:
    """The curated training queries with their judgments, without any that is near a held-out query.

    They lie in a file of their own, so that a new test judgment changes nothing that synthesis reads.

    Args:
        queries: all collected queries.
        qrels: all collected judgments.
    """
    curated = queries.filter(pl.col("origin") == "curated")
    training = curated.filter(pl.col("split") == "train").sort("query_id")
    held = curated.filter(pl.col("split") != "train")
    near = duplicates.near_duplicates(training["text"].to_list(), held["text"].to_list(), _NEAR)
    ids = training["query_id"].to_list()
    kept = training.filter(~pl.col("query_id").is_in(list({ids[at] for at, _, _ in near})))
    return Judged(kept, qrels.filter(pl.col("query_id").is_in(kept["query_id"].to_list())))
