"""Where models rank what is judged: answers of all origins, what search logs say, and what the judge refused."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from burnish.arrays import Vectors
from burnish.embedding import vectors
from burnish.embedding.teachers import Embedder
from burnish.queries import formats
from burnish.queries.built import Built

_MOST = 20_000  # queries whose judged passages are ranked, chosen by a hash: bounds the work on a large corpus
_CELLS = 2**26  # scores in memory at once
_MODELS = {"base": "base", "tuned": "release"}  # the folder in models/ of each system
_REFUSED: dict[str, type[pl.DataType]] = {
    "system": pl.String,
    "query_id": pl.String,
    "passage_id": pl.String,
    "score": pl.Int8,
    "rank": pl.Int64,
}
_RANKED: dict[str, type[pl.DataType]] = {
    "query_id": pl.String,
    "target_id": pl.String,
    "grade": pl.Int8,
    "passage_id": pl.String,
    "rank": pl.Int64,
    "score": pl.Float64,
}


def base_ranks(root: Path, known: Built) -> pl.DataFrame:
    """The base's rank of each answer that nobody graded: columns query_id, passage_id, rank, origin, score (the judge's, or null).

    Args:
        root: where the base's vectors lie, in data/vectors/base.
        known: what is built.
    """
    asked = known.qrels.filter(pl.col("origin") != "curated", pl.col("grade") > 0, pl.col("unit") == "passage")
    chosen = sorted(asked["query_id"].unique().sort(), key=formats.digest)[:_MOST]
    asked = asked.filter(pl.col("query_id").is_in(chosen)).sort("query_id", "target_id")
    ids = known.passages["passage_id"].to_list()
    place = {name: at for at, name in enumerate(ids)}
    folder = root / "data/vectors/base"
    ranks = answer_ranks(
        vectors.read(folder / "queries.parquet", asked["query_id"].to_list()),
        vectors.read(folder / "passages.parquet", ids),
        np.array([place[name] for name in asked["target_id"]], dtype=np.int64),
    )
    found = asked.select("query_id", pl.col("target_id").alias("passage_id"), pl.Series("rank", ranks), "origin")
    scores = known.scored.filter("passed").select("query_id", "passage_id", "score")
    return found.join(scores, on=["query_id", "passage_id"], how="left", maintain_order="left")


def refused_ranks(root: Path, known: Built) -> pl.DataFrame:
    """Each model's rank of what the judge refused: columns system (base, tuned), query_id, passage_id, score (the judge's), rank.

    No stage embeds these queries: what the store lacks of them is embedded here.

    Args:
        root: where the models lie, their vectors of the passages, and the store of vectors.
        known: what is built.
    """
    ids = known.passages["passage_id"]
    refused = known.scored.filter(~pl.col("passed")).join(ids.to_frame().with_row_index("row"), on="passage_id")
    chosen = sorted(refused["query_id"].unique().sort(), key=formats.digest)[:_MOST]
    pairs = refused.filter(pl.col("query_id").is_in(chosen)).sort("query_id", "passage_id")
    found = []
    for system, folder in _MODELS.items() if pairs.height else ():
        asked = Embedder.at(root / "models" / folder, root / ".cache/vectors").vectors("query", pairs["text"].to_list())
        passages = vectors.read(root / "data/vectors" / system / "passages.parquet", ids.to_list())
        ranks = pl.Series("rank", answer_ranks(asked, passages, pairs["row"].to_numpy()))
        found.append(pairs.select(pl.lit(system).alias("system"), "query_id", "passage_id", "score", ranks))
    return pl.concat(found) if found else pl.DataFrame(schema=_REFUSED)


def answer_ranks(queries: Vectors, passages: Vectors, answers: np.ndarray) -> np.ndarray:
    """The rank, from 1, of each query's answer among all passages.

    Args:
        queries: shape (pairs, dimensions).
        passages: shape (passages, dimensions).
        answers: the row of each pair's passage, shape (pairs,).

    >>> answer_ranks(np.array([[1.0, 0.0]]), np.array([[0.5, 0.0], [0.9, 0.0], [0.7, 0.0]]), np.array([2]))
    array([2])
    """
    ranks = np.zeros(len(queries), dtype=np.int64)
    block = max(1, _CELLS // max(1, len(passages)))
    for start in range(0, len(queries), block):
        scores = queries[start : start + block] @ passages.T
        own = scores[np.arange(len(scores)), answers[start : start + block]]
        ranks[start : start + block] = 1 + (scores > own[:, None]).sum(axis=1)
    return ranks


def tuned_ranks(root: Path, known: Built) -> pl.DataFrame:
    """The tuned model's rank of each pair that search logs judged.

    Columns query_id, target_id, grade, passage_id (the target's best), rank, score. Pipeline stages embed test queries alone
    with the tuned model, and the clicked ones are mostly trained on: what the store lacks of them is embedded here.

    Args:
        root: where the release lies, its vectors of the passages, and the store of vectors.
        known: what is built.
    """
    chosen = sorted(known.clicks["query_id"].unique().sort(), key=formats.digest)[:_MOST]
    asked = known.queries.filter(pl.col("query_id").is_in(chosen)).sort("query_id")
    if not asked.height:
        return target_ranks(known.clicks, known.passages, {}, np.empty((known.passages.height, 0), np.float32))
    embedder = Embedder.at(root / "models/release", root / ".cache/vectors")
    own = dict(zip(asked["query_id"], embedder.vectors("query", asked["text"].to_list()), strict=True))
    pairs = known.clicks.filter(pl.col("query_id").is_in(chosen))
    found = vectors.read(root / "data/vectors/tuned/passages.parquet", known.passages["passage_id"].to_list())
    return target_ranks(pairs, known.passages, own, found)


def target_ranks(
    pairs: pl.DataFrame, passages: pl.DataFrame, query_vectors: Mapping[str, Vectors], passage_vectors: Vectors
) -> pl.DataFrame:
    """The rank of each pair's target, from 1: a passage's among all passages, a document's among the documents' best passages.

    Columns as those of `tuned_ranks`. A document without passages is left out: nobody could be shown any.

    Args:
        pairs: QRELS, of either unit.
        passages: PASSAGES.
        query_vectors: by query id, each of shape (dimensions,).
        passage_vectors: shape (passages, dimensions).
    """
    asked = dict(
        pairs.join(_rows_of_targets(pairs, passages), on=["target_id", "unit"])
        .sort("query_id", "target_id", "unit")
        .group_by("query_id", maintain_order=True)
        .agg(pl.struct("target_id", "unit", "grade", "rows"))
        .iter_rows()
    )
    document, names = passages["document_id"].rank("dense").to_numpy(), passages["passage_id"]
    ids = list(asked)
    found: list[tuple[str, str, int, str, int, float]] = []
    block = max(1, _CELLS // max(1, len(passage_vectors)))
    for start in range(0, len(ids), block):
        some = ids[start : start + block]
        for query, scores in zip(some, np.stack([query_vectors[one] for one in some]) @ passage_vectors.T, strict=True):
            for pair in asked[query]:
                best = max(pair["rows"], key=lambda row: (scores[row], -row))
                before = scores > scores[best]
                rank = 1 + (len(np.unique(document[before])) if pair["unit"] == "document" else int(before.sum()))
                found.append((query, pair["target_id"], pair["grade"], names[best], rank, float(scores[best])))
    return pl.DataFrame(found, schema=_RANKED, orient="row")


def _rows_of_targets(pairs: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """The row numbers of each target's passages: columns target_id, unit, rows."""
    numbered = passages.with_row_index("row").select("row", "passage_id", "document_id")
    parts = []
    for unit in ("passage", "document"):
        wanted = pairs.filter(pl.col("unit") == unit).select("target_id", "unit").unique()
        joined = numbered.select("row", pl.col(f"{unit}_id").alias("target_id")).join(wanted, on="target_id")
        parts.append(joined.group_by("target_id", "unit").agg(pl.col("row").sort().alias("rows")))
    return pl.concat(parts)
