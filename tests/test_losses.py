"""Losses: sentence-transformers' own where nothing is masked, and blind to what is."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss, MatryoshkaLoss, MultipleNegativesRankingLoss
from torch import Tensor, nn

from burnish.embedding import encoding, models
from burnish.training import losses, objectives
from burnish.training.losses import CachedRankingLoss, Contrast, Features, PackedRankingLoss, Passes
from burnish.training.masks import FalseNegatives, Suspicion
from burnish.training.objectives import Objective

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
    return FalseNegatives(np.eye(rows, dtype=np.float32), passages, candidates, known, Suspicion(threshold, -1.0))


def objective(name: str, given: FalseNegatives, **knobs: Any) -> Objective:
    """What the loss `name` is built from; the teacher scores a row's own passages by a draw."""
    scores = np.random.default_rng(0).normal(size=given.candidates.shape).astype(np.float32)
    plain: dict[str, Any] = {
        "weights": np.ones(len(scores), np.float32),
        "taught": scores,
        "scale": 20.0,
        "margin": 0.5,
        "hardness": "none",
        "hardness_strength": 0.0,
        "passes": Passes(64),
    }
    return Objective(name, given, **plain | knobs)


def built(name: str, model: SentenceTransformer, given: FalseNegatives, widths: list[int], **knobs: Any) -> nn.Module:
    """The loss `name` within Matryoshka."""
    return objectives.loss(model, objective(name, given, **knobs), widths)


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
    ours = built("mnrl", model, masks(), widths)
    assert_same(value_and_gradients(ours, columns, list(range(ROWS))), value_and_gradients(theirs, columns, list(range(ROWS))))


def guided(model: SentenceTransformer, threshold: float) -> FalseNegatives:
    """Masks by the model's own vectors of the rows' texts."""
    encode = {role: encoding.encoder(model, role) for role in ("query", "passage")}
    own = [frozenset({at}) for at in range(ROWS)]
    candidates = np.arange(2 * ROWS).reshape(2, ROWS).T
    return FalseNegatives(
        encode["query"](QUERIES), encode["passage"]([*POSITIVES, *NEGATIVES]), candidates, own, Suspicion(threshold, -1.0)
    )


def test_a_width_counts_by_its_share_to_the_power(model: SentenceTransformer) -> None:
    """384 and 96 at power 1: the whole is the one loss and a quarter of the other."""
    columns, labels = features(model, QUERIES, POSITIVES, NEGATIVES), torch.arange(ROWS)
    one, other = (built("mnrl", model, masks(), [width])(columns, labels).item() for width in (384, 96))
    whole = objectives.loss(model, objective("mnrl", masks()), [384, 96], 1.0)
    assert whole(columns, labels).item() == pytest.approx(one + other / 4, abs=1e-5)


@pytest.mark.parametrize("widths", [[384], [384, 64]])
@pytest.mark.parametrize("margin", [0.0, 0.6])
def test_gist_is_guided_in_sample_selection(model: SentenceTransformer, widths: list[int], margin: float) -> None:
    """Value and gradients of sentence-transformers' GISTEmbedLoss with a relative margin; the guide is the model as it was."""
    given = guided(model, 1 - margin)
    alike = given.of_batch(np.arange(ROWS), torch.device("cpu")).anchors(0, ROWS)
    assert alike.sum() > ROWS if margin else alike.sum() == ROWS  # at 0.6 the guide has something to say
    columns = features(model, QUERIES, POSITIVES, NEGATIVES)
    theirs = GISTEmbedLoss(model, copy.deepcopy(model), temperature=0.05, margin_strategy="relative", margin=margin)
    theirs = MatryoshkaLoss(model, theirs, matryoshka_dims=widths)
    for name in ("gist", "cached-gist"):
        ours = built(name, model, given, widths)
        assert_same(value_and_gradients(ours, columns, list(range(ROWS))), value_and_gradients(theirs, columns, [0] * ROWS))


@pytest.mark.parametrize("mode", ["in_batch_negatives", "hard_negatives", "all_negatives"])
def test_hardness_is_sentence_transformers_own(model: SentenceTransformer, mode: str) -> None:
    """In the packed and in the cached loss, and another value than without it."""
    columns = features(model, QUERIES, POSITIVES, NEGATIVES)
    rows = list(range(ROWS))
    theirs = MultipleNegativesRankingLoss(model, scale=20.0, hardness_mode=mode, hardness_strength=9.0)
    expected = value_and_gradients(theirs, columns, rows)
    for name in ("mnrl", "cached-mnrl"):
        ours = built(name, model, masks(), [384], hardness=mode, hardness_strength=9.0)
        assert_same(value_and_gradients(ours, columns, rows), expected)
    plain = value_and_gradients(built("mnrl", model, masks(), [384]), columns, rows)
    assert expected[0] > plain[0] + 1e-3


@pytest.mark.parametrize("mode", ["none", "in_batch_negatives", "hard_negatives", "all_negatives"])
@pytest.mark.parametrize("name", ["mnrl", "gist"])
def test_weights_weigh_what_sentence_transformers_averages(model: SentenceTransformer, name: str, mode: str) -> None:
    """Row by row our loss of a batch is theirs, hardness and directions included: equal weights, nearly, have their mean."""
    columns = features(model, QUERIES, POSITIVES, NEGATIVES)
    known = [frozenset({at, (at + 2) % ROWS}) for at in range(ROWS)]
    knobs = {"hardness": mode, "hardness_strength": 9.0}
    nearly = np.array([1 + 1e-6 * at for at in range(ROWS)], np.float32)
    for kind in (name, f"cached-{name}"):
        weighted, plain = (
            value_and_gradients(built(kind, model, masks(positives=known), [384], **knobs, **more), columns, list(range(ROWS)))
            for more in ({"weights": nearly}, {})
        )
        assert_same(weighted, plain)


def test_hardness_and_masks_go_together(model: SentenceTransformer) -> None:
    """A masked passage stays out, however hard it is: the value is finite and as if it had not been there."""
    known = [frozenset(range(ROWS))] * ROWS
    columns = features(model, QUERIES, POSITIVES)
    loss = built(
        "mnrl", model, masks(negatives=0, positives=known), [384], hardness="in_batch_negatives", hardness_strength=9.0
    )
    assert value_and_gradients(loss, columns, list(range(ROWS)))[0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["mnrl", "gist"])
@pytest.mark.parametrize("heaviest", [1, 5])
@pytest.mark.parametrize("widths", [[384], [384, 64]])
def test_cached_equals_packed(model: SentenceTransformer, name: str, widths: list[int], heaviest: int) -> None:
    """In 40 rows, more than the cached loss takes at once, with known positives masked: the same value and gradients."""
    rows = 40
    weights = np.linspace(1, heaviest, rows, dtype=np.float32)
    columns = features(model, [f"query {at}" for at in range(rows)], [f"answer number {at * 7}" for at in range(rows)])
    known = [frozenset({at, (at + 1) % rows}) for at in range(rows)]
    both = [
        built(one, model, masks(rows, negatives=0, positives=known), widths, weights=weights)
        for one in (f"cached-{name}", name)
    ]
    assert_same(*(value_and_gradients(one, columns, list(range(rows))) for one in both))


@pytest.mark.parametrize("kind", [PackedRankingLoss, CachedRankingLoss])
def test_padding_and_batch_size_change_nothing(model: SentenceTransformer, kind: type) -> None:
    """Ten columns of padding and another token budget give the same value and gradients."""
    columns = features(model, QUERIES, POSITIVES, NEGATIVES)
    one = value_and_gradients(kind(model, masks(), SAME, Contrast(20.0, Passes(1000))), columns, list(range(ROWS)))
    other = value_and_gradients(kind(model, masks(), SAME, Contrast(20.0, Passes(30))), padded(columns, 10), list(range(ROWS)))
    assert_same(other, one)


@pytest.mark.parametrize("name", list(objectives.LOSSES))
def test_the_order_of_rows_changes_nothing(model: SentenceTransformer, name: str) -> None:
    """A shuffled batch, its labels with it, has the same value and gradients, masked pairs included."""
    order = [3, 0, 5, 1, 4, 2]
    weights = np.linspace(0.5, 3, ROWS, dtype=np.float32)
    known = [frozenset({at, (at + 2) % ROWS}) for at in range(ROWS)]
    loss = built(name, model, masks(positives=known), [384], weights=weights)
    plain = features(model, QUERIES, POSITIVES, NEGATIVES)
    shuffled = features(model, *([column[at] for at in order] for column in (QUERIES, POSITIVES, NEGATIVES)))
    assert_same(value_and_gradients(loss, shuffled, order), value_and_gradients(loss, plain, list(range(ROWS))))


@pytest.mark.parametrize("name", list(objectives.LOSSES))
def test_equal_weights_change_no_bit(model: SentenceTransformer, name: str) -> None:
    """Value and gradients are the very ones of rows of weight 1, since only proportions count."""
    columns = features(model, QUERIES, POSITIVES, NEGATIVES)
    weighted, plain = (
        value_and_gradients(
            built(name, model, masks(), [384, 64], weights=np.full(ROWS, weight, np.float32)), columns, list(range(ROWS))
        )
        for weight in (0.3, 1.0)
    )
    assert weighted[0] == plain[0]
    assert all(torch.equal(part, plain[1][one]) for one, part in weighted[1].items())


def test_weights_make_a_weighted_mean(model: SentenceTransformer) -> None:
    """A row of weight 3 counts as three of weight 1; the rows' losses by plain arithmetic."""
    weights = np.array([1, 3], np.float32)
    loss = PackedRankingLoss(model, masks(2, negatives=0), weights, Contrast(2.0, Passes(64)))
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
        loss = PackedRankingLoss(model, masks(2, negatives=0), np.array(weights, np.float32), Contrast(20.0, Passes(64)))
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
        found = losses.packed_embeddings(counting, columns, Passes(1000))
        expected = [model(dict(column))["sentence_embedding"] for column in columns]
    assert sum(computed) == 4
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def embedded_loss(known: list[frozenset[int]], model: SentenceTransformer) -> tuple[float, Tensor]:
    """The loss of two rows from given embeddings, and its gradient to the passages."""
    loss = PackedRankingLoss(model, masks(2, negatives=0, positives=known), SAME, Contrast(20.0, Passes(64)))
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
    one = FalseNegatives(queries, passages, np.arange(3)[:, None], [frozenset({at}) for at in range(3)], Suspicion(0.9, -1.0))
    assert one.mask(np.arange(3))[0].tolist() == [False, True, False]


def test_what_is_unlike_the_answer_is_not_masked() -> None:
    """Both others score as high as the own passage; only the one that is much like it is taken for an answer."""
    queries = np.array([[1.0, 0.0, 0.0]] * 3, np.float32)
    passages = np.array([[0.8, 0.6, 0.0], [0.8, 0.55, 0.24], [0.8, 0.0, 0.6]], np.float32)
    own = [frozenset({at}) for at in range(3)]
    one = FalseNegatives(queries, passages, np.arange(3)[:, None], own, Suspicion(0.9, 0.9))
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


def test_an_experts_no_is_no_suspicion() -> None:
    """What the guide scores as high as the answer stays a negative of the row whose query it was judged for, and of no other."""
    queries = np.array([[1.0, 0.0], [1.0, 0.1]], np.float32)
    passages = np.array([[1.0, 0.0], [1.0, 0.05], [1.0, 0.02]], np.float32)
    made = FalseNegatives(queries, passages, np.array([[0, 2], [1, 2]]), [frozenset({0}), frozenset({1})], Suspicion(0.9, 0.9))
    rows = np.arange(2)
    assert made.own(rows).tolist() == [[True], [True]]
    judged = replace(made, refuted=[frozenset({2}), frozenset()])
    assert judged.own(rows).tolist() == [[False], [True]]
    assert made.mask(rows)[0, 2:].tolist() == [True, True]
    assert judged.mask(rows)[0, 2:].tolist() == [False, False]
    assert judged.mask(rows)[1].tolist() == made.mask(rows)[1].tolist()


@pytest.mark.parametrize("likeness", [-1.0, 0.1])
def test_a_part_of_a_batchs_mask_is_that_part(likeness: float) -> None:
    """Large batches ask for some rows at a time: put together they are the whole, in all three directions."""
    random = np.random.default_rng(1)
    queries, passages = (random.normal(size=(size, 8)).astype(np.float32) for size in (30, 60))
    candidates = np.stack([random.permutation(30), random.permutation(30) + 30], axis=1)
    known = [frozenset({int(own), *random.choice(60, 5).tolist()}) for own in candidates[:, 0]]
    refuted = [frozenset({int(own)}) for own in candidates[:, 1]]
    one = FalseNegatives(queries, passages, candidates, known, Suspicion(0.9, likeness), refuted)
    rows = random.permutation(30)[:20]
    batch = one.of_batch(rows, torch.device("cpu"))
    for direction in (batch.documents, batch.anchors, batch.positives):
        parts = torch.cat([direction(0, 7), direction(7, 16), direction(16, 20)])
        assert torch.equal(parts, direction(0, 20))
        assert 0 < int(parts.sum()) < parts.numel()


@pytest.mark.parametrize("likeness", [-1.0, 0.1])
def test_a_rows_own_negatives_are_masked_as_in_the_batch(likeness: float) -> None:
    """What triplets leave out is what the ranking loss leaves out of the same row's columns."""
    random = np.random.default_rng(2)
    queries, passages = (random.normal(size=(size, 8)).astype(np.float32) for size in (10, 30))
    known = [frozenset({at, 10 + (at * 3) % 20}) for at in range(10)]
    one = FalseNegatives(queries, passages, np.arange(30).reshape(3, 10).T, known, Suspicion(0.9, likeness))
    rows = np.arange(10)
    whole = one.mask(rows).reshape(10, 3, 10)[rows, 1:, rows]
    assert (one.own(rows) == whole).all()
    assert 0 < whole.sum() < whole.size


def with_gaps() -> FalseNegatives:
    """Of six rows the second and the last have no negative."""
    one = masks(negatives=1)
    candidates = one.candidates.copy()
    candidates[[1, ROWS - 1], 1] = candidates[[1, ROWS - 1], 0]
    return replace(one, candidates=candidates)


@pytest.mark.parametrize("name", sorted(objectives.LOSSES))
def test_a_place_without_a_negative_counts_for_nothing(model: SentenceTransformer, name: str) -> None:
    """Whatever text stands there, in every loss."""
    found = []
    for text in (".", "A long text that would be a fine negative for anybody."):
        columns = features(
            model, QUERIES, POSITIVES, [text if at in {1, ROWS - 1} else one for at, one in enumerate(NEGATIVES)]
        )
        weights = np.array([1, 2, 1, 1, 2, 1], np.float32)
        loss = built(name, model, with_gaps(), [384], margin=0.9, weights=weights)
        found.append(value_and_gradients(loss, columns, list(range(ROWS))))
    assert_same(found[0], found[1])


def test_ranking_is_over_the_passages_that_are_there(model: SentenceTransformer) -> None:
    """The softmax of every row is over six positives and four negatives."""
    there = [at for at in range(ROWS) if at not in {1, ROWS - 1}]
    columns = features(model, QUERIES, POSITIVES, ["." if at not in there else one for at, one in enumerate(NEGATIVES)])
    encode = {role: encoding.encoder(model, role) for role in ("query", "passage")}
    scores = 20.0 * encode["query"](QUERIES) @ encode["passage"]([*POSITIVES, *(NEGATIVES[at] for at in there)]).T
    expected = nn.functional.cross_entropy(torch.from_numpy(scores), torch.arange(ROWS)).item()
    assert value_and_gradients(built("mnrl", model, with_gaps(), [384]), columns, list(range(ROWS)))[0] == pytest.approx(
        expected, abs=1e-3
    )


def test_queries_of_one_answer_are_not_pushed_apart() -> None:
    """gist contrasts queries with queries: those that share an answer, and a row with itself, are left out."""
    known = [frozenset({0, 1}), frozenset({1}), frozenset({2})]
    batch = masks(3, negatives=0, positives=known).of_batch(np.arange(3), torch.device("cpu"))
    assert batch.anchors(0, 3).tolist() == [[True, True, False], [False, True, False], [False, False, True]]


@pytest.mark.parametrize("threshold", [0.1, 0.98, 2.0])
def test_the_mask_never_hides_the_own_positive(threshold: float) -> None:
    """Whatever the base thinks of it, even a score below 0, a row keeps its own answer."""
    random = np.random.default_rng(0)
    queries, passages = (random.normal(size=(20, 8)).astype(np.float32) for _ in range(2))
    one = FalseNegatives(
        queries, passages, np.arange(20)[:, None], [frozenset({at, 0, 1, 2}) for at in range(20)], Suspicion(threshold, -1.0)
    )
    assert not one.mask(np.arange(20)).diagonal().any()
