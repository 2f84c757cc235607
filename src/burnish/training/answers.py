"""Further passages that seem to answer a query: those that the base model scores as high as its known answer."""

from collections.abc import Sequence

import numpy as np

from burnish.arrays import Vectors
from burnish.search.nearest import exact

MOST = 10  # further answers; a query that more passages seem to answer says too little to train on

_EQUAL = 1e-6  # by which two products of the same vectors may differ


def further_answers(
    queries: Vectors, passages: Vectors, answers: Sequence[set[int]], barred: Sequence[set[int]], *, margin: float
) -> list[list[int]]:
    """For each query the passages that score at least `margin` of its best answer's score, best first; at most MOST + 1.

    A base that does not know the domain scores other passages high out of ignorance: then these are no answers, and the
    queries that they are found for are those worth learning. docs/synthesis.md has the figures.

    Args:
        queries: unit length, shape (queries, dimensions).
        passages: unit length, shape (passages, dimensions).
        answers: rows of the known answers of each query, at least one.
        barred: rows of the passages that somebody judged to be no answer.
        margin: share of the best answer's score.
    """
    if not len(queries):
        return []
    known = max(len(one) + len(other) for one, other in zip(answers, barred, strict=True))
    indices, scores = exact(queries, passages, MOST + 1 + known)
    found: list[list[int]] = []
    for at, (rows, points) in enumerate(zip(indices, scores, strict=True)):
        least = margin * float(np.max(passages[sorted(answers[at])] @ queries[at])) - _EQUAL
        near = [int(row) for row, score in zip(rows, points, strict=True) if score >= least]
        found.append([row for row in near if row not in answers[at] and row not in barred[at]][: MOST + 1])
    return found
