"""The two parts of what is trained on: the domain and the general set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from burnish import tables
from burnish.arrays import Vectors
from burnish.embedding import vectors
from burnish.search.retrieval import passage_languages
from burnish.tables import DOCUMENTS, PASSAGES


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


def read(queries: pl.DataFrame, documents: Path, *, domain: tuple[Path, Path], general: tuple[Path, Path]) -> dict[str, Part]:
    """Both parts by name, each with its own of `queries`.

    Args:
        queries: of both, told apart by their origin.
        documents: the corpus's documents, which know the passages' languages.
        domain: its passages, and a model's vectors of them.
        general: the same of the general set.
    """
    named = tables.read(DOCUMENTS, documents)
    is_general = pl.col("origin") == "general"
    parts = {}
    for name, (source, embedded), own in (
        ("domain", domain, queries.filter(~is_general)),
        ("general", general, queries.filter(is_general)),
    ):
        passages = tables.read(PASSAGES, source)
        languages = passage_languages(passages, named, own["language"].mode().sort()[0]) if own.height else ()
        parts[name] = Part(own, passages, vectors.read(embedded, passages["passage_id"].to_list()), languages)
    return parts
