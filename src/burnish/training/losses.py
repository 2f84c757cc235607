"""Losses for retrieval: in-batch ranking that never takes a likely answer for a negative and pads next to nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.util import cos_sim
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from burnish.embedding import attention, flat
from burnish.embedding.encoding import batches
from burnish.training import memory, processes
from burnish.training.masks import BatchMask, FalseNegatives

Features = dict[str, Tensor]
Direction = Literal["query_to_doc", "query_to_query", "doc_to_doc"]
Hardness = Literal["none", "in_batch_negatives", "hard_negatives", "all_negatives"]

QUERY_TO_DOCUMENT: tuple[Direction, ...] = ("query_to_doc",)
# GIST (arXiv:2402.16829) also keeps queries apart from queries and positives from positives, where its guide lets it.
GUIDED: tuple[Direction, ...] = ("query_to_doc", "query_to_query", "doc_to_doc")

_TRIAL_TEXTS = 16  # whose forward pass tells what a token costs in memory


@dataclass(frozen=True)
class Passes:
    """How texts go through a model in training.

    Attributes:
        tokens: of one forward pass, padding included.
        precision: what autocast computes in; None: as the weights are. The scores of the embeddings are computed in float32.
    """

    tokens: int
    precision: torch.dtype | None = None


@dataclass(frozen=True)
class Contrast:
    """How a batch's rows are contrasted.

    Attributes:
        scale: inverse temperature of the softmax.
        passes: how texts go through the model.
        directions: what is contrasted with what, in sentence-transformers' words.
        hardness: which negatives count the more the higher they score (arXiv:2503.04812); "none": all alike.
        hardness_strength: how much more: this times the cosine joins their scaled score.
    """

    scale: float
    passes: Passes
    directions: tuple[Direction, ...] = QUERY_TO_DOCUMENT
    hardness: Hardness = "none"
    hardness_strength: float = 0.0

    def options(self, scores: "_MaskedScores") -> dict[str, Any]:
        """The arguments of sentence-transformers' two ranking losses."""
        weighted = {"hardness_mode": self.hardness, "hardness_strength": self.hardness_strength}
        return {"scale": self.scale, "similarity_fct": scores, "directions": self.directions} | (
            weighted if self.hardness != "none" else {}
        )


@dataclass
class _MaskedScores:
    """Cosine scores with the batch's mask applied; the loss asks for them some rows at a time, each direction in turn."""

    masks: FalseNegatives
    directions: tuple[Direction, ...]
    batch: BatchMask | None = None
    own: range = field(default=range(0))
    row: int = field(default=0)
    turn: int = field(default=0)

    def start(self, labels: Tensor, own: range | None = None) -> None:
        """Take the batch whose rows of the training set are `labels`; scores will be asked for of its rows `own`, or of all."""
        self.batch = self.masks.of_batch(labels.cpu().numpy(), labels.device)
        self.own = range(len(labels)) if own is None else own
        self.row, self.turn = self.own.start, 0

    def __call__(self, one: Tensor, other: Tensor) -> Tensor:
        """Scores, shape (one, other), minus infinity where masked."""
        assert self.batch is not None
        direction = self.directions[self.turn]
        stop = self.row + len(other if direction == "doc_to_doc" else one)
        scores = cos_sim(one, other)
        if direction == "query_to_doc":
            masked = scores.masked_fill(self.batch.documents(self.row, stop), -torch.inf)
        elif direction == "query_to_query":
            masked = scores.masked_fill(self.batch.anchors(self.row, stop), -torch.inf)
        else:  # the loss gives all passages first, then those of its rows
            masked = scores.masked_fill(self.batch.positives(self.row, stop).T, -torch.inf)
        self.turn = (self.turn + 1) % len(self.directions)
        self.row = stop if self.turn == 0 else self.row
        return masked


def _shares(weights: NDArray[np.float32], labels: Tensor, own: range) -> Tensor | None:
    """What each of a batch's rows `own` counts in its weighted mean, 1 in sum over the batch; None: a lone process's plain mean."""
    all_rows = torch.from_numpy(weights[labels.cpu().numpy()]).to(labels.device)
    if processes.count() == 1 and bool((all_rows == all_rows[0]).all()):
        return None
    return (all_rows / all_rows.sum())[own.start : own.stop]


class PackedRankingLoss(MultipleNegativesRankingLoss):
    """MultipleNegativesRankingLoss with masked false negatives, each text embedded once and hardly any padding.

    Labels are row numbers of the training set. A passage that serves several rows of the batch, as positive or negative, is
    embedded once: with four queries for each passage that is most of the work saved.
    """

    def __init__(
        self, model: SentenceTransformer, masks: FalseNegatives, weights: NDArray[np.float32], contrast: Contrast
    ) -> None:
        self.scores = _MaskedScores(masks, contrast.directions)
        super().__init__(model, **contrast.options(self.scores))
        self.weights = weights
        self.passes = contrast.passes

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean loss of the batch whose rows are `labels`, shape (rows,); of a batch that processes share, this one's part."""
        queries, *passages = sentence_features
        embedded = packed_embeddings(self.model, passages, self.passes)
        columns = [*packed_embeddings(self.model, [queries], self.passes), *embedded]
        columns, labels, own = processes.gathered(columns, labels)
        self.scores.start(labels, own)
        return self.compute_loss_from_embeddings(columns, labels)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor) -> Tensor:
        """The mean of the rows' losses, weighted where weights differ; of it the part of the rows that scores are asked for."""
        own = self.scores.own
        shares = _shares(self.weights, labels, own)
        if shares is None:
            return super().compute_loss_from_embeddings(embeddings, labels)
        queries, *passages = embeddings
        return (_row_losses(self, queries, torch.cat(passages), own) * shares).sum()


class CachedRankingLoss(CachedMultipleNegativesRankingLoss):
    """CachedMultipleNegativesRankingLoss (GradCache) with masked false negatives: batches larger than memory holds."""

    def __init__(
        self, model: SentenceTransformer, masks: FalseNegatives, weights: NDArray[np.float32], contrast: Contrast
    ) -> None:
        self.scores = _MaskedScores(masks, contrast.directions)
        super().__init__(model, mini_batch_num_tokens=contrast.passes.tokens, **contrast.options(self.scores))
        self.weights = weights

    def calculate_loss(self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False) -> Tensor:
        """The loss from the embeddings of the batch, in chunks of rows; of a batch that processes share, this one's part."""
        assert labels is not None
        columns, whole, own = processes.gathered([torch.cat(column) for column in reps], labels)
        self.scores.start(whole, own)
        shares = _shares(self.weights, whole, own)
        if shares is None:
            return super().calculate_loss(reps, labels, with_backward=with_backward)
        embedded = [columns[0], torch.cat(columns[1:])]
        queries, passages = (one.detach().requires_grad_(with_backward) for one in embedded)
        total = torch.zeros((), device=queries.device)
        for first in range(own.start, own.stop, self.mini_batch_size):
            rows = range(first, min(first + self.mini_batch_size, own.stop))
            part = (_row_losses(self.loss, queries, passages, rows) * shares[first - own.start : rows.stop - own.start]).sum()
            if with_backward:
                part.backward()
                part = part.detach()
            total = total + part
        if with_backward:
            torch.autograd.backward(
                embedded, [torch.zeros_like(one) if one.grad is None else one.grad for one in (queries, passages)]
            )
        return total


def _row_losses(loss: MultipleNegativesRankingLoss, queries: Tensor, passages: Tensor, rows: range) -> Tensor:
    """What `loss` would take the mean of, shape (rows,): of some `rows`, its directions and its hardness."""
    part = slice(rows.start, rows.stop)
    scores = loss.similarity_fct(queries[part], passages)
    logits = [scores * loss.scale + _penalties(loss, scores, rows, len(queries))]
    if "query_to_query" in loss.directions:
        logits.append(loss.similarity_fct(queries[part], queries) * loss.scale)
    if "doc_to_doc" in loss.directions:
        logits.append(loss.similarity_fct(passages, passages[part]).T * loss.scale)
    return torch.logsumexp(torch.cat(logits, dim=1), dim=1) - logits[0].diagonal(rows.start)


def _penalties(loss: MultipleNegativesRankingLoss, scores: Tensor, rows: range, count: int) -> Tensor:
    """What hardness adds to the logits, shape as `scores`: nothing to positives, nor to masked ones, which stay masked."""
    if loss.hardness_mode is None:
        return torch.zeros_like(scores)
    column = torch.arange(scores.shape[1], device=scores.device)
    own = column % count == torch.arange(rows.start, rows.stop, device=scores.device)[:, None]
    mined = column >= count
    hard = {"in_batch_negatives": ~own, "hard_negatives": own & mined, "all_negatives": ~own | mined}[loss.hardness_mode]
    return torch.where(hard, loss.hardness_strength * scores.detach(), 0.0)


def packed_embeddings(model: Any, columns: Sequence[Features], passes: Passes) -> list[Tensor]:
    """The embeddings of each column, shape (rows, dimensions), every distinct text computed once, in length order.

    On a GPU the passes that its memory does not hold are computed again for the backward pass (`memory`).

    Args:
        model: maps features to features with `sentence_embedding`.
        columns: padded features, each value of shape (rows, longest).
        passes: how large, and in which precision.
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
        with attention.of_training(model, width):
            return flat.sentence_embeddings(model, features, lengths[batch].tolist()).float()

    some = order[:_TRIAL_TEXTS].tolist()
    embedded, kept = [], 0
    with torch.autocast(device.type, passes.precision, enabled=passes.precision is not None):
        room = memory.room(model, device, lambda: (embeddings(some), len(some) * int(lengths[some].max())))
        for batch in batches(lengths.tolist(), order.tolist(), int(min(passes.tokens, room.one_pass))):
            kept += len(batch) * int(lengths[batch].max())
            embedded.append(embeddings(batch) if kept <= room.kept else checkpoint(embeddings, batch, use_reentrant=False))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    where = torch.from_numpy(place[inverse.reshape(-1)]).to(device)
    return list(torch.cat(embedded)[where].split([len(column["input_ids"]) for column in columns]))
