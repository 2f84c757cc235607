"""Losses that look at a row's own passages alone: triplets, labelled pairs, and what a teacher thinks of them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    ContrastiveLoss,
    DistillKLDivLoss,
    MarginMSELoss,
    TripletLoss,
)
from sentence_transformers.sentence_transformer.losses.contrastive import SiameseDistanceMetric
from sentence_transformers.sentence_transformer.losses.triplet import TripletDistanceMetric
from sentence_transformers.util import pairwise_cos_sim
from torch import Tensor

from burnish.arrays import Vectors
from burnish.training import processes
from burnish.training.losses import Features, Passes, packed_embeddings
from burnish.training.masks import FalseNegatives


class PackedTripletLoss(TripletLoss):
    """TripletLoss over cosine distances: of each row's negatives that are not masked, each makes a triplet."""

    def __init__(
        self,
        model: SentenceTransformer,
        masks: FalseNegatives,
        weights: NDArray[np.float32],
        *,
        margin: float,
        passes: Passes,
    ) -> None:
        super().__init__(model, distance_metric=TripletDistanceMetric.COSINE, triplet_margin=margin)
        self.masks, self.weights, self.passes = masks, weights, passes

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean loss of the triplets of the rows `labels`, shape (rows,); 0 where none is left."""
        (query, positive, *negatives), labels = _batch(self, sentence_features, labels)
        kept = _kept(self.masks, labels)
        if not kept.any():
            return (query * 0).sum()
        row, column = kept.nonzero(as_tuple=True)
        triplets = [query[row], positive[row], torch.stack(negatives, 1)[row, column]]
        return _weighted(
            self.weights, labels[row], lambda some: self.compute_loss_from_embeddings([one[some] for one in triplets], labels)
        )


class PackedContrastiveLoss(ContrastiveLoss):
    """ContrastiveLoss over cosine distances: each row's positive is a pair of label 1, each unmasked negative one of 0."""

    def __init__(
        self,
        model: SentenceTransformer,
        masks: FalseNegatives,
        weights: NDArray[np.float32],
        *,
        margin: float,
        passes: Passes,
    ) -> None:
        super().__init__(model, distance_metric=SiameseDistanceMetric.COSINE_DISTANCE, margin=margin)
        self.masks, self.weights, self.passes = masks, weights, passes

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean loss of the pairs of the rows `labels`, shape (rows,)."""
        (query, positive, *negatives), labels = _batch(self, sentence_features, labels)
        row, column = _kept(self.masks, labels).nonzero(as_tuple=True)
        pairs = [torch.cat([query, query[row]]), torch.cat([positive, torch.stack(negatives, 1)[row, column]])]
        truth = torch.cat([torch.ones_like(labels), torch.zeros_like(row)])
        return _weighted(
            self.weights,
            torch.cat([labels, labels[row]]),
            lambda some: self.compute_loss_from_embeddings([one[some] for one in pairs], truth[some]),
        )


class _Taught:
    """What two losses share: a teacher's scores, and a student's that are `scale` times the cosine.

    A cosine alone has no room for a cross-encoder's margins. Rows with as many negatives, `negatives` of shape (rows,), are
    computed together, since both losses want as many of every row.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        taught: Vectors,
        weights: NDArray[np.float32],
        *,
        negatives: NDArray[np.int64],
        scale: float,
        passes: Passes,
    ) -> None:
        super().__init__(model, similarity_fct=_ScaledCosine(scale))  # type: ignore[call-arg]
        self.taught, self.weights, self.passes = torch.from_numpy(taught), weights, passes
        self.negatives = torch.from_numpy(negatives)

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean loss of those of the rows `labels`, shape (rows,), that have a negative; 0 where none has."""
        columns, labels = _batch(self, sentence_features, labels)
        taught, counts = (one[labels.cpu()].to(labels.device) for one in (self.taught, self.negatives))
        found = [count for count in counts.unique().tolist() if count]
        if not found:
            return (columns[0] * 0).sum()
        if bool((counts == found[0]).all()):
            return self._mean(columns, taught, labels, found[0])
        own = torch.from_numpy(self.weights[labels.cpu().numpy()]).to(labels.device)
        parts = []
        for count in found:
            some = counts == count
            parts.append(self._mean([one[some] for one in columns], taught[some], labels[some], count) * own[some].sum())
        return torch.stack(parts).sum() / own[counts > 0].sum()

    def _mean(self, columns: list[Tensor], taught: Tensor, labels: Tensor, count: int) -> Tensor:
        """The mean loss of rows that all have `count` negatives, in their first columns."""
        compute: Callable[..., Tensor] = self.compute_loss_from_embeddings  # type: ignore[attr-defined]
        first, scores = columns[: 2 + count], taught[:, : 1 + count]
        return _weighted(self.weights, labels, lambda some: compute([one[some] for one in first], scores[some]))


class PackedMarginLoss(_Taught, MarginMSELoss):
    """MarginMSELoss (GPL, arXiv:2112.07577): the student's margin of positive over negative is to be the teacher's."""


class PackedKLLoss(_Taught, DistillKLDivLoss):
    """DistillKLDivLoss (arXiv:2010.11386): softmax over a row's passages is to be the teacher's."""


def _batch(loss: Any, sentence_features: Iterable[Features], labels: Tensor) -> tuple[list[Tensor], Tensor]:
    """The embeddings of each column and the labels, of the whole batch where processes share it."""
    columns, labels, _ = processes.gathered(packed_embeddings(loss.model, list(sentence_features), loss.passes), labels)
    return columns, labels


class _ScaledCosine:
    """`scale` times the cosine of each row's two vectors."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(self, one: Tensor, other: Tensor) -> Tensor:
        """Scores, shape (rows,)."""
        return self.scale * pairwise_cos_sim(one, other)


def _kept(masks: FalseNegatives, labels: Tensor) -> Tensor:
    """Which negatives of the rows `labels` are not masked, shape (rows, negatives)."""
    kept: NDArray[np.bool_] = ~masks.own(labels.cpu().numpy())
    return torch.from_numpy(kept).to(labels.device)


def _weighted(weights: NDArray[np.float32], rows: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """The weighted mean of items that belong to `rows`, from `loss`, the plain mean of the items that it is told by a mask.

    Processes that share a batch all compute the whole, which is little work, and take an even part of it.
    Items of one weight make a plain mean; weights are few (one an origin), so that sentence-transformers' own losses serve.
    """
    own = torch.from_numpy(weights[rows.cpu().numpy()]).to(rows.device)
    found = own.unique()
    if len(found) == 1:
        return loss(torch.ones_like(own, dtype=torch.bool)) / processes.count()
    whole = torch.stack([loss(own == one) * (own == one).sum() * one for one in found]).sum() / own.sum()
    return whole / processes.count()
