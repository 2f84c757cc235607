"""Near-duplicates: of documents by MinHash, of queries exactly."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import regex
from numpy.typing import NDArray
from rensa import RMinHash
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import CountVectorizer

from burnish.arrays import Indices
from burnish.writing import DENSE, UNSPACED, normalised, unspaced

Digests = NDArray[np.uint32]

_PERMUTATIONS = 128  # standard error of the estimated similarity: at most 1 / sqrt(4 x 128) = 0.044
_BANDS = 32  # of 4 rows: a pair of similarity 0.8 is missed once in 10 million, (1 - 0.8^4)^32
_SHINGLE = 4  # characters; short queries share few word n-grams, and characters need no word list of any language
_WORDS = 3  # of a document's shingle, or as many signs as three words have in scripts without spaces
_SIGNS = 5
_UNIT = regex.compile(rf"[{UNSPACED}]\p{{M}}*+|[^{UNSPACED}\s]++")
_UNSPACED = regex.compile(f"[{UNSPACED}]")
_DENSE = regex.compile(f"[{DENSE}]")


def signature(text: str) -> RMinHash:
    """The MinHash of a text's shingles of three words, of five signs in scripts without spaces; of characters if it is shorter."""
    plain = normalised(text)
    mixed = unspaced(plain)
    units: list[str] = _UNIT.findall(plain) if mixed else plain.split()
    if len(units) < _WORDS:
        units = list(plain)
    shingles = {
        " ".join(units[i : i + size])
        for i, unit in enumerate(units)
        if i + (size := _SIGNS if mixed and _UNSPACED.match(unit) else _WORDS) <= len(units)
    }
    minhash = RMinHash(num_perm=_PERMUTATIONS, seed=42)
    minhash.update(sorted(shingles) or [" ".join(units)])
    return minhash


def groups(ids: Sequence[str], signatures: Sequence[RMinHash], threshold: float) -> list[str]:
    """For each id the smallest id of its group; two are in one group when a chain of near-duplicates joins them.

    Args:
        ids: shape (n,).
        signatures: shape (n,), as `signature` gives them.
        threshold: the estimated Jaccard similarity from which two are near-duplicates, 0 to 1.
    """
    if not ids:
        return []
    every = np.empty((len(ids), _PERMUTATIONS), np.uint32)
    for at, one in enumerate(signatures):
        every[at] = one.digest()
    digests, place = np.unique(every, axis=0, return_inverse=True)
    labels = _components(digests, threshold)[place.reshape(-1)]
    frame = pl.DataFrame({"id": list(ids), "label": labels})
    return frame.select(pl.col("id").min().over("label"))["id"].to_list()


def _components(digests: Digests, threshold: float) -> Indices:
    """The number of each digest's group, shape (digests,).

    Digests that agree in a whole band are candidates. Of a bucket of them no list of pairs is made, only a tree for each group in
    it, so memory grows with the documents, not with the square of those that are alike.
    """
    labels = np.arange(len(digests))
    rows = _PERMUTATIONS // _BANDS
    for first in range(0, _PERMUTATIONS, rows):
        buckets = (one for one in _buckets(digests[:, first : first + rows]) if np.ptp(labels[one]))
        edges = [edge for bucket in buckets for edge in _edges(bucket, digests, threshold)]
        if edges:
            one, other = np.concatenate(edges, axis=1)
            graph = coo_matrix((np.ones(len(one)), (labels[one], labels[other])), shape=(len(labels), len(labels)))
            labels = connected_components(graph, directed=False)[1][labels]
    return labels


def _buckets(band: Digests) -> Iterator[Indices]:
    """The places of each two or more rows that are equal.

    >>> [bucket.tolist() for bucket in _buckets(np.array([[1, 2], [3, 4], [1, 2], [5, 6]], dtype=np.uint32))]
    [[0, 2]]
    """
    order = np.lexsort(band.T)
    sorted_rows = band[order]
    starts = np.flatnonzero(np.append([True], (sorted_rows[1:] != sorted_rows[:-1]).any(axis=1)))
    sizes = np.diff(starts, append=len(order))
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        yield order[start : start + size]


def _edges(bucket: Indices, digests: Digests, threshold: float) -> Iterator[Indices]:
    """A tree over each group of near-duplicates within `bucket`, as edges of shape (2, edges); fewer than it has members."""
    left = bucket
    while left.size:
        reached, left = [left[0]], left[1:]
        while reached and left.size:
            one = reached.pop()
            near = (digests[left] == digests[one]).mean(axis=1) >= threshold
            found = left[near]
            yield np.stack([np.full_like(found, one), found])
            reached += found.tolist()
            left = left[~near]


def near_duplicates(texts: Sequence[str], others: Sequence[str], threshold: float) -> list[tuple[int, int, float]]:
    """(index in texts, index in others, similarity) of each pair whose similarity is at least `threshold`.

    Similarity is the Jaccard index of the sets of shingles of the normalised texts, computed exactly: one sparse product, in
    blocks, so memory does not grow with the number of texts squared. A shingle is four characters; where signs are syllables
    or words (Chinese, Japanese, Korean) each sign is one, and each with the sign after it.

    >>> near_duplicates(["How to pin a version"], ["how to pin a version?", "cook rice"], 0.7)
    [(0, 0, 1.0)]
    """
    if not texts or not others:
        return []
    vectorizer = CountVectorizer(analyzer=_shingles, binary=True, dtype=np.int32)
    matrix = vectorizer.fit_transform([*texts, *others]).tocsr()
    left, right = matrix[: len(texts)], matrix[len(texts) :].T.tocsr()
    sizes = np.asarray(matrix.sum(axis=1)).ravel()
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(texts), 512):
        shared = (left[start : start + 512] @ right).tocoo()
        rows = shared.row + start
        union = sizes[rows] + sizes[len(texts) + shared.col] - shared.data
        similarity = shared.data / union
        near = np.flatnonzero(similarity >= threshold)
        found += zip(rows[near].tolist(), shared.col[near].tolist(), similarity[near].tolist(), strict=True)
    return sorted(found)


def clusters(texts: Sequence[str], threshold: float) -> list[str]:
    """For each text the smallest text of its near-duplicate cluster, which so names the cluster."""
    pairs = near_duplicates(texts, texts, threshold)
    rows, columns = zip(*((one, other) for one, other, _ in pairs), strict=True) if pairs else ((), ())
    graph = coo_matrix((np.ones(len(pairs)), (rows, columns)), shape=(len(texts), len(texts)))
    _, labels = connected_components(graph, directed=False)
    return pl.DataFrame({"text": list(texts), "label": labels}).select(pl.col("text").min().over("label"))["text"].to_list()


def _shingles(text: str) -> set[str]:
    padded = f" {normalised(text)} "
    if _DENSE.search(padded) is None:
        return {padded[i : i + _SHINGLE] for i in range(max(1, len(padded) - _SHINGLE + 1))}
    dense = [_DENSE.match(sign) is not None for sign in padded] + [False]
    found = {sign for sign, is_dense in zip(padded, dense, strict=False) if is_dense}
    for i, sign in enumerate(padded):
        size = 2 if dense[i] or (sign == " " and dense[i + 1]) else _SHINGLE
        if i + size <= len(padded):
            found.add(padded[i : i + size])
    return found
