"""Losses of a row's own passages: sentence-transformers' own, over packed embeddings, within Matryoshka."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    ContrastiveLoss,
    DistillKLDivLoss,
    MarginMSELoss,
    MatryoshkaLoss,
    TripletLoss,
)
from sentence_transformers.sentence_transformer.losses.triplet import TripletDistanceMetric
from sentence_transformers.util import pairwise_cos_sim
from torch import Tensor, nn

from burnish.embedding import models
from burnish.training import objectives
from test_losses import (
    NEGATIVES,
    POSITIVES,
    QUERIES,
    ROWS,
    assert_same,
    built,
    features,
    masks,
    objective,
    value_and_gradients,
    with_gaps,
)

MORE = ["Salt.", "A river.", "Nobody came.", "Iron and coal.", "Monday.", "Green paint."]


@pytest.fixture(scope="module")
def model(base_model: Path) -> SentenceTransformer:
    """The real base model, without dropout."""
    return models.load(base_model, "cpu").eval()


class Labelled(nn.Module):
    """A loss of sentence-transformers that is given other labels than row numbers."""

    def __init__(self, loss: nn.Module, labels: Tensor) -> None:
        super().__init__()
        self.loss, self.model, self.labels = loss, loss.model, labels

    def forward(self, columns: Any, _: Tensor) -> Tensor:
        """The loss with its own labels."""
        return self.loss(columns, self.labels)


@pytest.mark.parametrize("widths", [[384], [384, 64]])
def test_triplet(model: SentenceTransformer, widths: list[int]) -> None:
    """Two negatives a row are two triplets."""
    theirs = MatryoshkaLoss(model, TripletLoss(model, TripletDistanceMetric.COSINE, triplet_margin=0.7), widths)
    expected = value_and_gradients(theirs, features(model, QUERIES * 2, POSITIVES * 2, [*NEGATIVES, *MORE]), [0] * 2 * ROWS)
    ours = built("triplet", model, masks(negatives=2), widths, margin=0.7)
    columns = features(model, QUERIES, POSITIVES, NEGATIVES, MORE)
    assert_same(value_and_gradients(ours, columns, list(range(ROWS))), expected)


@pytest.mark.parametrize("widths", [[384], [384, 64]])
def test_contrastive(model: SentenceTransformer, widths: list[int]) -> None:
    """The positive is a pair of label 1, each negative one of label 0."""
    labels = torch.tensor([1] * ROWS + [0] * 2 * ROWS)
    theirs = Labelled(MatryoshkaLoss(model, ContrastiveLoss(model, margin=0.9), widths), labels)
    both = features(model, QUERIES * 3, [*POSITIVES, *NEGATIVES, *MORE])
    ours = built("contrastive", model, masks(negatives=2), widths, margin=0.9)
    columns = features(model, QUERIES, POSITIVES, NEGATIVES, MORE)
    expected = value_and_gradients(theirs, both, labels.tolist())
    assert_same(value_and_gradients(ours, columns, list(range(ROWS))), expected)


@pytest.mark.parametrize("widths", [[384], [384, 64]])
@pytest.mark.parametrize(("name", "kind"), [("margin-mse", MarginMSELoss), ("kl", DistillKLDivLoss)])
def test_distillation(model: SentenceTransformer, name: str, kind: type, widths: list[int]) -> None:
    """From the teacher's scores of the batch's rows, whichever they are, at `scale` times the cosine."""
    given = objective(name, masks(negatives=2))
    rows = [4, 0, 5, 2, 1, 3]
    theirs = kind(model, similarity_fct=lambda one, other: 20.0 * pairwise_cos_sim(one, other))
    assert given.taught is not None
    theirs = Labelled(MatryoshkaLoss(model, theirs, widths), torch.from_numpy(given.taught[rows]))
    columns = features(model, *([texts[at] for at in rows] for texts in (QUERIES, POSITIVES, NEGATIVES, MORE)))
    ours = built(name, model, masks(negatives=2), widths)
    assert_same(value_and_gradients(ours, columns, rows), value_and_gradients(theirs, columns, rows))


@pytest.mark.parametrize("name", ["triplet", "contrastive", "margin-mse", "kl"])
def test_a_row_of_weight_two_counts_as_two_rows(model: SentenceTransformer, name: str) -> None:
    """The weighted mean is the plain mean over rows that stand as often as they weigh."""
    given = objective(name, masks(negatives=1), weights=np.array([1, 2, 1, 1, 2, 1], np.float32), margin=0.9)
    twice = [0, 1, 1, 2, 3, 4, 4, 5]
    weighted = objectives.loss(model, given, [384])
    plain = objectives.loss(model, replace(given, weights=np.ones(ROWS, np.float32)), [384])
    repeated = features(model, *([texts[at] for at in twice] for texts in (QUERIES, POSITIVES, NEGATIVES)))
    assert_same(
        value_and_gradients(weighted, features(model, QUERIES, POSITIVES, NEGATIVES), list(range(ROWS))),
        value_and_gradients(plain, repeated, twice),
    )


@pytest.mark.parametrize("name", ["triplet", "contrastive"])
def test_a_masked_negative_counts_for_nothing(model: SentenceTransformer, name: str) -> None:
    """A second negative that is known to answer the query leaves value and gradients as with the first alone."""
    known = [frozenset({at, 2 * ROWS + at}) for at in range(ROWS)]
    both = built(name, model, masks(negatives=2, positives=known), [384])
    one = built(name, model, masks(negatives=1), [384])
    rows = list(range(ROWS))
    assert_same(
        value_and_gradients(both, features(model, QUERIES, POSITIVES, NEGATIVES, MORE), rows),
        value_and_gradients(one, features(model, QUERIES, POSITIVES, NEGATIVES), rows),
    )


@pytest.mark.parametrize("name", ["triplet", "margin-mse", "kl"])
def test_rows_without_a_negative_are_left_out(model: SentenceTransformer, name: str) -> None:
    """The batch teaches what its other rows alone would."""
    weights = np.array([1, 2, 1, 1, 2, 1], np.float32)
    given = objective(name, with_gaps(), weights=weights, margin=0.9)
    loss = objectives.loss(model, given, [384])
    columns = (QUERIES, POSITIVES, NEGATIVES)
    there = [0, 2, 3, 4]
    whole = value_and_gradients(loss, features(model, *columns), list(range(ROWS)))
    some = value_and_gradients(loss, features(model, *([one[at] for at in there] for one in columns)), there)
    assert_same(whole, some)
    value, gradients = value_and_gradients(loss, features(model, *([one[at] for at in (1, 5)] for one in columns)), [1, 5])
    assert (value, any(part.any() for part in gradients.values())) == (0, False)


@pytest.mark.parametrize("name", ["margin-mse", "kl"])
def test_rows_of_one_and_of_two_negatives_count_by_their_weights(model: SentenceTransformer, name: str) -> None:
    """Rows 0 to 2 have one negative, 3 to 5 two: the whole is the weighted mean of both parts."""
    weights = np.array([1, 1, 1, 2, 2, 2], np.float32)
    two = masks(negatives=2)
    candidates = two.candidates.copy()
    candidates[:3, 2] = candidates[:3, 0]
    given = objective(name, replace(two, candidates=candidates), weights=weights)
    assert given.taught is not None
    whole = objectives.loss(model, given, [384])
    one = objectives.loss(
        model, replace(given, masks=masks(negatives=1), taught=np.ascontiguousarray(given.taught[:, :2])), [384]
    )
    first, last = ([texts[part] for texts in (QUERIES, POSITIVES, NEGATIVES, MORE)] for part in (slice(3), slice(3, 6)))
    values = [
        value_and_gradients(one, features(model, *first[:3]), [0, 1, 2])[0],
        value_and_gradients(whole, features(model, *last), [3, 4, 5])[0],
    ]
    found = value_and_gradients(whole, features(model, QUERIES, POSITIVES, NEGATIVES, MORE), list(range(ROWS)))[0]
    assert found == pytest.approx((3 * values[0] + 6 * values[1]) / 9, rel=1e-4)


def test_a_batch_without_a_triplet_teaches_nothing(model: SentenceTransformer) -> None:
    """Every negative masked: the loss is 0 and its gradient too, not a number that is none."""
    known = [frozenset({at, ROWS + at}) for at in range(ROWS)]
    loss = built("triplet", model, masks(positives=known), [384])
    value, gradients = value_and_gradients(loss, features(model, QUERIES, POSITIVES, NEGATIVES), list(range(ROWS)))
    assert value == 0
    assert all(not part.any() for part in gradients.values())


@pytest.mark.parametrize("name", ["margin-mse", "kl"])
def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn(model: SentenceTransformer, name: str) -> None:
    """Taught its own scores, at the scale at which it compares, it has a loss of 0."""
    columns = features(model, QUERIES, POSITIVES, NEGATIVES)
    with torch.no_grad():
        query, *others = [model(dict(column))["sentence_embedding"] for column in columns]
        own = torch.stack([20.0 * pairwise_cos_sim(query, other) for other in others], dim=1).numpy()
    given = objective(name, masks())
    loss = objectives.loss(model, replace(given, taught=np.ascontiguousarray(own)), [384])
    assert value_and_gradients(loss, columns, list(range(ROWS)))[0] == pytest.approx(0.0, abs=1e-4)
