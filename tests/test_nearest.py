"""Nearest passages, exactly and nearly."""

import numpy as np
import pytest

from burnish.arrays import Vectors
from burnish.search import nearest


def unit(count: int, dimensions: int, seed: int) -> Vectors:
    """Random vectors of unit length."""
    found = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_exact_equals_brute_force() -> None:
    """Indices and scores are those of a full sort of all inner products."""
    queries, passages = unit(20, 32, 0), unit(500, 32, 1)
    indices, scores = nearest.exact(queries, passages, 10)
    whole = queries @ passages.T
    expected = np.argsort(-whole, axis=1)[:, :10]
    assert np.array_equal(indices, expected)
    assert scores == pytest.approx(np.take_along_axis(whole, expected, axis=1), abs=1e-6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of three queries at a time finds what all at once find."""
    queries, passages = unit(20, 32, 0), unit(500, 32, 1)
    whole, _ = nearest.exact(queries, passages, 10)
    monkeypatch.setattr(nearest, "_SCORES_IN_MEMORY", 3 * len(passages))
    assert np.array_equal(nearest.exact(queries, passages, 10)[0], whole)


@pytest.mark.parametrize("name", list(nearest.SEARCHES))
def test_no_more_than_there_is_comes_back(name: str) -> None:
    """Of five passages at most five are found, each once, best first."""
    indices, scores = nearest.SEARCHES[name](unit(3, 8, 0), unit(5, 8, 1), 10)
    assert [sorted(row) for row in indices.tolist()] == [[0, 1, 2, 3, 4]] * 3
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("name", list(nearest.SEARCHES))
def test_without_queries_nothing_is_found(name: str) -> None:
    """No query is not an error: a collection may have none of a split."""
    assert [part.shape for part in nearest.SEARCHES[name](unit(0, 8, 0), unit(5, 8, 1), 3)] == [(0, 3), (0, 3)]


def test_equal_scores_come_in_the_order_of_the_passages() -> None:
    """Of 200 passages with one vector the first come first, even where the cut falls among them."""
    passages = np.repeat(unit(1, 8, 1), 200, axis=0)
    assert nearest.exact(passages[:1], passages, 5)[0].tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(("passages", "k"), [(7, 3), (64, 64), (101, 10), (1000, 1), (1003, 40)])
def test_exact_is_a_stable_sort_among_many_equal_scores(passages: int, k: int) -> None:
    """Whatever the number of passages, and with a handful of distinct scores, best first and then in the passages' order."""
    draw = np.random.default_rng(passages)
    found = draw.integers(0, 3, (passages, 2)).astype(np.float32)
    asked = draw.integers(-1, 2, (9, 2)).astype(np.float32)
    indices, scores = nearest.exact(asked, found, k)
    whole = asked @ found.T
    expected = np.argsort(-whole, axis=1, kind="stable")[:, :k]
    assert np.array_equal(indices, expected)
    assert np.array_equal(scores, np.take_along_axis(whole, expected, axis=1))


def test_approximate_finds_nearly_all_that_exact_finds() -> None:
    """Recall of the first ten among 2,000 random vectors is at least 0.95."""
    queries, passages = unit(100, 64, 0), unit(2000, 64, 1)
    near, exact = nearest.approximate(queries, passages, 10)[0], nearest.exact(queries, passages, 10)[0]
    shared = sum(len({*one} & {*other}) for one, other in zip(near.tolist(), exact.tolist(), strict=True))
    assert shared / exact.size >= 0.95


def test_approximate_scores_are_inner_products() -> None:
    """A score is comparable with those of the exact search."""
    queries, passages = unit(5, 16, 0), unit(50, 16, 1)
    indices, scores = nearest.approximate(queries, passages, 4)
    assert scores == pytest.approx(np.take_along_axis(queries @ passages.T, indices, axis=1), abs=1e-5)


def test_approximate_gives_the_same_twice() -> None:
    """The graph does not depend on which thread came first: what is mined from it must be the same bytes."""
    queries, passages = unit(200, 64, 0), unit(2000, 64, 1)
    first = nearest.approximate(queries, passages, 100)
    for _ in range(3):
        again = nearest.approximate(queries, passages, 100)
        assert np.array_equal(first[0], again[0])
