"""Runs: what each system finds for each query."""

import numpy as np
import polars as pl

from burnish import tables
from burnish.arrays import Vectors
from burnish.search import lexical
from burnish.search.nearest import Indices, exact


def truncated(vectors: Vectors, width: int) -> Vectors:
    """The first `width` dimensions, unit length again: what a Matryoshka model's narrower vectors are.

    >>> truncated(np.array([[3.0, 4.0, 12.0]], dtype=np.float32), 2)
    array([[0.6, 0.8]], dtype=float32)
    """
    cut = vectors[:, :width]
    norms: Vectors = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.divide(cut, np.maximum(norms, np.float32(1e-12)), dtype=np.float32)


def dense_run(
    system: str,
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    *,
    width: int,
    depth: int,
) -> pl.DataFrame:
    """The run of a model's vectors, cut to `width` dimensions; exact search, so that no index is judged with the model."""
    found = exact(truncated(query_vectors, width), truncated(passage_vectors, width), depth)
    return as_run(system, queries, passages, *found)


def bm25_run(queries: pl.DataFrame, passages: pl.DataFrame, depth: int, *, documents: pl.DataFrame) -> pl.DataFrame:
    """The run of BM25 over title, heading and text, each passage in its document's language.

    Passages of documents that `documents` lacks, as the general set's, are taken to be in the language of most queries.
    """
    languages = passage_languages(passages, documents, queries["language"].mode().sort()[0])
    found = lexical.bm25(queries["text"].to_list(), tables.embedded_text(passages), depth, languages)
    return as_run("bm25", queries, passages, *found)


def passage_languages(passages: pl.DataFrame, documents: pl.DataFrame, default: str) -> list[str]:
    """The language of each passage, shape (passages,): its document's, `default` where there is no such document."""
    named = dict(documents.select("document_id", "language").iter_rows())
    return [named.get(one, default) for one in passages["document_id"]]


def as_run(system: str, queries: pl.DataFrame, passages: pl.DataFrame, indices: Indices, scores: Vectors) -> pl.DataFrame:
    """Search results, each of shape (queries, depth), as rows of the table of runs."""
    count = indices.shape[1]
    return pl.DataFrame(
        {
            "system": pl.repeat(system, indices.size, eager=True, dtype=pl.String),
            "query_id": queries["query_id"].gather(np.repeat(np.arange(queries.height), count)),
            "passage_id": passages["passage_id"].gather(indices.reshape(-1)),
            "rank": np.tile(np.arange(1, count + 1, dtype=np.int32), queries.height),
            "score": scores.reshape(-1).astype(np.float32),
        }
    )
