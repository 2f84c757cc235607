"""BM25, the baseline that every embedding model has to beat."""

import bm25s
import numpy as np
import Stemmer

from burnish.search.nearest import Indices

# Snowball's stemmers and bm25s' stop words, where both know the language; other languages are split into words alone.
_STEMMERS = {"en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian", "nl": "dutch", "pt": "portuguese",
             "ru": "russian", "sv": "swedish", "no": "norwegian", "da": "danish", "fi": "finnish", "hu": "hungarian", "tr": "turkish"}  # fmt: skip
_STOPWORDS = {"en", "de", "fr", "es", "it", "nl", "pt", "ru", "sv", "no", "tr"}


def bm25(queries: list[str], passages: list[str], k: int, language: str) -> tuple[Indices, np.ndarray]:
    """(indices, scores) of the `k` best passages of each query, each of shape (queries, k), best first.

    Lucene's variant with k1 = 1.5 and b = 0.75, bm25s' defaults.

    Args:
        queries: shape (queries,).
        passages: shape (passages,).
        k: at most the number of passages is returned.
        language: ISO 639 code that chooses stemmer and stop words.
    """
    k = min(k, len(passages))
    stemmer = Stemmer.Stemmer(_STEMMERS[language]) if language in _STEMMERS else None
    stopwords = language if language in _STOPWORDS else []
    options = {"stemmer": stemmer, "stopwords": stopwords, "show_progress": False}
    index = bm25s.BM25()
    index.index(bm25s.tokenize(passages, **options), show_progress=False)
    tokens = bm25s.tokenize(queries, return_ids=False, **options)
    indices = np.zeros((len(queries), k), np.int64)
    scores = np.zeros((len(queries), k), np.float32)
    for at, words in enumerate(tokens):
        all_scores = index.get_scores(words) if words else np.zeros(len(passages), np.float32)
        best = np.argsort(-all_scores, kind="stable")[:k]
        indices[at], scores[at] = best, all_scores[best]
    return indices, scores
