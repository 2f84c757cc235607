"""The two parts of what is trained on: the domain and the general set."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from burnish.arrays import Vectors


@dataclass(frozen=True)
class Part:
    """The domain, or the general set.

    Attributes:
        queries: of any split.
        passages: what they search.
        vectors: a model's of the passages, the base's at first; shape (passages, dimensions).
        languages: ISO 639 code of each passage, by which BM25 cuts it into words; empty: that of most queries.
    """

    queries: pl.DataFrame
    passages: pl.DataFrame
    vectors: Vectors
    languages: Sequence[str] = ()
