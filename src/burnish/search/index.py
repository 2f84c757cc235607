"""The search index: usearch over a release's vectors, bound to the model that made them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from usearch.index import Index

from burnish import atomic, tables
from burnish.arrays import Vectors
from burnish.embedding import encoding, models
from burnish.errors import InputError
from burnish.search.reranker import Reranker, order
from burnish.tables import PASSAGES

_HEADER = "index.json"
_GRAPH = "index.usearch"
_PASSAGES = "passages.parquet"


@dataclass(frozen=True)
class Hit:
    """A passage that a search found."""

    rank: int
    score: float
    passage_id: str
    document_id: str
    title: str
    text: str


def build(passages: pl.DataFrame, vectors: Vectors, *, model_digest: str, out: Path) -> None:
    """Write the index of `passages` to the folder `out`, with the digest of the model that made `vectors`.

    One thread adds in the passages' order, so that the same vectors give the same graph.
    """
    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f32")
    index.add(np.arange(len(vectors)), vectors, threads=1)
    with atomic.folder(out) as made:
        index.save(str(made / _GRAPH))
        tables.write(passages, PASSAGES, made / _PASSAGES)
        header = {"model_digest": model_digest, "passages": len(vectors), "dimensions": int(vectors.shape[1])}
        atomic.write_json(made / _HEADER, header)


def search(folder: Path, release: Path, query: str, k: int, *, reranker: Reranker | None = None) -> list[Hit]:
    """The `k` passages nearest to `query`, best first.

    Args:
        folder: the index.
        release: the model, which must be the one that the index was built with.
        query: any text.
        k: at most the number of passages is returned.
        reranker: orders the first passages anew, and gives these their scores; the others follow with their cosines.

    Raises:
        InputError: there is no index, or it was built with another model: distances between two models' vectors mean nothing.
    """
    header = folder / _HEADER
    if not header.is_file():
        raise InputError(f"{folder}: expected an index, found none; run `dvc repro index` or `dvc pull models/index`")
    built_with = json.loads(header.read_text(encoding="utf-8"))["model_digest"]
    if (asked_with := models.digest(release)) != built_with:
        raise InputError(
            f"{folder}: built with model {built_with[:12]}, but {release} is model {asked_with[:12]}; build the index again with "
            "`dvc repro index`, or search with the model that it was built with"
        )
    passages = tables.read(PASSAGES, folder / _PASSAGES)
    vector = encoding.encoder(models.load(release), "query")([query])[0]
    index = Index.restore(str(folder / _GRAPH))
    assert isinstance(index, Index)
    matches = index.search(vector, min(max(k, reranker.depth if reranker else 0), passages.height))
    found = passages[np.asarray(matches.keys).astype(np.int64)]
    scores = 1 - np.asarray(matches.distances, dtype=np.float32)
    if reranker:
        found, scores = _reranked(reranker, query, found, scores)
    return [
        Hit(rank, float(score), row["passage_id"], row["document_id"], row["title"], row["text"])
        for rank, (row, score) in enumerate(zip(found.head(k).iter_rows(named=True), scores[:k], strict=True), 1)
    ]


def _reranked(reranker: Reranker, query: str, found: pl.DataFrame, scores: Vectors) -> tuple[pl.DataFrame, Vectors]:
    first = found.head(reranker.depth)
    again = reranker.scores(query, tables.embedded_text(first), scores[: first.height])
    places = order(again)
    return pl.concat([first[places], found[first.height :]]), np.concatenate([again[places], scores[first.height :]])
