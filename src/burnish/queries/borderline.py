"""Borderline negatives: the passages nearest to answers that training pushes away, or would if it mined negatives."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from burnish.embedding import vectors
from burnish.queries import formats
from burnish.queries.built import Built
from burnish.tables import NEGATIVES
from burnish.training.mining import Rule, from_tables

_MOST = 20_000  # queries that are searched for, chosen by a hash: bounds the work on a large corpus


def borderline_negative(root: Path, known: Built) -> pl.DataFrame:
    """Each training query's negative that scores nearest to its answer, most likely an answer too: columns as labels' reasons.

    It is one that training has, where any was mined. Else the rule of `mine` finds it: the base's best passage that max_share
    lets pass. A cross-encoder that denoises is not asked then: it would read each pair only to hide it from the expert.

    Args:
        root: where the rule lies, and the base's vectors.
        known: what is built.
    """
    mined = known.negatives.filter(pl.col("miner") != "judged")
    found, said = (mined, "a negative in training") if mined.height else (_searched(root, known), "just under mine.max_share")
    nearest = found.sort("margin", "query_id", "passage_id").unique("query_id", keep="first", maintain_order=True)
    return nearest.select(
        "query_id",
        "passage_id",
        (-pl.col("margin").cast(pl.Float64)).alias("urgency"),
        pl.format("{}, {} below the answer", pl.lit(said), pl.col("margin").round(3)).alias("detail"),
    )


def _searched(root: Path, known: Built) -> pl.DataFrame:
    train = known.queries.filter(pl.col("split") == "train")
    chosen = sorted(train["query_id"], key=formats.digest)[:_MOST]
    if not chosen:
        return pl.DataFrame(schema=NEGATIVES.columns)
    asked = train.filter(pl.col("query_id").is_in(chosen)).sort("query_id")
    folder = root / "data/vectors/base"
    rule = replace(Rule.read(root / "data/negatives/rule.json"), per_query=1, judged=0, pool=1, miners=("dense",), denoise="")
    return from_tables(
        asked,
        known.passages,
        known.qrels.filter(pl.col("query_id").is_in(chosen)),
        query_vectors=vectors.read(folder / "queries.parquet", asked["query_id"].to_list()),
        passage_vectors=vectors.read(folder / "passages.parquet", known.passages["passage_id"].to_list()),
        rule=rule,
    ).rows
