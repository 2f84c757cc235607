"""BM25, the baseline that every embedding model has to beat."""

from collections.abc import Sequence

import bm25s
import numpy as np
from bm25s.tokenization import Tokenized

from burnish.search.analysis import passage_terms, query_terms
from burnish.search.nearest import Indices


def bm25(queries: Sequence[str], passages: Sequence[str], k: int, languages: Sequence[str]) -> tuple[Indices, np.ndarray]:
    """(indices, scores) of the `k` best passages of each query, each of shape (queries, k), best first.

    Lucene's variant with k1 = 1.5 and b = 0.75, bm25s' defaults. A query is cut into terms as each passage was, whatever language
    it is in itself: so a word is found wherever it stands as it was typed, a product's name in any language.

    Args:
        queries: shape (queries,).
        passages: shape (passages,).
        k: at most the number of passages is returned.
        languages: ISO 639 code of each passage, shape (passages,), that chooses stemmer and stop words.
    """
    k = min(k, len(passages))
    indices = np.zeros((len(queries), k), np.int64)
    scores = np.zeros((len(queries), k), np.float32)
    vocabulary: dict[str, int] = {}
    terms = [
        [vocabulary.setdefault(term, len(vocabulary)) for term in passage_terms(text, language)]
        for text, language in zip(passages, languages, strict=True)
    ]
    index = bm25s.BM25()
    if vocabulary:
        index.index(Tokenized(terms, vocabulary), show_progress=False)
    kinds = np.asarray(languages)
    rows = {language: np.flatnonzero(kinds == language) for language in dict.fromkeys(languages)}
    for at, text in enumerate(queries):
        found = np.zeros(len(passages), np.float32)
        for language, own in rows.items():
            if known := [term for term in query_terms(text, language) if term in vocabulary]:
                found[own] = index.get_scores(known)[own]
        best = np.argsort(-found, kind="stable")[:k]
        indices[at], scores[at] = best, found[best]
    return indices, scores
