"""Companions: the further excerpts that a query for several passages is asked about."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import numpy as np

from burnish.synthesis.excerpts import Excerpt

_SEARCHED = 20  # neighbours looked at, so that some are left when those of the same document or text are not
_BLOCK = 256  # rows of a block: memory grows with the number of excerpts, not with its square


def of_document(excerpts: Sequence[Excerpt], languages: Mapping[str, str], most: int) -> list[list[Excerpt]]:
    """For each excerpt those of its document that follow it, then those before it; at most one of each other passage.

    A new document changes none of them, so nothing is asked anew.
    """
    found: list[list[Excerpt]] = []
    for _, group in groupby(excerpts, key=lambda one: one.document_id):
        own = list(group)
        found += [_other_passages(own[at], own[at + 1 :] + own[:at][::-1], most) for at in range(len(own))]
    return found


def neighbours(excerpts: Sequence[Excerpt], languages: Mapping[str, str], most: int) -> list[list[Excerpt]]:
    """For each excerpt the nearest of other documents in its language, by cosine over TF-IDF of words' character n-grams.

    N-grams, since they need no word list of any language. A new document may become a neighbour, and what it takes part in
    is then asked anew. Time grows with the number of excerpts squared.
    """
    found: list[list[Excerpt]] = [[] for _ in excerpts]
    spoken = [languages[one.document_id] for one in excerpts]
    for language in sorted(set(spoken)):
        own = [one for one, spoken_ in zip(excerpts, spoken, strict=True) if spoken_ == language]
        rows = [at for at, spoken_ in enumerate(spoken) if spoken_ == language]
        for at, nearest in zip(rows, _nearest([f"{one.title} {one.text}" for one in own]), strict=True):
            elsewhere = [own[other] for other in nearest if own[other].document_id != excerpts[at].document_id]
            found[at] = _other_passages(excerpts[at], elsewhere, most)
    return found


COMPANIONS: dict[str, Callable[[Sequence[Excerpt], Mapping[str, str], int], list[list[Excerpt]]]] = {
    "document": of_document,
    "neighbours": neighbours,
}


def _nearest(texts: list[str]) -> list[list[int]]:
    """The positions of the texts nearest to each that share anything with it, best first."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 (a second to import, for one knob)

    matrix = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True).fit_transform(texts)
    found: list[list[int]] = []
    for start in range(0, len(texts), _BLOCK):
        similarity = np.round((matrix[start : start + _BLOCK] @ matrix.T).toarray(), 6)
        for scores in similarity:
            best = np.argsort(-scores, kind="stable")[: _SEARCHED + 1]
            found.append([int(at) for at in best if scores[at] > 0])
    return found


def _other_passages(one: Excerpt, candidates: Sequence[Excerpt], most: int) -> list[Excerpt]:
    by_passage: dict[str, Excerpt] = {}
    for other in candidates:
        if other.passage_id != one.passage_id and other.sha256 != one.sha256:
            by_passage.setdefault(other.passage_id, other)
    return list(by_passage.values())[:most]
