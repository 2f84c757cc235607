"""A reranker: a cross-encoder that reads the query with each passage that a search found, and orders these anew."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from burnish import atomic
from burnish.arrays import Indices, Vectors
from burnish.embedding import encoding
from burnish.errors import InputError

if TYPE_CHECKING:  # as in embedding/models.py
    from sentence_transformers import CrossEncoder

SETTINGS = "reranker.json"
_BATCH = {"cpu": 8, "cuda": 256}  # pairs, of like length: a CPU gains nothing by more, and pads more


@dataclass(frozen=True)
class Reranker:
    """A cross-encoder and how its scores are used.

    Attributes:
        model: one score a pair.
        depth: passages of a search that are ordered anew, from its first.
        search_weight: what the search's own score, a cosine, counts beside a logit; 0 leaves the order to the model alone.
    """

    model: "CrossEncoder"
    depth: int
    search_weight: float

    @classmethod
    def at(cls, folder: Path) -> "Reranker":
        """The reranker that `save` wrote.

        Raises:
            InputError: the folder holds none.
        """
        path = folder / SETTINGS
        settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not settings.get("on"):
            raise InputError(
                f"{folder}: expected a reranker, found none; set rerank.base in params.yaml and run `dvc repro rerank`"
            )
        return cls(load(folder, str(folder)), settings["depth"], settings["search_weight"])

    def save(self, folder: Path) -> None:
        """Save the model, with no sampled model card, and the settings beside it."""
        self.model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)
        atomic.write_json(folder / SETTINGS, {"on": True, "depth": self.depth, "search_weight": self.search_weight})

    def scores(self, query: str, passages: Sequence[str], search_scores: Vectors) -> Vectors:
        """What the passages are ordered by, shape (passages,)."""
        return combined(logits(self.model, query, passages), search_scores, self.search_weight)


def load(folder: Path, what: str, *, max_tokens: int | None = None, seed: int = 0) -> "CrossEncoder":
    """The cross-encoder in `folder`; an encoder without a head of one score gets a new one, drawn by `seed`.

    Args:
        folder: of the model.
        what: what named it, for messages.
        max_tokens: of query and passage together; None keeps the model's own limit, which it never exceeds.
        seed: of a new head.

    Raises:
        InputError: the folder holds no such model, or one of several scores a pair.
    """
    from sentence_transformers import CrossEncoder  # noqa: PLC0415

    torch.manual_seed(seed)
    try:
        model: CrossEncoder = CrossEncoder(str(folder), num_labels=1, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(f"{what}: {folder} is not loadable as a cross-encoder with one score a pair: {reason}") from error
    if max_tokens:
        model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)
    return model


def logits(model: "CrossEncoder", query: str, passages: Sequence[str]) -> Vectors:
    """The model's score of `query` with each passage, not squeezed into a probability, shape (passages,)."""
    with fastest(model.device):
        found = model.predict(
            [(query, passage) for passage in passages],
            batch_size=_BATCH.get(model.device.type, _BATCH["cpu"]),
            activation_fn=torch.nn.Identity(),
            show_progress_bar=False,
        )
    return np.asarray(found, dtype=np.float32).reshape(-1)


def fastest(device: torch.device) -> AbstractContextManager[object]:
    """The precision in which `device` computes a forward pass fastest."""
    return torch.autocast(device.type, torch.bfloat16, enabled=encoding.bf16_is_faster(device))


def combined(logits: Vectors, search_scores: Vectors, search_weight: float) -> Vectors:
    """The sum of a logit and the weighted cosine of each passage.

    A model that is trained with a softmax over `scale` times the cosine makes `scale * cosine` a logit too, and a sum of
    logits multiplies the odds: neither opinion has to be scaled to a range first.

    >>> combined(np.array([1.0, 3.0], np.float32), np.array([0.5, 0.25], np.float32), 20).tolist()
    [11.0, 8.0]
    """
    found: Vectors = logits + np.float32(search_weight) * search_scores
    return found


def order(scores: Vectors) -> Indices:
    """The places of `scores`, highest first; equal ones keep the search's order.

    >>> order(np.array([1.0, 3.0, 1.0], np.float32)).tolist()
    [1, 0, 2]
    """
    found: Indices = np.argsort(-scores, kind="stable")
    return found
