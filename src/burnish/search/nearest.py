"""Nearest passages of each query: exactly by blocks of a matrix product, approximately by usearch."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from usearch.index import Index

from burnish import arrays
from burnish.arrays import Vectors

Indices = arrays.Indices

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
        best = _largest(rows @ columns, k)
        indices[start : start + block] = best[0].cpu().numpy()
        scores[start : start + block] = best[1].cpu().numpy()
    return indices, scores


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(columns, values) of the `k` largest of each row, best first, equal ones by column; each of shape (rows, k).

    Columns n, n + groups, n + 2 groups, ... make a group. The k-th largest of the groups' maxima is a value that at least k
    columns reach, all of them in groups whose maximum reaches it: little more than k groups are looked into, and little more
    than k values sorted. Topk over whole rows takes three times as long, and which of equal values it takes is not told.
    """
    count, width = scores.shape
    groups = min(width, max(2 * k, math.isqrt(width * k)))
    size = width // groups
    even = size * groups
    rest = scores[:, even:]  # each a group of its own: its place below, in the last row of members, is its column
    maxima = torch.cat([scores[:, :even].view(count, size, groups).amax(dim=1), rest], dim=1)
    reached = torch.topk(maxima, k, sorted=False).values.amin(dim=1, keepdim=True)
    group = _places(maxima >= reached)[:, None, :]
    member = torch.arange(size, device=scores.device)[None, :, None]
    columns = (member * groups + group).flatten(1)  # ascending in each row
    known = ((group >= 0) & ((group < groups) | (member == size - 1))).flatten(1)
    values = scores.gather(1, columns.where(known, 0))
    chosen = _places(known & (values >= reached))
    best = torch.sort(values.gather(1, chosen.clamp(min=0)).where(chosen >= 0, -torch.inf), descending=True, stable=True)
    return columns.gather(1, chosen.gather(1, best.indices[:, :k])), best.values[:, :k]


def _places(chosen: Tensor) -> Tensor:
    """The columns of the true values of each row, ascending, filled up with -1.

    >>> _places(torch.tensor([[False, False, True], [True, True, False]])).tolist()
    [[2, -1], [0, 1]]
    """
    row, column = torch.nonzero(chosen).T
    found = torch.bincount(row, minlength=len(chosen))
    table = torch.full((len(chosen), int(found.max())), -1, device=row.device)
    table[row, torch.arange(len(row), device=row.device) - (found.cumsum(0) - found)[row]] = column
    return table


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
