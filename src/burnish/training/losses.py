"""Losses for retrieval: in-batch ranking that never takes a likely answer for a negative and pads next to nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.util import cos_sim
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from burnish.arrays import Vectors
from burnish.embedding import flat
from burnish.embedding.encoding import batches
from burnish.training import memory

Features = dict[str, Tensor]

_TRIAL_TEXTS = 16  # whose forward pass tells what a token costs in memory


@dataclass(frozen=True)
class FalseNegatives:
    """Which passages of a batch may not serve as a row's negatives, by what is known and by the base model's scores.

    A passage is masked where it is a known positive of the query, or where the base model scores it above `threshold`
    times the row's own positive: among many near-alike passages such a "negative" is most often an unjudged answer
    (NV-Retriever, arXiv:2407.15831, states the rule for mined negatives; here it holds for in-batch ones too).

    Attributes:
        queries: the base model's query vectors, shape (rows, dimensions).
        passages: the base model's passage vectors, shape (passages, dimensions).
        candidates: the passages of each row, its positive first, as rows of `passages`; shape (rows, 1 + negatives).
        positives: the passages known to answer each row's query, as rows of `passages`.
        threshold: share of the own positive's score above which a passage is masked; above 1 masks known ones only.
    """

    queries: Vectors
    passages: Vectors
    candidates: NDArray[np.int64]
    positives: Sequence[frozenset[int]]
    threshold: float

    def mask(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """What to leave out, shape (rows, rows x (1 + negatives)), columns in the order in which the loss takes them."""
        columns = self.candidates[rows].T.reshape(-1)
        scores = self.queries[rows] @ self.passages[columns].T
        own = scores[np.arange(len(rows)), np.arange(len(rows))]
        masked = scores > self.threshold * own[:, None]
        for at, row in enumerate(rows):
            masked[at] |= np.isin(columns, list(self.positives[row]))
            masked[at, at] = False
        return masked


@dataclass
class _MaskedScores:
    """Cosine scores with the batch's mask applied; the cached loss asks for them some rows at a time."""

    masks: FalseNegatives
    mask: Tensor | None = None
    row: int = field(default=0)

    def start(self, labels: Tensor) -> None:
        """Take the batch whose rows of the training set are `labels`."""
        self.mask = torch.from_numpy(self.masks.mask(labels.cpu().numpy())).to(labels.device)
        self.row = 0

    def __call__(self, queries: Tensor, passages: Tensor) -> Tensor:
        """Scores, shape (queries, passages), minus infinity where masked."""
        assert self.mask is not None
        part = self.mask[self.row : self.row + len(queries)]
        self.row += len(queries)
        return cos_sim(queries, passages).masked_fill(part, -torch.inf)


def _row_losses(scores: Tensor, first: int) -> Tensor:
    """The cross-entropy of each row against its positive, shape (rows,); row n's positive is column `first` + n."""
    return torch.logsumexp(scores, dim=1) - scores.diagonal(first)


def _shares(weights: NDArray[np.float32], labels: Tensor) -> Tensor | None:
    """What each row of a batch counts in its weighted mean, shape (rows,), 1 in sum; None where all count the same."""
    own = torch.from_numpy(weights[labels.cpu().numpy()]).to(labels.device)
    return None if bool((own == own[0]).all()) else own / own.sum()


class PackedRankingLoss(MultipleNegativesRankingLoss):
    """MultipleNegativesRankingLoss with masked false negatives, each text embedded once and hardly any padding.

    Labels are row numbers of the training set. A passage that serves several rows of the batch, as positive or negative, is
    embedded once: with four queries for each passage that is most of the work saved.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        masks: FalseNegatives,
        weights: NDArray[np.float32],
        *,
        scale: float,
        batch_tokens: int,
    ) -> None:
        self.scores = _MaskedScores(masks)
        super().__init__(model, scale=scale, similarity_fct=self.scores)
        self.weights = weights
        self.batch_tokens = batch_tokens

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean loss of the batch whose rows are `labels`, shape (rows,)."""
        queries, *passages = sentence_features
        embedded = packed_embeddings(self.model, passages, self.batch_tokens)
        self.scores.start(labels)
        columns = [*packed_embeddings(self.model, [queries], self.batch_tokens), *embedded]
        return self.compute_loss_from_embeddings(columns, labels)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor) -> Tensor:
        """The mean of the rows' losses, weighted where weights differ."""
        shares = _shares(self.weights, labels)
        if shares is None:
            return super().compute_loss_from_embeddings(embeddings, labels)
        queries, *passages = embeddings
        return (_row_losses(self.scores(queries, torch.cat(passages)) * self.scale, 0) * shares).sum()


class CachedRankingLoss(CachedMultipleNegativesRankingLoss):
    """CachedMultipleNegativesRankingLoss (GradCache) with masked false negatives: batches larger than memory holds."""

    def __init__(
        self,
        model: SentenceTransformer,
        masks: FalseNegatives,
        weights: NDArray[np.float32],
        *,
        scale: float,
        batch_tokens: int,
    ) -> None:
        self.scores = _MaskedScores(masks)
        super().__init__(model, scale=scale, similarity_fct=self.scores, mini_batch_num_tokens=batch_tokens)
        self.weights = weights

    def calculate_loss(self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False) -> Tensor:
        """The loss from the embeddings of the whole batch, in chunks of rows."""
        assert labels is not None
        self.scores.start(labels)
        shares = _shares(self.weights, labels)
        if shares is None:
            return super().calculate_loss(reps, labels, with_backward=with_backward)
        queries, passages = torch.cat(reps[0]), torch.cat([part for column in reps[1:] for part in column])
        total = torch.zeros((), device=queries.device)
        for first in range(0, len(queries), self.mini_batch_size):
            rows = slice(first, first + self.mini_batch_size)
            part = (_row_losses(self.scores(queries[rows], passages) * self.scale, first) * shares[rows]).sum()
            if with_backward:
                part.backward()
                part = part.detach()
            total = total + part
        return total


LOSSES = {"mnrl": PackedRankingLoss, "cached-mnrl": CachedRankingLoss}


def loss(
    name: str,
    model: SentenceTransformer,
    masks: FalseNegatives,
    weights: NDArray[np.float32],
    *,
    scale: float,
    batch_tokens: int,
    widths: Sequence[int],
) -> nn.Module:
    """The loss `name` of LOSSES, each row counted by its weight, summed over the Matryoshka `widths` (arXiv:2205.13147)."""
    inner = LOSSES[name](model, masks, weights, scale=scale, batch_tokens=batch_tokens)
    return MatryoshkaLoss(model, inner, matryoshka_dims=list(widths))


def packed_embeddings(model: Any, columns: Sequence[Features], batch_tokens: int) -> list[Tensor]:
    """The embeddings of each column, shape (rows, dimensions), every distinct text computed once, in length order.

    On a GPU the passes that its memory does not hold are computed again for the backward pass (`memory`).

    Args:
        model: maps features to features with `sentence_embedding`.
        columns: padded features, each value of shape (rows, longest).
        batch_tokens: tokens, padding included, of one forward pass.
    """
    longest = max(column["input_ids"].shape[1] for column in columns)
    keys = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in columns[0]]
    stacked: Features = {
        name: torch.cat([nn.functional.pad(c[name], (0, longest - c[name].shape[1])) for c in columns]) for name in keys
    }
    pair = torch.stack([stacked["input_ids"], stacked["attention_mask"]], dim=1).flatten(1).cpu().numpy()
    _, first, inverse = np.unique(pair, axis=0, return_index=True, return_inverse=True)
    lengths = stacked["attention_mask"].sum(dim=1).cpu().numpy()[first]
    order = np.argsort(-lengths, kind="stable")
    device = stacked["input_ids"].device

    def embeddings(batch: list[int]) -> Tensor:
        rows = torch.from_numpy(first[batch]).to(device)
        width = int(lengths[batch].max())
        features: Features = {name: value[rows, :width] for name, value in stacked.items()}
        return flat.sentence_embeddings(model, features, lengths[batch].tolist())

    some = order[:_TRIAL_TEXTS].tolist()
    room = memory.room(model, device, lambda: (embeddings(some), len(some) * int(lengths[some].max())))
    embedded, kept = [], 0
    for batch in batches(lengths.tolist(), order.tolist(), int(min(batch_tokens, room.one_pass))):
        kept += len(batch) * int(lengths[batch].max())
        embedded.append(embeddings(batch) if kept <= room.kept else checkpoint(embeddings, batch, use_reentrant=False))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    where = torch.from_numpy(place[inverse.reshape(-1)]).to(device)
    return list(torch.cat(embedded)[where].split([len(column["input_ids"]) for column in columns]))
