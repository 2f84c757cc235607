"""Near-duplicates: of documents by MinHash, of queries exactly."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import polars as pl
from rensa import RMinHash, RMinHashLSH
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import CountVectorizer

_PERMUTATIONS = 128  # standard error of the estimated similarity: at most 1 / sqrt(4 x 128) = 0.044
_BANDS = 32  # of 4 rows: a pair of similarity 0.8 is missed once in 10 million, (1 - 0.8^4)^32
_SHINGLE = 4  # characters; short queries share few word n-grams, and characters need no word list of any language


def normalised(text: str) -> str:
    """`text` with case, accents' encoding, punctuation and white space made alike, in any script.

    >>> normalised("  How do I  pin a “Version”? ")
    'how do i pin a version'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[^\w]+|_", " ", folded).split())


def signature(text: str) -> RMinHash:
    """The MinHash of a text's three-word shingles (of single characters' where there is no white space)."""
    words = normalised(text).split()
    if len(words) < 3:
        words = list(normalised(text))
    shingles = {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
    minhash = RMinHash(num_perm=_PERMUTATIONS, seed=42)
    minhash.update(sorted(shingles))
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
    lsh = RMinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, num_bands=_BANDS)
    lsh.insert_pairs(list(enumerate(signatures)))
    edges = [
        (one, other)
        for one, candidates in enumerate(lsh.query_all(list(signatures)))
        for other in candidates
        if other > one and signatures[one].jaccard(signatures[other]) >= threshold
    ]
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    graph = coo_matrix((np.ones(len(edges)), (rows, columns)), shape=(len(ids), len(ids)))
    _, labels = connected_components(graph, directed=False)
    frame = pl.DataFrame({"id": list(ids), "label": labels})
    return frame.select(pl.col("id").min().over("label"))["id"].to_list()


def near_duplicates(texts: Sequence[str], others: Sequence[str], threshold: float) -> list[tuple[int, int, float]]:
    """(index in texts, index in others, similarity) of each pair whose similarity is at least `threshold`.

    Similarity is the Jaccard index of the sets of four-character shingles of the normalised texts, computed exactly: one
    sparse product, in blocks, so memory does not grow with the number of texts squared.

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
    return {padded[i : i + _SHINGLE] for i in range(max(1, len(padded) - _SHINGLE + 1))}
