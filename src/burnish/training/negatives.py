"""The negatives of everything that is trained on, and what became of their mining."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from burnish.arrays import Vectors
from burnish.embedding import models
from burnish.embedding.teachers import teacher
from burnish.training.mining import Mined, Rule, TextRelevance, from_tables
from burnish.training.parts import Part


def relevance(rule: Rule, store: Path) -> TextRelevance | None:
    """What a rule's cross-encoder says of texts and passages, its scores kept in `store`; none where the rule names none."""
    return teacher(models.located(rule.denoise, "mine.denoise"), store, "mine.denoise").relevance if rule.denoise else None


def of_parts(
    parts: Mapping[str, Part],
    qrels: pl.DataFrame,
    query_vectors: Mapping[str, Vectors],
    rule: Rule,
    relevance: TextRelevance | None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The negatives (NEGATIVES) of every part's training queries, each out of its own part, and counts by part."""
    negatives, counts = [], {}
    for name, part in parts.items():
        train = part.queries.filter(pl.col("split") == "train")
        ids = train["query_id"].to_list()
        width = part.vectors.shape[1]
        mined = from_tables(
            train,
            part.passages,
            qrels,
            query_vectors=np.array([query_vectors[one] for one in ids], np.float32).reshape(len(ids), width),
            passage_vectors=part.vectors,
            rule=rule,
            languages=part.languages,
            relevance=relevance,
        )
        negatives.append(mined.rows)
        counts[name] = _counts(mined, len(ids))
    return pl.concat(negatives), counts


def _counts(mined: Mined, queries: int) -> dict[str, Any]:
    rows = mined.rows
    return {
        "queries": queries,
        "negatives": rows.height,
        "queries_short": mined.queries_short,
        "judged_non_answers": rows.filter(pl.col("miner") == "judged").height,
        "by_bm25": rows.filter(pl.col("miner") == "bm25").height,
        "denoised": mined.denoised,
        "mean_rank": rows["rank"].mean() if rows.height else None,
        "mean_score": rows["score"].mean() if rows.height else None,
        "mean_margin": rows["margin"].mean() if rows.height else None,
        **({"judged_left_out": mined.judged_left_out} if mined.judged_left_out else {}),
        "estimated_false_negative_share": mined.likely_answers / mined.candidates if mined.candidates else 0.0,
    }
