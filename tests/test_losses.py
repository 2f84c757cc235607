"""Losses: sentence-transformers' own where nothing is masked, and blind to what is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss
from torch import Tensor, nn

from burnish.embedding import models
from burnish.training import losses
from burnish.training.losses import CachedRankingLoss, FalseNegatives, Features, PackedRankingLoss

ROWS = 6
SAME = np.ones(ROWS, np.float32)
QUERIES = [f"how to {verb}" for verb in ("cook", "sail a boat at night", "sing", "draw a horse", "swim far", "read")]
POSITIVES = [f"The way to {verb} is long." for verb in ("cook", "sail", "sing well", "draw", "swim", "read old books")]
NEGATIVES = ["Stones.", "Rivers run to the sea.", "A cold day.", "Bread and butter, again.", "Nine.", "Ten green bottles"]


@pytest.fixture(scope="module")
def model(base_model: Path) -> SentenceTransformer:
    """The real base model, without dropout."""
    return models.load(base_model, "cpu").eval()


def masks(
    rows: int = ROWS, *, negatives: int = 1, positives: list[frozenset[int]] | None = None, threshold: float = 2.0
) -> FalseNegatives:
    """Passages in rows of the training set: positive n is passage n; each query's base score is 1 for its own, else 0."""
    candidates = np.arange(rows * (1 + negatives)).reshape(1 + negatives, rows).T
    passages = np.zeros((candidates.size, rows), np.float32)
    passages[:rows] = np.eye(rows)
    known = positives or [frozenset({at}) for at in range(rows)]
    return FalseNegatives(np.eye(rows, dtype=np.float32), passages, candidates, known, threshold)


def features(model: SentenceTransformer, *columns: list[str]) -> list[Features]:
    """Each column's texts as padded token ids."""
    return [dict(model.tokenizer(column, padding=True, return_tensors="pt")) for column in columns]


def padded(columns: list[Features], more: int) -> list[Features]:
    """The same columns with `more` columns of padding."""
    return [{name: nn.functional.pad(value, (0, more)) for name, value in column.items()} for column in columns]


def value_and_gradients(loss: nn.Module, columns: list[Features], labels: list[int]) -> tuple[float, dict[str, Tensor]]:
    """The loss, and what it does to each weight of the model."""
    model = loss.model
    model.zero_grad()
    found = loss(columns, torch.tensor(labels))
    found.backward()
    gradients = {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}
    model.zero_grad()
    return float(found.detach()), gradients


def assert_same(one: tuple[float, dict[str, Tensor]], other: tuple[float, dict[str, Tensor]]) -> None:
    """Loss and gradients agree to 1e-4 of the largest."""
    assert one[0] == pytest.approx(other[0], abs=1e-4)
    assert one[1].keys() == other[1].keys()
    assert max(float(part.abs().max()) for part in other[1].values()) > 1e-2
    for name, part in other[1].items():
        assert torch.allclose(one[1][name], part, rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize("widths", [[384], [384, 128, 64]])
def test_unmasked_it_is_multiple_negatives_ranking(model: SentenceTransformer, widths: list[int]) -> None:
    """No text twice, nothing masked: value and gradients of sentence-transformers' loss, within MatryoshkaLoss too."""
    columns = features(model, QUERIES, POSITIVES, NEGATIVES)
    theirs = MatryoshkaLoss(model, MultipleNegativesRankingLoss(model, scale=20.0), matryoshka_dims=widths)
    ours = losses.loss("mnrl", model, masks(), SAME, scale=20.0, batch_tokens=64, widths=widths)
    assert_same(value_and_gradients(ours, columns, list(range(ROWS))), value_and_gradients(theirs, columns, list(range(ROWS))))


@pytest.mark.parametrize("widths", [[384], [384, 64]])
@pytest.mark.parametrize("heaviest", [1, 5])
def test_cached_equals_packed(model: SentenceTransformer, widths: list[int], heaviest: int) -> None:
    """In 40 rows, more than the cached loss takes at once, with known positives masked: the same value and gradients."""
    rows = 40
    weights = np.linspace(1, heaviest, rows, dtype=np.float32)
    columns = features(model, [f"query {at}" for at in range(rows)], [f"answer number {at * 7}" for at in range(rows)])
    known = [frozenset({at, (at + 1) % rows}) for at in range(rows)]
    both = [
        losses.loss(name, model, masks(rows, negatives=0, positives=known), weights, scale=20.0, batch_tokens=64, widths=widths)
        for name in ("cached-mnrl", "mnrl")
    ]
    assert_same(*(value_and_gradients(one, columns, list(range(rows))) for one in both))


@pytest.mark.parametrize("kind", [PackedRankingLoss, CachedRankingLoss])
def test_padding_and_batch_size_change_nothing(model: SentenceTransformer, kind: type) -> None:
    """Ten columns of padding and another token budget give the same value and gradients."""
    columns = features(model, QUERIES, POSITIVES, NEGATIVES)
    one = value_and_gradients(kind(model, masks(), SAME, scale=20.0, batch_tokens=1000), columns, list(range(ROWS)))
    other = value_and_gradients(kind(model, masks(), SAME, scale=20.0, batch_tokens=30), padded(columns, 10), list(range(ROWS)))
    assert_same(other, one)


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_the_order_of_rows_changes_nothing(model: SentenceTransformer, name: str) -> None:
    """A shuffled batch, its labels with it, has the same value and gradients, masked pairs included."""
    order = [3, 0, 5, 1, 4, 2]
    weights = np.linspace(0.5, 3, ROWS, dtype=np.float32)
    known = [frozenset({at, (at + 2) % ROWS}) for at in range(ROWS)]
    loss = losses.loss(name, model, masks(positives=known), weights, scale=20.0, batch_tokens=64, widths=[384])
    plain = features(model, QUERIES, POSITIVES, NEGATIVES)
    shuffled = features(model, *([column[at] for at in order] for column in (QUERIES, POSITIVES, NEGATIVES)))
    assert_same(value_and_gradients(loss, shuffled, order), value_and_gradients(loss, plain, list(range(ROWS))))


@pytest.mark.parametrize("name", list(losses.LOSSES))
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_equal_weights_change_no_bit(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch, name: str, weight: float
) -> None:
    """Value and gradients are the very ones of the loss that knows no weights, since only proportions count."""
    columns = features(model, QUERIES, POSITIVES, NEGATIVES)
    weights = np.full(ROWS, weight, np.float32)
    ours = losses.loss(name, model, masks(), weights, scale=20.0, batch_tokens=64, widths=[384, 64])
    weighted = value_and_gradients(ours, columns, list(range(ROWS)))
    monkeypatch.setattr(losses, "_shares", lambda weights, labels: None)
    plain = value_and_gradients(ours, columns, list(range(ROWS)))
    assert weighted[0] == plain[0]
    assert all(torch.equal(part, plain[1][one]) for one, part in weighted[1].items())


def test_weights_make_a_weighted_mean(model: SentenceTransformer) -> None:
    """A row of weight 3 counts as three of weight 1; the rows' losses by plain arithmetic."""
    weights = np.array([1, 3], np.float32)
    loss = PackedRankingLoss(model, masks(2, negatives=0), weights, scale=2.0, batch_tokens=64)
    loss.scores.start(torch.arange(2))
    queries, passages = torch.eye(2), torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    rows = [np.log(np.exp(1.6) + np.exp(0.0)) - 1.6, np.log(np.exp(1.2) + np.exp(2.0)) - 2.0]
    found = loss.compute_loss_from_embeddings([queries, passages], torch.arange(2))
    assert float(found) == pytest.approx((rows[0] + 3 * rows[1]) / 4, abs=1e-6)


def test_a_heavier_row_pulls_harder(model: SentenceTransformer) -> None:
    """The gradient is that of the weighted mean: nearly one row's alone where its weight dwarfs the other's."""
    queries = torch.eye(2)

    def gradient(weights: list[float]) -> Tensor:
        passages = torch.tensor([[0.8, 0.6], [0.6, 0.8]], requires_grad=True)
        loss = PackedRankingLoss(model, masks(2, negatives=0), np.array(weights, np.float32), scale=20.0, batch_tokens=64)
        loss.scores.start(torch.arange(2))
        loss.compute_loss_from_embeddings([queries, passages], torch.arange(2)).backward()
        assert passages.grad is not None
        return passages.grad

    even, first, second = gradient([1, 1]), gradient([1e6, 1]), gradient([1, 1e6])
    assert torch.allclose(even, (first + second) / 2, atol=1e-4)
    assert not torch.allclose(first, second, atol=1e-2)


def test_a_repeated_text_is_embedded_once(model: SentenceTransformer) -> None:
    """Six rows of one passage cost one forward row of it, and each row gets its embedding."""
    columns = features(model, [POSITIVES[0]] * ROWS, [*NEGATIVES[:3], *NEGATIVES[:3]])
    computed = []

    def counting(given: Features) -> Features:
        computed.append(len(given["input_ids"]))
        return model(given)

    with torch.no_grad():
        found = losses.packed_embeddings(counting, columns, 1000)
        expected = [model(dict(column))["sentence_embedding"] for column in columns]
    assert sum(computed) == 4
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def embedded_loss(known: list[frozenset[int]], model: SentenceTransformer) -> tuple[float, Tensor]:
    """The loss of two rows from given embeddings, and its gradient to the passages."""
    loss = PackedRankingLoss(model, masks(2, negatives=0, positives=known), SAME, scale=20.0, batch_tokens=64)
    queries, passages = torch.eye(2), torch.tensor([[0.8, 0.6], [0.6, 0.8]], requires_grad=True)
    labels = torch.arange(2)
    loss.scores.start(labels)
    found = loss.compute_loss_from_embeddings([queries, passages], labels)
    found.backward()
    assert passages.grad is not None
    return float(found.detach()), passages.grad


def test_a_known_positive_gets_no_gradient_as_negative(model: SentenceTransformer) -> None:
    """Two rows, each passage an answer to both: nothing is pushed away. Unmasked, the same rows push."""
    both, own = [frozenset({0, 1})] * 2, [frozenset({0}), frozenset({1})]
    assert embedded_loss(both, model)[0] == pytest.approx(0.0, abs=1e-6)
    assert float(embedded_loss(both, model)[1].abs().max()) == pytest.approx(0.0, abs=1e-6)
    assert float(embedded_loss(own, model)[1].abs().max()) > 0.01


def test_the_base_models_scores_mask() -> None:
    """With an own score of 0.8 and a threshold of 0.9 a passage at 0.75 is masked, one at 0.7 is not."""
    queries = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], np.float32)
    passages = np.array([[0.8, 0.6], [0.75, 1.0], [0.7, 1.0]], np.float32)
    one = FalseNegatives(queries, passages, np.arange(3)[:, None], [frozenset({at}) for at in range(3)], 0.9)
    assert one.mask(np.arange(3))[0].tolist() == [False, True, False]


def test_the_mask_follows_the_columns_of_the_loss() -> None:
    """Columns are all rows' positives, then all first negatives, and so on, in the batch's order of rows."""
    known = [frozenset({0}), frozenset({1, 5}), frozenset({2, 0})]
    one = masks(3, negatives=1, positives=known)  # row n: positive n, negative 3 + n
    rows = np.array([2, 0, 1])
    assert one.mask(rows).tolist() == [
        [False, True, False, False, False, False],  # row 2 knows passage 0, positive of the batch's second row
        [False, False, False, False, False, False],
        [False, False, False, True, False, False],  # row 1 knows passage 5, negative of the batch's first row
    ]


@pytest.mark.parametrize("threshold", [0.1, 0.98, 2.0])
def test_the_mask_never_hides_the_own_positive(threshold: float) -> None:
    """Whatever the base thinks of it, even a score below 0, a row keeps its own answer."""
    random = np.random.default_rng(0)
    queries, passages = (random.normal(size=(20, 8)).astype(np.float32) for _ in range(2))
    one = FalseNegatives(queries, passages, np.arange(20)[:, None], [frozenset({at, 0, 1, 2}) for at in range(20)], threshold)
    assert not one.mask(np.arange(20)).diagonal().any()
