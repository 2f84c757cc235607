"""Which synthetic queries are held out where no judgments give a test or a dev set: whole documents at a time."""

import hashlib
from collections import Counter

import numpy as np
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from burnish.errors import InputError
from burnish.queries.judgments import Shares, held_out_split

MADE = ["synthetic", "extractive"]


def with_held_out(queries: pl.DataFrame, qrels: pl.DataFrame, passages: pl.DataFrame, shares: Shares) -> pl.DataFrame:
    """The queries, of which some synthetic ones become test and dev if no test query is judged, and dev if there is none.

    All queries of a document's duplicate group go to one split, by a hash of its name: the siblings of a synthetic query ask
    for the same passage in other words, and training on them would measure memory. A query that several groups answer joins
    them. Where hashes put none of few groups into a split that is wanted, one is moved there.

    Args:
        queries: every query of every origin, with its split.
        qrels: every judgment.
        passages: the domain's, with their duplicate groups.
        shares: of the synthetic queries.

    Raises:
        InputError: there is no test query or no dev query, and none could be made.
    """
    judged = pl.col("origin").is_in(["curated", "clicks"])
    lacks_test = queries.filter(judged, pl.col("split") == "test").is_empty()
    lacking = ["test"] * lacks_test + ["dev"] * (not _has_dev(queries, qrels))
    if not lacking:
        return queries
    wanted = Shares(test=shares.test if lacks_test else 0.0, dev=shares.dev)
    cluster = _clusters(qrels, passages)
    made = queries.filter(pl.col("origin").is_in(MADE))["query_id"]
    split = _splits({cluster.get(query, query) for query in made}, wanted, lacking)
    for one in lacking:
        if one not in split.values():
            raise InputError(_why_none(one, getattr(shares, one), len(split)))
    splits = [
        split[cluster.get(query, query)] if origin in MADE else before
        for query, origin, before in queries.select("query_id", "origin", "split").iter_rows()
    ]
    return queries.with_columns(pl.Series("split", splits, dtype=pl.String))


def _has_dev(queries: pl.DataFrame, qrels: pl.DataFrame) -> bool:
    """Whether the domain has a dev query with an answer."""
    dev = queries.filter(pl.col("origin") != "general", pl.col("split") == "dev")
    return not dev.join(qrels.filter(pl.col("grade") > 0), on="query_id", how="semi").is_empty()


def _splits(clusters: set[str], shares: Shares, lacking: list[str]) -> dict[str, str]:
    """The split of each cluster by its hash; where a split that is wanted got none, it takes one from a split that has several."""
    found = {name: held_out_split(name, shares) for name in sorted(clusters, key=_hash)}
    for one in ("train", *lacking):
        sizes = Counter(found.values())
        crowded = [name for name, split in found.items() if sizes[split] > 1]
        if not sizes[one] and crowded and (one == "train" or getattr(shares, one)):
            found[min(crowded, key=lambda name: found[name] != "train")] = one  # the smallest hash, of training's if it can
    return found


def _why_none(split: str, share: float, groups: int) -> str:
    told = f"mix: no {split} query, neither judged nor synthetic; give judged queries the split {split}, or "
    if share == 0:
        return told + f"raise mix.synthetic_shares.{split}"
    return (
        told + f"add documents: synthetic queries are of {groups} groups of documents here, and each split needs one of its own"
    )


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _clusters(qrels: pl.DataFrame, passages: pl.DataFrame) -> dict[str, str]:
    """For each synthetic query_id the smallest group that a chain of queries, each answered by several groups, joins to its own."""
    group = dict(passages.select("passage_id", "duplicate_group").iter_rows())
    answers = qrels.filter(pl.col("unit") == "passage", pl.col("origin").is_in(MADE))
    answers = answers.select("query_id", group=pl.col("target_id").replace_strict(group, default=None)).drop_nulls()
    names = answers["group"].unique().sort()
    if names.is_empty():
        return {}
    place = {name: at for at, name in enumerate(names)}
    rows = answers.with_columns(at=pl.col("group").replace_strict(place, return_dtype=pl.Int64))
    rows = rows.with_columns(first=pl.col("at").min().over("query_id"))
    edges = (np.ones(rows.height), (rows["first"].to_numpy(), rows["at"].to_numpy()))
    _, labels = connected_components(coo_matrix(edges, shape=(len(place), len(place))), directed=False)
    smallest = pl.DataFrame({"at": range(len(place)), "label": labels}).select(pl.col("at").min().over("label"))["at"]
    return {query: names[smallest[at]] for query, at in rows.select("query_id", "first").iter_rows()}
