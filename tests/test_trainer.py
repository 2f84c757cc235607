"""Training: the same bytes twice, whole after a kill, and the best weights kept."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, BertModel

from burnish.embedding import encoding, models
from burnish.training import objectives, trainer
from burnish.training.masks import FalseNegatives, Suspicion
from burnish.training.rows import TrainingSet
from burnish.training.trainer import Recipe

SUBJECTS = ("cook", "sail", "sing", "draw", "swim", "read")
RECIPE = Recipe(
    loss="mnrl",
    epochs=2,
    min_steps=0,
    batch_size=4,
    learning_rate=1e-3,
    warmup_share=0.1,
    scale=20.0,
    widths=(32, 16),
    narrow_by="matryoshka",
    width_power=0.0,
    max_tokens=32,
    interpolation=(1.0,),
    evaluations=3,
    patience=3,
    seed=7,
)
QUICK = replace(RECIPE, epochs=1, learning_rate=3e-3)
Measure = Callable[[SentenceTransformer], dict[str, float]]


def data() -> TrainingSet:
    """Twelve rows: two queries for each of six passages, and one shared negative each."""
    count = len(SUBJECTS)
    texts = [f"The way to {one} is long." for one in SUBJECTS] + [f"Stone number {at}" for at in range(count)]
    passages = np.array([[at // 2, count + at // 2] for at in range(2 * count)])
    masks = FalseNegatives(
        np.eye(2 * count, dtype=np.float32),
        np.eye(2 * count, dtype=np.float32),
        passages,
        [frozenset({at // 2}) for at in range(2 * count)],
        suspicion=Suspicion(2.0, -1.0),
    )
    queries = [f"{how} {one}" for one in SUBJECTS for how in ("how to", "why")]
    taught = np.tile(np.array([4.0, -4.0], np.float32), (2 * count, 1))  # a teacher that is sure
    return TrainingSet(queries, passages, texts, masks, np.ones(len(queries), np.float32), taught)


def closeness(model: SentenceTransformer) -> dict[str, float]:
    """A dev measure that training raises: how much nearer queries are to answers than to stones."""
    rows = data()
    asked, found = (encoding.encoder(model, "query")(texts) for texts in (rows.queries, rows.texts))
    right, wrong = ((asked * found[rows.passages[:, column]]).sum(axis=1).mean() for column in (0, 1))
    return {"score": float(right - wrong)}


@pytest.fixture(scope="module")
def small(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained model of two narrow layers, with the base model's tokenizer: its checkpoints are light."""
    folder = tmp_path_factory.mktemp("models") / "small"
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    models.save(models.load(folder, "cpu"), folder)
    return folder


class Killed(Exception):
    """The process ends here."""


def dies_at(call: int) -> Measure:
    """`closeness`, which ends the process at its `call`-th call."""
    calls = iter(range(1, 100))

    def measure(model: SentenceTransformer) -> dict[str, float]:
        if next(calls) == call:
            raise Killed
        return closeness(model)

    return measure


def falling() -> Measure:
    """A dev measure that says that every step did harm."""
    calls = iter(range(100))
    return lambda model: {"score": float(-next(calls))}


def run(
    base: Path, checkpoints: Path, measure: Measure = closeness, recipe: Recipe = RECIPE
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """(weights, curve) of a training from the base model."""
    model = models.load(base, "cpu")
    found = trainer.trained(model, data(), recipe, before=measure(model), measure=measure, checkpoints=checkpoints)
    return {name: value.clone() for name, value in model.state_dict().items()}, found.points


def learns(base: Path, folder: Path, recipe: Recipe) -> bool:
    """Whether a training raises the dev measure, goes on after a kill to the same end, and gives the same bytes twice."""
    first, points = run(base, folder / "first", recipe=recipe)
    with pytest.raises(Killed):
        run(base, folder / "killed", dies_at(3), recipe)
    again, same_points = run(base, folder / "killed", recipe=recipe)
    assert same(again, first)
    assert same_points == points
    assert all(name in again for name in models.load(base, "cpu").state_dict())
    measured = [point["score"] for point in points if "score" in point]
    return max(measured) > measured[0] + 0.01


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether all weights agree bit for bit."""
    return all(torch.equal(one[name], other[name]) for name in other)


@pytest.fixture(scope="module")
def whole(small: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """(weights, curve) of an uninterrupted trainer."""
    return run(small, tmp_path_factory.mktemp("whole"))


def test_training_raises_the_dev_measure(whole: tuple[Any, list[dict[str, float]]]) -> None:
    """The untrained model comes first on the curve, and the last measure is higher."""
    measured = [point for point in whole[1] if "score" in point]
    assert [point["step"] for point in measured] == [0, 2, 4, 6]
    assert measured[-1]["score"] > measured[0]["score"] + 0.01


def test_training_twice_gives_the_same_weights_and_curve(small: Path, tmp_path: Path, whole: tuple[Any, Any]) -> None:
    """One seed, one machine: the same bytes."""
    weights, curve = run(small, tmp_path)
    assert same(weights, whole[0])
    assert curve == whole[1]


def test_the_real_base_model_learns(base_model: Path, tmp_path: Path) -> None:
    """Three steps at the default rate, over two of its widths, bring queries nearer to their answers."""
    recipe = replace(RECIPE, epochs=1, learning_rate=1e-4, widths=(384, 64), evaluations=1)
    _, curve = run(base_model, tmp_path, recipe=recipe)
    measured = [point["score"] for point in curve if "score" in point]
    assert measured[-1] > measured[0] + 0.01


@pytest.mark.parametrize("name", objectives.LOSSES)
def test_every_loss_learns_and_goes_on_after_a_kill(small: Path, tmp_path: Path, name: str) -> None:
    """Within Matryoshka, each of params.yaml's losses: a higher dev measure, resumed to the same weights, the same bytes."""
    assert learns(small, tmp_path, replace(QUICK, loss=name))


def test_hardness_learns_too(small: Path, tmp_path: Path, whole: tuple[dict[str, Tensor], Any]) -> None:
    """Weighted towards hard negatives, with other weights at the end than without."""
    hard = replace(RECIPE, hardness="all_negatives", hardness_strength=9.0)
    weights, points = run(small, tmp_path, recipe=hard)
    assert points[-1]["score"] > points[0]["score"] + 0.01
    assert not same(weights, whole[0])


def test_another_seed_gives_other_weights(small: Path, tmp_path: Path, whole: tuple[Any, Any]) -> None:
    """So that the same weights twice are the seed's doing."""
    assert not same(run(small, tmp_path, recipe=replace(RECIPE, seed=8))[0], whole[0])


@pytest.mark.parametrize("call", [2, 3, 4])
def test_a_killed_training_goes_on_to_the_same_end(small: Path, tmp_path: Path, whole: tuple[Any, Any], call: int) -> None:
    """Killed at a measure before or after a checkpoint, in the first epoch or the second: weights and curve are as if not."""
    with pytest.raises(Killed):
        run(small, tmp_path, dies_at(call))
    weights, curve = run(small, tmp_path)
    assert same(weights, whole[0])
    assert curve == whole[1]


def test_a_resumed_training_repeats_no_step(small: Path, tmp_path: Path) -> None:
    """Killed at its third measure, it takes up the points before: beside the base's, two more calls end it."""
    with pytest.raises(Killed):
        run(small, tmp_path, dies_at(3))
    calls = []
    run(small, tmp_path, lambda model: calls.append(1) or closeness(model))
    assert len(calls) == 1 + 2


def test_a_half_written_checkpoint_is_not_believed(small: Path, tmp_path: Path, whole: tuple[Any, Any]) -> None:
    """Killed while a checkpoint is written, the next run goes on from what is whole."""
    with pytest.raises(Killed):
        run(small, tmp_path, dies_at(3))
    torn = tmp_path / "checkpoint-4"
    shutil.copytree(tmp_path / "checkpoint-2", torn)
    (torn / "trainer_state.json").unlink()
    (torn / "optimizer.pt").write_bytes(b"torn")
    assert same(run(small, tmp_path)[0], whole[0])


def test_a_finished_training_is_not_trained_again(small: Path, tmp_path: Path) -> None:
    """Killed after its end but before the stage's, it gives the same again, stopped early or not."""
    recipe = replace(RECIPE, patience=1)
    weights, curve = run(small, tmp_path, falling(), recipe)
    again, same_curve = run(small, tmp_path, falling(), recipe)
    assert max(point["step"] for point in curve) == 2
    assert same_curve == curve
    assert same(again, weights)


def test_without_a_gain_the_base_is_kept(small: Path, tmp_path: Path) -> None:
    """Where every measure is worse than the untrained model's, the tuned model is the base."""
    weights, _ = run(small, tmp_path, falling(), replace(RECIPE, patience=1))
    assert same(weights, models.load(small, "cpu").state_dict())


def test_training_in_bf16_raises_the_dev_measure(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor that is faster in bfloat16 the trainer takes it; slow elsewhere, and right."""
    monkeypatch.setattr(encoding, "bf16_is_faster", lambda _: True)
    _, points = run(small, tmp_path, closeness, RECIPE)
    assert points[-1]["score"] > points[0]["score"]


def test_without_a_dev_measure_training_goes_to_its_end(small: Path, tmp_path: Path) -> None:
    """Where there is no dev query every measure is 0: nothing stops early, and the last weights are the best known."""
    weights, points = run(small, tmp_path, lambda _: {"score": 0.0}, replace(RECIPE, patience=1))
    assert points[-1]["step"] == 6
    assert not same(weights, models.load(small, "cpu").state_dict())


def test_interpolation_nought_gives_the_base(small: Path, tmp_path: Path) -> None:
    """Not one step from it, though training went on."""
    weights, _ = run(small, tmp_path, recipe=replace(RECIPE, epochs=1, interpolation=(0.0,)))
    assert same(weights, models.load(small, "cpu").state_dict())


def test_of_several_interpolations_dev_data_choose(small: Path, tmp_path: Path) -> None:
    """Whatever training did, a measure that is highest half way keeps the weights half way; all shares' measures are told."""
    recipe = replace(RECIPE, epochs=1, interpolation=(1.0, 0.5, 0.75))
    whole, _ = run(small, tmp_path / "whole", recipe=replace(recipe, interpolation=(1.0,)))
    base = models.load(small, "cpu").state_dict()
    halfway = trainer.interpolated(base, whole, 0.5)

    def nearness(one: SentenceTransformer) -> dict[str, float]:
        return {"score": -sum(float((value - halfway[name]).abs().sum()) for name, value in one.state_dict().items())}

    model = models.load(small, "cpu")
    falls = {"score": -1e9}  # whatever training gives is better than the base
    found = trainer.trained(model, data(), recipe, before=falls, measure=lambda one: {"score": 0.0}, checkpoints=tmp_path / "s")
    assert same(model.state_dict(), halfway)  # of equal ones the smallest
    assert list(found.mixtures) == [0.5, 0.75, 1.0]
    model = models.load(small, "cpu")
    found = trainer.trained(
        model, data(), replace(recipe, evaluations=1), before=falls, measure=nearness, checkpoints=tmp_path / "n"
    )
    assert same(model.state_dict(), halfway)
    assert found.mixtures[0.5]["score"] > found.mixtures[0.75]["score"] > found.mixtures[1.0]["score"]


def test_what_is_measured_on_the_way_is_mixed(small: Path, tmp_path: Path) -> None:
    """By the largest share; the weights that go on are the training's own, so a measure changes nothing of what is trained."""
    base = models.load(small, "cpu").state_dict()
    seen: list[dict[str, Tensor]] = []

    def keeping(one: SentenceTransformer) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in one.state_dict().items()})
        return {"score": float(len(seen))}

    recipe = replace(RECIPE, epochs=1, evaluations=1)
    whole, _ = run(small, tmp_path / "whole", keeping, replace(recipe, interpolation=(1.0,)))
    seen.clear()
    run(small, tmp_path / "half", keeping, replace(recipe, interpolation=(0.25, 0.5)))
    assert same(seen[1], trainer.interpolated(base, whole, 0.5))
    assert not same(seen[1], whole)
    assert len(seen) == 3  # the base's, the end's mixed by 0.5, which is not measured again, and 0.25's


def test_interpolation_is_a_straight_line() -> None:
    """0.25 of the way from 0 to 8 is 2; whole numbers are the tuned model's."""
    base, tuned = ({"w": torch.tensor([one]), "n": torch.tensor([int(one)])} for one in (0.0, 8.0))
    found = trainer.interpolated(base, tuned, 0.25)
    assert (found["w"].item(), found["n"].item()) == (2.0, 8)


@pytest.mark.parametrize(
    ("rows", "steps", "batch_size", "epochs", "rate"),
    [
        (4096, 32, 128, 2, 2e-4),
        (1024, 32, 64, 2, 1e-4),
        (512, 32, 32, 2, 5e-5),
        (100, 32, 32, 8, 5e-5),
        (100, 0, 128, 2, 2e-4),
    ],
)
def test_few_rows_lack_steps(rows: int, steps: int, batch_size: int, epochs: int, rate: float) -> None:
    """Batches shrink, down to 32, and the rate with them, before passes repeat; enough rows leave the recipe as it is."""
    fitted = replace(RECIPE, batch_size=128, min_steps=steps, learning_rate=2e-4).fitted_to(rows)
    assert (fitted.batch_size, fitted.epochs) == (batch_size, epochs)
    assert fitted.learning_rate == pytest.approx(rate)


def test_the_models_reading_length_survives_training(small: Path, tmp_path: Path) -> None:
    """Training reads 32 tokens; what it leaves reads as many as before."""
    model = models.load(small, "cpu")
    before = model.max_seq_length
    recipe = replace(RECIPE, epochs=1)
    trainer.trained(model, data(), recipe, before=closeness(model), measure=closeness, checkpoints=tmp_path)
    assert model.max_seq_length == before


def test_a_jobs_identity_is_recipe_rows_model_and_dev_measure() -> None:
    """A change of any of them must not take up another's checkpoints."""
    plain = trainer.job_digest(RECIPE, data(), "m", "dev")
    other = replace(data(), texts=[*data().texts[:-1], "another stone"])
    assert trainer.job_digest(RECIPE, data(), "m", "dev") == plain
    assert plain not in {
        trainer.job_digest(replace(RECIPE, seed=8), data(), "m", "dev"),
        trainer.job_digest(RECIPE, other, "m", "dev"),
        trainer.job_digest(RECIPE, data(), "n", "dev"),
        trainer.job_digest(RECIPE, data(), "m", "another dev set"),
    }


def test_the_summary_tells_the_best_step() -> None:
    """And the dev measures before and at it."""
    points = [
        {"step": 0, "score": 0.1, "dev": 0.1},
        {"step": 2, "score": 0.4, "dev": 0.5},
        {"step": 4, "score": 0.3, "dev": 0.3},
    ]
    found = trainer.summary(data(), RECIPE, trainer.Trained(points, {0.8: {"score": 0.45}}))
    assert (found["best_step"], found["dev"], found["steps"]) == (2, {"base": 0.1, "best": 0.5}, 4)
    assert (found["rows"], found["negatives_per_row"]) == (12, 1)
    assert found["interpolation"] == {"0.8": {"score": 0.45}}
    json.dumps(found)
