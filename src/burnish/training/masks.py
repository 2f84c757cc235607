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
    """

    queries: Vectors
    passages: Vectors
    candidates: NDArray[np.int64]
    positives: Sequence[frozenset[int]]
    suspicion: Suspicion

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
        known = [np.isin(columns, list(self.positives[row])) for columns, row in zip(candidates, rows, strict=True)]
        masked: NDArray[np.bool_] = (scores > self.suspicion.threshold * scores[:, :1]) & alike | np.stack(known)
        return masked[:, 1:] | self._empty(rows)

    def of_batch(self, rows: NDArray[np.int64], device: torch.device) -> "BatchMask":
        """The masks of the batch of these rows, computed on `device`, for some of its rows at a time."""
        columns = self.candidates[rows].T.reshape(-1)
        order = np.argsort(columns, kind="stable")
        known = [np.fromiter(self.positives[row], np.int64) for row in rows]
        flat = np.concatenate(known)
        first, last = (np.searchsorted(columns[order], flat, side=side) for side in ("left", "right"))
        places = [order[low:high] for low, high in zip(first, last, strict=True)]
        known_rows = np.repeat(np.repeat(np.arange(len(rows)), [len(one) for one in known]), last - first)
        queries, passages = (torch.from_numpy(one).to(device) for one in (self.queries[rows], self.passages[columns]))
        empty = np.concatenate([np.zeros(len(rows), np.bool_), self._empty(rows).T.reshape(-1)])
        nobodys = torch.from_numpy(empty).to(device)
        return BatchMask(queries, passages, known_rows, np.concatenate(places), self.suspicion, nobodys)

    def _empty(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which places for negatives hold none, shape (rows, negatives)."""
        candidates = self.candidates[rows]
        found: NDArray[np.bool_] = candidates[:, 1:] == candidates[:, :1]
        return found


@dataclass(frozen=True)
class BatchMask:
    """What the rows of a batch may not be contrasted with, made for some rows at a time: 65,536 of them are 8 GB at once.

    Attributes:
        queries: the guide's vectors of the batch's queries, shape (rows, dimensions).
        passages: the guide's vectors of the columns, shape (columns, dimensions): all positives, all first negatives, ...
        known_rows: row of each known answer in the batch, ascending.
        known_columns: its column.
        suspicion: as in FalseNegatives.
        empty: which columns are places without a passage, shape (columns,).
    """

    queries: Tensor
    passages: Tensor
    known_rows: NDArray[np.int64]
    known_columns: NDArray[np.int64]
    suspicion: Suspicion
    empty: Tensor

    def documents(self, start: int, stop: int) -> Tensor:
        """The passages that are no negatives of rows `start` to `stop`, shape (stop - start, columns)."""
        scores = self.queries[start:stop] @ self.passages.T
        alike = self.passages[start:stop] @ self.passages.T >= self.suspicion.likeness
        at = torch.arange(stop - start)
        masked = (scores > self.suspicion.threshold * scores[at, at + start][:, None]) & alike | self._known(start, stop)
        masked |= self.empty
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
        masked = (scores > self.suspicion.threshold * own[:, None]) | self._known(start, stop)[:, : len(self.queries)]
        at = torch.arange(stop - start)
        masked[at, at + start] = True
        return masked

    def _known(self, start: int, stop: int) -> Tensor:
        low, high = np.searchsorted(self.known_rows, [start, stop])
        known = torch.zeros(stop - start, len(self.passages), dtype=torch.bool, device=self.passages.device)
        known[torch.from_numpy(self.known_rows[low:high] - start), torch.from_numpy(self.known_columns[low:high])] = True
        return known
