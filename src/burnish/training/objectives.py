"""The losses by their names in params.yaml, what each needs, and how its knobs fit together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss
from torch import nn

from burnish.arrays import Vectors
from burnish.errors import InputError
from burnish.training.losses import (
    GUIDED,
    QUERY_TO_DOCUMENT,
    CachedRankingLoss,
    Contrast,
    Direction,
    Hardness,
    PackedRankingLoss,
    Passes,
)
from burnish.training.masks import FalseNegatives
from burnish.training.rowwise import PackedContrastiveLoss, PackedKLLoss, PackedMarginLoss, PackedTripletLoss


@dataclass(frozen=True)
class Objective:
    """What a loss is built from.

    Attributes:
        name: one of LOSSES.
        masks: what is no negative.
        weights: what each row counts, shape (rows,).
        taught: a teacher's scores of each row's passages, times train.teacher_scale, shape (rows, 1 + negatives); or None.
        scale: inverse temperature.
        margin: of triplet and contrastive, in cosine distance.
        hardness: see Contrast.
        hardness_strength: see Contrast.
        passes: how texts go through the model.
    """

    name: str
    masks: FalseNegatives
    weights: NDArray[np.float32]
    taught: Vectors | None
    scale: float
    margin: float
    hardness: Hardness
    hardness_strength: float
    passes: Passes


@dataclass(frozen=True)
class Kind:
    """A loss: how it is built, and which knobs it listens to."""

    build: Callable[[SentenceTransformer, Objective], nn.Module]
    contrasts_batch: bool = False
    masks: bool = False
    needs_negatives: bool = False
    needs_teacher: bool = False


def _ranking(
    kind: type[PackedRankingLoss] | type[CachedRankingLoss], directions: tuple[Direction, ...]
) -> Callable[[SentenceTransformer, Objective], nn.Module]:
    def build(model: SentenceTransformer, given: Objective) -> nn.Module:
        contrast = Contrast(given.scale, given.passes, directions, given.hardness, given.hardness_strength)
        return kind(model, given.masks, given.weights, contrast)

    return build


def _paired(
    kind: type[PackedTripletLoss] | type[PackedContrastiveLoss],
) -> Callable[[SentenceTransformer, Objective], nn.Module]:
    return lambda model, given: kind(model, given.masks, given.weights, margin=given.margin, passes=given.passes)


def _taught(kind: type[PackedMarginLoss] | type[PackedKLLoss]) -> Callable[[SentenceTransformer, Objective], nn.Module]:
    def build(model: SentenceTransformer, given: Objective) -> nn.Module:
        assert given.taught is not None
        return kind(
            model,
            given.taught,
            given.weights,
            negatives=given.masks.negatives(),
            scale=given.scale,
            passes=given.passes,
        )

    return build


LOSSES = {
    "mnrl": Kind(_ranking(PackedRankingLoss, QUERY_TO_DOCUMENT), contrasts_batch=True, masks=True),
    "cached-mnrl": Kind(_ranking(CachedRankingLoss, QUERY_TO_DOCUMENT), contrasts_batch=True, masks=True),
    "gist": Kind(_ranking(PackedRankingLoss, GUIDED), contrasts_batch=True, masks=True),
    "cached-gist": Kind(_ranking(CachedRankingLoss, GUIDED), contrasts_batch=True, masks=True),
    "triplet": Kind(_paired(PackedTripletLoss), masks=True, needs_negatives=True),
    "contrastive": Kind(_paired(PackedContrastiveLoss), masks=True, needs_negatives=True),
    "margin-mse": Kind(_taught(PackedMarginLoss), needs_negatives=True, needs_teacher=True),
    "kl": Kind(_taught(PackedKLLoss), needs_negatives=True, needs_teacher=True),
}


def loss(model: SentenceTransformer, objective: Objective, widths: Sequence[int], power: float = 0.0) -> nn.Module:
    """The loss, each row counted by its weight, summed over the Matryoshka `widths` (arXiv:2205.13147); every kind allows it.

    A width counts by its share of the widest to the `power`.
    """
    weights = [(width / max(widths)) ** power for width in widths]
    built = LOSSES[objective.name].build(model, objective)
    return MatryoshkaLoss(model, built, matryoshka_dims=list(widths), matryoshka_weights=weights)


def check_widths(widths: Sequence[int], model: SentenceTransformer) -> None:
    """Refuse widths that the model does not have.

    Raises:
        InputError: the widest is larger than the model's vectors.
    """
    if max(widths) > (full := model.get_embedding_dimension() or 0):
        raise InputError(f"train.widths: {max(widths)} is larger than the model's {full} dimensions; leave it out")


def check(name: str, *, teacher: str, guide: str, hardness: str, hardness_strength: float) -> None:
    """Refuse knobs that the loss `name` would need and lacks, or would not listen to.

    Raises:
        InputError: naming the knob, what was found, and what to do.
    """
    kind = LOSSES[name]
    if kind.needs_teacher and not teacher:
        raise InputError(
            f"train.teacher: loss {name} learns a teacher's scores, found no teacher; name a cross-encoder (a folder, or "
            "`id@commit`), or choose another train.loss"
        )
    if teacher and not kind.needs_teacher:
        able = ", ".join(one for one, other in LOSSES.items() if other.needs_teacher)
        raise InputError(f'train.teacher: loss {name} asks no teacher; set it to "", or train.loss to one of {able}')
    if guide != "base" and not kind.masks:
        raise InputError(f"train.guide: loss {name} masks nothing, its teacher judges; set it to `base`")
    if hardness != "none" and not kind.contrasts_batch:
        able = ", ".join(one for one, other in LOSSES.items() if other.contrasts_batch)
        raise InputError(
            f"train.hardness: loss {name} has no softmax to weight; set it to `none`, or train.loss to one of {able}"
        )
    if hardness != "none" and hardness_strength == 0:
        raise InputError(f"train.hardness_strength: 0 leaves train.hardness {hardness} without effect; raise it, or set `none`")


def check_negatives(name: str, hardness: str, negatives: NDArray[np.int64]) -> None:
    """Refuse rows without negatives where the loss compares with nothing else, or the weighting with none.

    Args:
        name: of the loss.
        hardness: the weighting.
        negatives: how many each row has, shape (rows,); a few rows may have judged ones where none are mined.

    Raises:
        InputError: naming mine.per_query.
    """
    with_any = np.count_nonzero(negatives)
    told = f"{with_any} of {len(negatives)} training rows have one; set mine.per_query to at least 1"
    if LOSSES[name].needs_negatives and 2 * with_any < len(negatives):
        raise InputError(f"mine.per_query: train.loss {name} compares each answer with its negatives, and only {told}")
    if hardness == "hard_negatives" and not with_any:
        raise InputError(f"mine.per_query: train.hardness {hardness} weighs negatives, and {told}")
