"""The labelled pairs that a reranker learns: each training query with its answers, and with mined negatives."""

from collections.abc import Collection

import polars as pl

from burnish import tables
from burnish.training.parts import Part


def labelled(parts: Collection[Part], qrels: pl.DataFrame, mined: pl.DataFrame) -> pl.DataFrame:
    """The pairs: columns query, passage, label; the label is the judgment's weight for an answer, less than 0 for a negative.

    A query's negatives weigh as its answers do on average. A query without negatives is left out: its answers alone would
    teach that everything is one.

    Args:
        parts: the domain and the general set.
        qrels: all judgments.
        mined: NEGATIVES.
    """
    text = pl.concat(
        [
            pl.DataFrame({"passage_id": part.passages["passage_id"], "passage": tables.embedded_text(part.passages)})
            for part in parts
        ]
    )
    asked = pl.concat([part.queries.filter(pl.col("split") == "train").select("query_id", query="text") for part in parts])
    positive = qrels.filter(pl.col("grade") > 0, pl.col("unit") == "passage")
    answers = positive.select("query_id", passage_id="target_id", label=pl.col("weight").cast(pl.Float64))
    answers = answers.join(mined.select("query_id").unique(), on="query_id", how="semi")
    weights = answers.group_by("query_id").agg(-pl.col("label").mean())
    negatives = mined.select("query_id", "passage_id").join(weights, on="query_id")
    pairs = pl.concat([answers, negatives.select(answers.columns)]).join(asked, on="query_id").join(text, on="passage_id")
    return pairs.sort("query_id", "label", "passage_id", descending=[False, True, False]).select("query", "passage", "label")
