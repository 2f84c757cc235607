"""What judgments are here, wherever they come from: queries with grades, and the split of each query."""

import hashlib
from dataclasses import dataclass
from typing import Annotated

import polars as pl
from pydantic import Field

from burnish.knobs import Knobs


class Shares(Knobs):
    """Which shares of the queries that no file assigns to a split become test and dev."""

    test: Annotated[float, Field(ge=0, lt=1)]
    dev: Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class Judged:
    """Queries with their grades."""

    queries: pl.DataFrame
    qrels: pl.DataFrame


def held_out_split(cluster: str, shares: Shares) -> str:
    """The split of a near-duplicate cluster, by a hash of its name: a new query moves no other one.

    >>> held_out_split("how to pin", Shares(test=0.0, dev=0.0))
    'train'
    """
    at = int(hashlib.sha256(cluster.encode()).hexdigest()[:8], 16) / 16**8
    return "test" if at < shares.test else "dev" if at < shares.test + shares.dev else "train"


def with_experts_word(qrels: pl.DataFrame) -> pl.DataFrame:
    """One judgment for each query and target: the curated one where there is any, the first of the others where not."""
    first = qrels.sort(pl.col("origin") != "curated", maintain_order=True)
    return first.unique(["query_id", "target_id", "unit"], keep="first", maintain_order=True)
