"""The two parts of what is trained on: the domain and the general set."""

from dataclasses import dataclass

import polars as pl

from burnish.embedding.vectors import Vectors


@dataclass(frozen=True)
class Part:
    """The domain, or the general set: its queries, its passages and a model's vectors of the passages, the base's at first."""

    queries: pl.DataFrame
    passages: pl.DataFrame
    vectors: Vectors  # shape (passages, dimensions)
