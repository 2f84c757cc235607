"""Nearest passages of each query: exactly by blocks of a matrix product, approximately by usearch."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from usearch.index import Index

from burnish.embedding.vectors import Vectors

Indices = NDArray[np.int64]

_SCORES_IN_MEMORY = 2**26  # of one block: 256 MB, whatever the corpus
_EXPANSION = 200  # candidates that the approximate search keeps open


def exact(queries: Vectors, passages: Vectors, k: int) -> tuple[Indices, Vectors]:
    """(indices, scores) of the `k` passages of highest inner product, each of shape (queries, k), best first.

    By torch, in blocks that bound memory: five times faster than usearch's exact search on 2 cores (LOG.md), and on a GPU
    where there is one. Equal scores come in the order of the passages.

    Args:
        queries: unit length, shape (queries, dimensions).
        passages: unit length, shape (passages, dimensions).
        k: at most the number of passages is returned.
    """
    k = min(k, len(passages))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    columns = torch.from_numpy(np.ascontiguousarray(passages)).to(device).T
    block = max(1, _SCORES_IN_MEMORY // max(1, len(passages)))
    indices = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    for start in range(0, len(queries), block) if k else ():
        rows = torch.from_numpy(np.ascontiguousarray(queries[start : start + block])).to(device)
        products = rows @ columns
        best = torch.topk(products, k)
        indices[start : start + block] = best.indices.cpu().numpy()
        scores[start : start + block] = best.values.cpu().numpy()
        for tied in torch.nonzero((products >= best.values[:, -1:]).sum(dim=1) > k).flatten().tolist():
            first = torch.sort(products[tied], descending=True, stable=True).indices[:k]  # topk takes any of them
            indices[start + tied] = first.cpu().numpy()
    return _in_order(indices, scores)


def approximate(queries: Vectors, passages: Vectors, k: int) -> tuple[Indices, Vectors]:
    """What `exact` returns, nearly, by an HNSW graph built here; worth its making from some 100,000 passages on."""
    k = min(k, len(passages))
    if not k or not len(queries):
        return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    index = Index(ndim=passages.shape[1], metric="ip", dtype="f32", expansion_search=max(_EXPANSION, k))
    index.add(np.arange(len(passages)), passages, threads=1)  # with more the graph depends on which comes first
    found = index.search(queries, k)
    distances = np.asarray(found.distances).reshape(len(queries), k).astype(np.float32)
    return _in_order(np.asarray(found.keys).reshape(len(queries), k).astype(np.int64), 1 - distances)


SEARCHES: dict[str, Callable[[Vectors, Vectors, int], tuple[Indices, Vectors]]] = {
    "exact": exact,
    "approximate": approximate,
}


def _in_order(indices: Indices, scores: Vectors) -> tuple[Indices, Vectors]:
    order = np.lexsort((indices, -scores), axis=1)
    return np.take_along_axis(indices, order, axis=1), np.take_along_axis(scores, order, axis=1)
