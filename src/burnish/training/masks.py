"""Which passages and queries of a batch are no negatives, most likely: known answers, and what a guide scores as high."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from burnish.arrays import Vectors


@dataclass(frozen=True)
class Suspicion:
    """When an in-batch passage is taken for an unjudged answer: both must hold.

    NV-Retriever (arXiv:2407.15831) goes by the query's scores alone, of a guide that knows better. Where the guide is the base
    model itself, what it ranks above the answer is as often the very error that training is to mend (LOG.md), so the
    passage must be much like the answer too.

    Attributes:
        threshold: share of the own positive's score by the guide above which it scores; above 1 only known answers are masked.
        likeness: its least cosine to the own positive by the guide; -1 asks for none.
    """

    threshold: float
    likeness: float


@dataclass(frozen=True)
class FalseNegatives:
    """Which passages of a batch may not serve as a row's negatives: known positives of its query, and suspected ones.

    Attributes:
        queries: the guide's query vectors, shape (rows, dimensions).
        passages: the guide's passage vectors, shape (passages, dimensions); only those of `candidates` count.
        candidates: the passages of each row, its positive first, as rows of `passages`; shape (rows, 1 + negatives). A row
            with fewer negatives than others repeats its positive at the end: such a place is nobody's negative.
        positives: the passages known to answer each row's query, as rows of `passages`.
        suspicion: when a passage is taken for an answer; the guide is the base model, unless another is named.
        refuted: the passages that an expert judged to be no answers of each row's query: no guide's score makes one suspected.
            None, where it is empty.
    """

    queries: Vectors
    passages: Vectors
    candidates: NDArray[np.int64]
    positives: Sequence[frozenset[int]]
    suspicion: Suspicion
    refuted: Sequence[frozenset[int]] = ()

    def negatives(self) -> NDArray[np.int64]:
        """How many negatives each row has, shape (rows,)."""
        counts: NDArray[np.int64] = (~self._empty(np.arange(len(self.candidates)))).sum(axis=1)
        return counts

    def mask(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """What to leave out, shape (rows, rows x (1 + negatives)), columns in the order in which the loss takes them."""
        return self.of_batch(rows, torch.device("cpu")).documents(0, len(rows)).numpy()

    def own(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of each row's own negatives to leave out, shape (rows, negatives)."""
        candidates = self.candidates[rows]
        vectors = self.passages[candidates]
        scores = np.einsum("rd,rcd->rc", self.queries[rows], vectors)
        alike = np.einsum("rd,rcd->rc", vectors[:, 0], vectors) >= self.suspicion.likeness
        suspected: NDArray[np.bool_] = (scores > self.suspicion.threshold * scores[:, :1]) & alike
        if self.refuted:
            suspected &= ~_among(self.refuted, rows, candidates)
        return (suspected | _among(self.positives, rows, candidates))[:, 1:] | self._empty(rows)

    def of_batch(self, rows: NDArray[np.int64], device: torch.device) -> "BatchMask":
        """The masks of the batch of these rows, computed on `device`, for some of its rows at a time."""
        columns = self.candidates[rows].T.reshape(-1)
        known, refuted = (
            _places([sets[row] for row in rows] if sets else [], columns) for sets in (self.positives, self.refuted)
        )
        queries, passages = (torch.from_numpy(one).to(device) for one in (self.queries[rows], self.passages[columns]))
        empty = np.concatenate([np.zeros(len(rows), np.bool_), self._empty(rows).T.reshape(-1)])
        nobodys = torch.from_numpy(empty).to(device)
        return BatchMask(queries, passages, known, refuted, self.suspicion, nobodys)

    def _empty(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which places for negatives hold none, shape (rows, negatives)."""
        candidates = self.candidates[rows]
        found: NDArray[np.bool_] = candidates[:, 1:] == candidates[:, :1]
        return found


Places = tuple[NDArray[np.int64], NDArray[np.int64]]  # rows, ascending, and columns of a batch


def _among(sets: Sequence[frozenset[int]], rows: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which candidates are in the set of their row, shape (rows, 1 + negatives)."""
    return np.stack([np.isin(columns, list(sets[row])) for columns, row in zip(candidates, rows, strict=True)])


def _places(sets: Sequence[frozenset[int]], columns: NDArray[np.int64]) -> Places:
    """Where the columns of a batch hold a passage of their row's set."""
    order = np.argsort(columns, kind="stable")
    flat = np.array([one for members in sets for one in members], np.int64)
    first, last = (np.searchsorted(columns[order], flat, side=side) for side in ("left", "right"))
    places = [order[low:high] for low, high in zip(first, last, strict=True)]
    rows = np.repeat(np.repeat(np.arange(len(sets)), [len(members) for members in sets]), last - first)
    return rows, np.concatenate([np.empty(0, np.int64), *places])


@dataclass(frozen=True)
class BatchMask:
    """What the rows of a batch may not be contrasted with, made for some rows at a time: 65,536 of them are 8 GB at once.

    Attributes:
        queries: the guide's vectors of the batch's queries, shape (rows, dimensions).
        passages: the guide's vectors of the columns, shape (columns, dimensions): all positives, all first negatives, ...
        known: where the batch has known answers.
        refuted: where it has judged non-answers.
        suspicion: as in FalseNegatives.
        empty: which columns are places without a passage, shape (columns,).
    """

    queries: Tensor
    passages: Tensor
    known: Places
    refuted: Places
    suspicion: Suspicion
    empty: Tensor

    def documents(self, start: int, stop: int) -> Tensor:
        """The passages that are no negatives of rows `start` to `stop`, shape (stop - start, columns)."""
        scores = self.queries[start:stop] @ self.passages.T
        alike = self.passages[start:stop] @ self.passages.T >= self.suspicion.likeness
        at = torch.arange(stop - start)
        suspected = (scores > self.suspicion.threshold * scores[at, at + start][:, None]) & alike
        if len(self.refuted[0]):
            suspected &= ~self._at(self.refuted, start, stop)
        masked = suspected | self._at(self.known, start, stop) | self.empty
        masked[at, at + start] = False
        return masked

    def anchors(self, start: int, stop: int) -> Tensor:
        """The queries that the rows' queries may not be pushed from, shape (stop - start, rows)."""
        return self._alike(self.queries[start:stop] @ self.queries.T, start, stop)

    def positives(self, start: int, stop: int) -> Tensor:
        """The passages that the rows' positives may not be pushed from, shape (stop - start, columns): negatives too."""
        count = len(self.queries)
        masked = self._alike(self.passages[start:stop] @ self.passages[:count].T, start, stop)
        return nn.functional.pad(masked, (0, len(self.passages) - count), value=True)

    def _alike(self, scores: Tensor, start: int, stop: int) -> Tensor:
        own = (self.queries[start:stop] * self.passages[start:stop]).sum(dim=1)
        masked = (scores > self.suspicion.threshold * own[:, None]) | self._at(self.known, start, stop)[:, : len(self.queries)]
        at = torch.arange(stop - start)
        masked[at, at + start] = True
        return masked

    def _at(self, places: Places, start: int, stop: int) -> Tensor:
        rows, columns = places
        low, high = np.searchsorted(rows, [start, stop])
        marked = torch.zeros(stop - start, len(self.passages), dtype=torch.bool, device=self.passages.device)
        marked[torch.from_numpy(rows[low:high] - start), torch.from_numpy(columns[low:high])] = True
        return marked
