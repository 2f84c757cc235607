"""Losses that look at a row's own passages alone: triplets, labelled pairs, and what a teacher thinks of them."""

from collections.abc import Iterable

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

from burnish.embedding.vectors import Vectors
from burnish.training.losses import FalseNegatives, Features, packed_embeddings


class PackedTripletLoss(TripletLoss):
    """TripletLoss over cosine distances: of each row's negatives that are not masked, each makes a triplet."""

    def __init__(self, model: SentenceTransformer, masks: FalseNegatives, *, margin: float, batch_tokens: int) -> None:
        super().__init__(model, distance_metric=TripletDistanceMetric.COSINE, triplet_margin=margin)
        self.masks, self.batch_tokens = masks, batch_tokens

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean loss of the triplets of the rows `labels`, shape (rows,); 0 where none is left."""
        query, positive, *negatives = packed_embeddings(self.model, list(sentence_features), self.batch_tokens)
        kept = _kept(self.masks, labels)
        if not kept.any():
            return (query * 0).sum()
        row, column = kept.nonzero(as_tuple=True)
        return self.compute_loss_from_embeddings([query[row], positive[row], torch.stack(negatives, 1)[row, column]], labels)


class PackedContrastiveLoss(ContrastiveLoss):
    """ContrastiveLoss over cosine distances: each row's positive is a pair of label 1, each unmasked negative one of 0."""

    def __init__(self, model: SentenceTransformer, masks: FalseNegatives, *, margin: float, batch_tokens: int) -> None:
        super().__init__(model, distance_metric=SiameseDistanceMetric.COSINE_DISTANCE, margin=margin)
        self.masks, self.batch_tokens = masks, batch_tokens

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean loss of the pairs of the rows `labels`, shape (rows,)."""
        query, positive, *negatives = packed_embeddings(self.model, list(sentence_features), self.batch_tokens)
        row, column = _kept(self.masks, labels).nonzero(as_tuple=True)
        others = torch.cat([positive, torch.stack(negatives, 1)[row, column]])
        truth = torch.cat([torch.ones_like(labels), torch.zeros_like(row)])
        return self.compute_loss_from_embeddings([torch.cat([query, query[row]]), others], truth)


class PackedMarginLoss(MarginMSELoss):
    """MarginMSELoss (GPL, arXiv:2112.07577): the student's margin of positive over negative is to be the teacher's.

    The student's score is `scale` times the cosine, since a cosine alone has no room for a cross-encoder's margins.
    """

    def __init__(self, model: SentenceTransformer, taught: Vectors, *, scale: float, batch_tokens: int) -> None:
        super().__init__(model, similarity_fct=_ScaledCosine(scale))
        self.taught, self.batch_tokens = torch.from_numpy(taught), batch_tokens

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean squared error of the margins of the rows `labels`, shape (rows,)."""
        columns = packed_embeddings(self.model, list(sentence_features), self.batch_tokens)
        return self.compute_loss_from_embeddings(columns, self.taught[labels.cpu()].to(labels.device))


class PackedKLLoss(DistillKLDivLoss):
    """DistillKLDivLoss (arXiv:2010.11386): softmax over a row's passages is to be the teacher's; scores as in the margin loss."""

    def __init__(self, model: SentenceTransformer, taught: Vectors, *, scale: float, batch_tokens: int) -> None:
        super().__init__(model, similarity_fct=_ScaledCosine(scale))
        self.taught, self.batch_tokens = torch.from_numpy(taught), batch_tokens

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean divergence of the rows `labels`, shape (rows,)."""
        columns = packed_embeddings(self.model, list(sentence_features), self.batch_tokens)
        return self.compute_loss_from_embeddings(columns, self.taught[labels.cpu()].to(labels.device))


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
