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

from burnish.embedding.encoding import batches
from burnish.embedding.vectors import Vectors

Features = dict[str, Tensor]
Direction = Literal["query_to_doc", "query_to_query", "doc_to_doc"]
Hardness = Literal["none", "in_batch_negatives", "hard_negatives", "all_negatives"]

QUERY_TO_DOCUMENT: tuple[Direction, ...] = ("query_to_doc",)
# GIST (arXiv:2402.16829) also keeps queries apart from queries and positives from positives, where its guide lets it.
GUIDED: tuple[Direction, ...] = ("query_to_doc", "query_to_query", "doc_to_doc")


@dataclass(frozen=True)
class Contrast:
    """How a batch's rows are contrasted.

    Attributes:
        scale: inverse temperature of the softmax.
        batch_tokens: tokens, padding included, of one forward pass.
        directions: what is contrasted with what, in sentence-transformers' words.
        hardness: which negatives count the more the higher they score (arXiv:2503.04812); "none": all alike.
        hardness_strength: how much more: this times the cosine joins their scaled score.
    """

    scale: float
    batch_tokens: int
    directions: tuple[Direction, ...] = QUERY_TO_DOCUMENT
    hardness: Hardness = "none"
    hardness_strength: float = 0.0

    def options(self, scores: "_MaskedScores") -> dict[str, Any]:
        """The arguments of sentence-transformers' two ranking losses."""
        weighted = {"hardness_mode": self.hardness, "hardness_strength": self.hardness_strength}
        return {"scale": self.scale, "similarity_fct": scores, "directions": self.directions} | (
            weighted if self.hardness != "none" else {}
        )


@dataclass(frozen=True)
class FalseNegatives:
    """Which passages of a batch may not serve as a row's negatives, by what is known and by a guide's scores.

    A passage is masked where it is a known positive of the query, or where the guide (the base model, unless another is
    named) scores it above `threshold` times the row's own positive: among many near-alike passages such a "negative" is most often an unjudged answer
    (NV-Retriever, arXiv:2407.15831, states the rule for mined negatives; here it holds for in-batch ones too).

    Attributes:
        queries: the guide's query vectors, shape (rows, dimensions).
        passages: the guide's passage vectors, shape (passages, dimensions); only those of `candidates` count.
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
        return self.of_batch(rows, torch.device("cpu")).documents(0, len(rows)).numpy()

    def own(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of each row's own negatives to leave out, shape (rows, negatives)."""
        candidates = self.candidates[rows]
        scores = np.einsum("rd,rcd->rc", self.queries[rows], self.passages[candidates])
        known = [np.isin(columns, list(self.positives[row])) for columns, row in zip(candidates, rows, strict=True)]
        masked: NDArray[np.bool_] = (scores > self.threshold * scores[:, :1]) | np.stack(known)
        return masked[:, 1:]

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
        return BatchMask(queries, passages, known_rows, np.concatenate(places), self.threshold)


@dataclass(frozen=True)
class BatchMask:
    """What the rows of a batch may not be contrasted with, made for some rows at a time: 65,536 of them are 8 GB at once.

    Attributes:
        queries: the guide's vectors of the batch's queries, shape (rows, dimensions).
        passages: the guide's vectors of the columns, shape (columns, dimensions): all positives, all first negatives, ...
        known_rows: row of each known answer in the batch, ascending.
        known_columns: its column.
        threshold: as in FalseNegatives.
    """

    queries: Tensor
    passages: Tensor
    known_rows: NDArray[np.int64]
    known_columns: NDArray[np.int64]
    threshold: float

    def documents(self, start: int, stop: int) -> Tensor:
        """The passages that are no negatives of rows `start` to `stop`, shape (stop - start, columns)."""
        scores = self.queries[start:stop] @ self.passages.T
        at = torch.arange(stop - start)
        masked = (scores > self.threshold * scores[at, at + start][:, None]) | self._known(start, stop)
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
        masked = (scores > self.threshold * own[:, None]) | self._known(start, stop)[:, : len(self.queries)]
        at = torch.arange(stop - start)
        masked[at, at + start] = True
        return masked

    def _known(self, start: int, stop: int) -> Tensor:
        low, high = np.searchsorted(self.known_rows, [start, stop])
        known = torch.zeros(stop - start, len(self.passages), dtype=torch.bool, device=self.passages.device)
        known[torch.from_numpy(self.known_rows[low:high] - start), torch.from_numpy(self.known_columns[low:high])] = True
        return known


@dataclass
class _MaskedScores:
    """Cosine scores with the batch's mask applied; the loss asks for them some rows at a time, each direction in turn."""

    masks: FalseNegatives
    directions: tuple[Direction, ...]
    batch: BatchMask | None = None
    row: int = field(default=0)
    turn: int = field(default=0)

    def start(self, labels: Tensor) -> None:
        """Take the batch whose rows of the training set are `labels`."""
        self.batch = self.masks.of_batch(labels.cpu().numpy(), labels.device)
        self.row = self.turn = 0

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


class PackedRankingLoss(MultipleNegativesRankingLoss):
    """MultipleNegativesRankingLoss with masked false negatives, each text embedded once and hardly any padding.

    Labels are row numbers of the training set. A passage that serves several rows of the batch, as positive or negative, is
    embedded once: with four queries for each passage that is most of the work saved.
    """

    def __init__(self, model: SentenceTransformer, masks: FalseNegatives, contrast: Contrast) -> None:
        self.scores = _MaskedScores(masks, contrast.directions)
        super().__init__(model, **contrast.options(self.scores))
        self.batch_tokens = contrast.batch_tokens

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """The mean loss of the batch whose rows are `labels`, shape (rows,)."""
        queries, *passages = sentence_features
        embedded = packed_embeddings(self.model, passages, self.batch_tokens)
        self.scores.start(labels)
        columns = [*packed_embeddings(self.model, [queries], self.batch_tokens), *embedded]
        return self.compute_loss_from_embeddings(columns, labels)


class CachedRankingLoss(CachedMultipleNegativesRankingLoss):
    """CachedMultipleNegativesRankingLoss (GradCache) with masked false negatives: batches larger than memory holds."""

    def __init__(self, model: SentenceTransformer, masks: FalseNegatives, contrast: Contrast) -> None:
        self.scores = _MaskedScores(masks, contrast.directions)
        super().__init__(model, mini_batch_num_tokens=contrast.batch_tokens, **contrast.options(self.scores))

    def calculate_loss(self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False) -> Tensor:
        """The loss from the embeddings of the whole batch, in chunks of rows."""
        assert labels is not None
        self.scores.start(labels)
        return super().calculate_loss(reps, labels, with_backward=with_backward)


def packed_embeddings(model: Any, columns: Sequence[Features], batch_tokens: int) -> list[Tensor]:
    """The embeddings of each column, shape (rows, dimensions), every distinct text computed once, in length order.

    Args:
        model: maps features to features with `sentence_embedding`.
        columns: padded features, each value of shape (rows, longest).
        batch_tokens: tokens, padding included, of one forward pass.
    """
    longest = max(column["input_ids"].shape[1] for column in columns)
    keys = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in columns[0]]
    stacked = {name: torch.cat([nn.functional.pad(c[name], (0, longest - c[name].shape[1])) for c in columns]) for name in keys}
    pair = torch.stack([stacked["input_ids"], stacked["attention_mask"]], dim=1).flatten(1).cpu().numpy()
    _, first, inverse = np.unique(pair, axis=0, return_index=True, return_inverse=True)
    lengths = stacked["attention_mask"].sum(dim=1).cpu().numpy()[first]
    order = np.argsort(-lengths, kind="stable")
    embedded = []
    for batch in batches(lengths.tolist(), order.tolist(), batch_tokens):
        width = int(lengths[batch].max())
        rows = torch.from_numpy(first[batch]).to(stacked["input_ids"].device)
        embedded.append(model({name: value[rows, :width] for name, value in stacked.items()})["sentence_embedding"])
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    where = torch.from_numpy(place[inverse.reshape(-1)]).to(stacked["input_ids"].device)
    return list(torch.cat(embedded)[where].split([len(column["input_ids"]) for column in columns]))
