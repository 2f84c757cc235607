"""Other models asked for what they think of texts: a guide's vectors, a teacher's scores, each computed once and stored."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from burnish.arrays import Vectors
from burnish.embedding import encoding, models
from burnish.embedding.vectors import VectorStore
from burnish.errors import InputError

if TYPE_CHECKING:  # as in models.py
    from sentence_transformers import CrossEncoder, SentenceTransformer

_PAIRS = 32  # of one forward pass of a cross-encoder


class Teacher(Protocol):
    """A model that scores pairs of query and passage."""

    @property
    def digest(self) -> str:
        """The model's identity."""

    def scores(self, queries: Sequence[str], passages: Sequence[str]) -> Vectors:
        """Its own scores, a cross-encoder's logits or cosines, shape (pairs,)."""

    def relevance(self, queries: Sequence[str], passages: Sequence[str]) -> Vectors:
        """Scores of which one can be a share of another: a cross-encoder's probabilities, or cosines; shape (pairs,)."""


@dataclass(frozen=True)
class Embedder:
    """A model whose vectors are kept in a store; as a teacher it scores by cosine."""

    model: "SentenceTransformer"
    digest: str
    store: Path

    @classmethod
    def at(cls, folder: Path, store: Path) -> "Embedder":
        """The model in `folder`."""
        return cls(models.load(folder), models.digest(folder), store)

    def vectors(self, role: encoding.Role, texts: Sequence[str]) -> Vectors:
        """The vectors of `texts`, shape (texts, dimensions)."""
        bf16 = encoding.bf16_is_faster(self.model.device)
        shelf = VectorStore.of(
            self.store,
            model_digest=self.digest,
            prompt=encoding.prompt(self.model, role),
            precision="bfloat16" if bf16 else "float32",
        )
        return shelf.vectors(texts, encoding.encoder(self.model, role, bf16=bf16))[0]

    def scores(self, queries: Sequence[str], passages: Sequence[str]) -> Vectors:
        """The cosine of each pair, shape (pairs,)."""
        asked, found = self.vectors("query", queries), self.vectors("passage", passages)
        cosines: Vectors = (asked * found).sum(axis=1)
        return cosines

    relevance = scores


@dataclass(frozen=True)
class PairScorer:
    """A cross-encoder, whose scores are kept in a store by the digest of its files and of both texts."""

    model: "CrossEncoder"
    digest: str
    store: Path

    def scores(self, queries: Sequence[str], passages: Sequence[str]) -> Vectors:
        """The logit of each pair, shape (pairs,); a pair that stands twice is computed once."""
        pairs = [json.dumps(pair, ensure_ascii=False) for pair in zip(queries, passages, strict=True)]
        shelf = VectorStore.of(self.store, model_digest=self.digest, prompt="pair", precision="float32")
        return np.ascontiguousarray(shelf.vectors(pairs, self._computed)[0].reshape(len(pairs)))

    def relevance(self, queries: Sequence[str], passages: Sequence[str]) -> Vectors:
        """The probability of each pair, shape (pairs,)."""
        return torch.sigmoid(torch.from_numpy(self.scores(queries, passages))).numpy()

    def _computed(self, pairs: Sequence[str]) -> Vectors:
        found = self.model.predict(
            [json.loads(pair) for pair in pairs],
            batch_size=_PAIRS,
            activation_fn=torch.nn.Identity(),
            show_progress_bar=sys.stderr.isatty(),
        )
        return np.asarray(found, dtype=np.float32).reshape(-1, 1)


def teacher(folder: Path, store: Path, knob: str) -> Teacher:
    """The model in `folder`, a cross-encoder or an embedding model, as its own files say.

    Args:
        folder: of the model.
        store: folder of the store.
        knob: what named it, for messages.

    Raises:
        InputError: the folder holds no such model, or a cross-encoder with several scores a pair.
    """
    if not _is_cross_encoder(folder):
        return Embedder.at(folder, store)
    from sentence_transformers import CrossEncoder  # noqa: PLC0415

    try:
        model = CrossEncoder(str(folder), trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{knob}: {folder} is not loadable as a cross-encoder: {error}") from error
    if model.num_labels != 1:
        raise InputError(f"{knob}: expected a cross-encoder with one score a pair, found {model.num_labels}; take another")
    return PairScorer(model, models.digest(folder), store)


def _is_cross_encoder(folder: Path) -> bool:
    """What sentence-transformers wrote decides; without it, a head that classifies makes a cross-encoder."""
    settings, config = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for path in (folder / "config_sentence_transformers.json", folder / "config.json")
    )
    if "model_type" in settings:
        return bool(settings["model_type"] == "CrossEncoder")
    return any(str(one).endswith("ForSequenceClassification") for one in config.get("architectures") or [])
