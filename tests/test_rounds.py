"""Rounds: each mines with the model of the one before, from the base again, and a kill loses none of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor

from burnish import tables
from burnish.embedding import models
from burnish.embedding.teachers import Embedder, Teacher, teacher
from burnish.errors import InputError
from burnish.tables import NEGATIVES, PASSAGES, QRELS, QUERIES
from burnish.training import devset, guidance, negatives, rounds, trainer
from burnish.training.masks import Suspicion
from burnish.training.mining import Rule
from burnish.training.parts import Part
from burnish.training.rounds import Material, Miner
from test_teachers import cross_encoder
from test_trainer import RECIPE, Killed, same, small  # noqa: F401

SUBJECTS = ("cook", "sail", "sing", "draw", "swim", "read", "knit", "ride")
RULE = Rule(per_query=1, first_rank=1, last_rank=20, pool=1, max_share=2.0, search="exact")
QUICK = replace(RECIPE, epochs=1, evaluations=1, learning_rate=3e-3)


def part(model: Path, store: Path) -> tuple[Part, pl.DataFrame, dict[str, Any]]:
    """Eight passages, two training queries and a dev query for each, with the model's vectors; judgments; query vectors."""
    passages = pl.DataFrame(
        [(f"p{at}", f"p{at}", 0, "", "", f"The way to {one} is long.", 8) for at, one in enumerate(SUBJECTS)],
        schema=PASSAGES.columns,
        orient="row",
    )
    asked = [
        (f"q{at}{how}", f"{how} to {one}", "en", "curated", "dev" if how == "when" else "train")
        for at, one in enumerate(SUBJECTS)
        for how in ("how", "why", "when")
    ]
    queries = pl.DataFrame(asked, schema=QUERIES.columns, orient="row")
    qrels = pl.DataFrame(
        [(row[0], f"p{row[0][1]}", "passage", 1, 1.0, "curated") for row in asked], schema=QRELS.columns, orient="row"
    )
    embedder = Embedder.at(model, store)
    found = embedder.vectors("query", queries["text"].to_list())
    own = embedder.vectors("passage", tables.embedded_text(passages))
    return Part(queries, passages, own), qrels, dict(zip(queries["query_id"], found, strict=True))


@pytest.fixture(scope="module")
def material(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Material:  # noqa: F811
    """What is trained on, with the base's vectors, no guide and no teacher."""
    own, qrels, known = part(small, tmp_path_factory.mktemp("store"))
    dev = devset.dev_set(own.queries, qrels, own.passages, own.vectors, known, per_query=2)
    return Material(small, {"domain": own}, qrels, known, (dev, None), Suspicion(2.0, -1.0), None, None)


def mined(material: Material, rule: Rule = RULE) -> pl.DataFrame:
    """The first round's negatives."""
    return negatives.of_parts(material.parts, material.qrels, material.query_vectors, rule, None)[0]


def run(
    material: Material, folder: Path, *, count: int, recipe: trainer.Recipe = QUICK
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(weights, summary) of so many rounds."""
    found = rounds.trained(
        material,
        mined(material),
        recipe,
        rounds=count,
        miner=Miner(RULE, None, folder / "store"),
        checkpoints=folder / "checkpoints",
    )
    assert all(job.is_dir() for job in found.checkpoints)
    return dict(found.model.state_dict()), found.summary


def test_one_round_is_the_training_alone(material: Material, tmp_path: Path) -> None:
    """The same weights as the trainer's own, and a summary without rounds."""
    weights, summary = run(material, tmp_path / "a", count=1)
    model = models.load(material.base, "cpu")
    measure = devset.DevMeasure(*material.dev)
    data = material.rows(mined(material), QUICK)
    trainer.trained(model, data, QUICK, before=measure.base(), measure=measure, checkpoints=tmp_path / "b")
    assert same(weights, dict(model.state_dict()))
    assert "rounds" not in summary


def test_the_second_round_mines_with_the_first_ones_model(
    material: Material, tmp_path: Path, two: tuple[dict[str, Tensor], dict[str, Any]]
) -> None:
    """Its negatives are those that this model ranks first, they differ from the base's, and their counts are told."""
    first = rounds.trained(
        material, mined(material), QUICK, rounds=1, miner=Miner(RULE, None, tmp_path), checkpoints=tmp_path / "one"
    )
    found, counts = Miner(RULE, None, tmp_path).negatives(material, first.model, tmp_path / "tuned")
    embedder = Embedder.at(tmp_path / "tuned", tmp_path / "other")
    own = material.parts["domain"]
    train = own.queries.filter(pl.col("split") == "train").sort("query_id")
    scores = (
        embedder.vectors("query", train["text"].to_list()) @ embedder.vectors("passage", tables.embedded_text(own.passages)).T
    )
    for row, query in enumerate(train["query_id"]):
        scores[row, int(query[1])] = -1
    hardest = {query: f"p{int(scores[row].argmax())}" for row, query in enumerate(train["query_id"])}
    assert dict(tables.checked(found, NEGATIVES, "mined").select("query_id", "passage_id").iter_rows()) == hardest
    assert not found.sort("query_id").equals(mined(material).sort("query_id"))
    weights, summary = two
    assert set(summary["rounds"]) == {"1", "2"}
    assert summary["rounds"]["2"]["negatives"] == counts
    assert counts["domain"]["negatives"] == 2 * len(SUBJECTS)
    assert "negatives" not in summary["rounds"]["1"]
    assert not same(weights, dict(first.model.state_dict()))


@pytest.fixture(scope="module")
def two(material: Material, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(weights, summary) of two uninterrupted rounds."""
    return run(material, tmp_path_factory.mktemp("two"), count=2)


@pytest.mark.parametrize("call", [1, 2])
def test_killed_rounds_go_on_to_the_same_end(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two: tuple[Any, Any], call: int
) -> None:
    """Killed at the first or the second round's measure: weights and summary are as if not, and an ended round trains once."""
    measure = devset.DevMeasure.__call__
    calls: list[int] = []

    def dies(self: devset.DevMeasure, model: SentenceTransformer) -> dict[str, float]:
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return measure(self, model)

    monkeypatch.setattr(devset.DevMeasure, "__call__", dies)
    with pytest.raises(Killed):
        run(material, tmp_path, count=2)
    weights, summary = run(material, tmp_path, count=2)
    assert same(weights, two[0])
    assert summary == two[1]
    assert len(calls) == 3  # one a round, and the one that was killed


def test_after_the_last_round_the_space_is_turned(material: Material, tmp_path: Path) -> None:
    """By the knob alone: the same training, one more layer, which is orthogonal, and a summary of it."""
    plain, turned = (replace(QUICK, widths=(32,), narrow_by="matryoshka"), replace(QUICK, widths=(32, 16), narrow_by="turn"))
    weights, summary = run(material, tmp_path / "plain", count=1, recipe=plain)
    others, told = run(material, tmp_path / "turned", count=1, recipe=turned)
    layer = set(others) - set(weights)
    (added,) = (others[name] for name in layer)
    assert added @ added.T == pytest.approx(torch.eye(32).numpy(), abs=1e-4)
    assert same(others, weights)
    assert told["turn"]["after"] < told["turn"]["before"]
    assert (told["turn"]["passages"], told["turn"]["queries"]) == (len(SUBJECTS), 2 * len(SUBJECTS))
    assert "turn" not in summary


@pytest.mark.parametrize(
    ("narrow_by", "trained", "turned"),
    [("turn", (32,), [16]), ("matryoshka", (32, 16), []), ("both", (32, 16), [16])],
)
def test_narrow_widths_are_made_by_one_or_both(
    narrow_by: trainer.Narrowing, trained: tuple[int, ...], turned: list[int]
) -> None:
    """A turn trains the full width alone, whatever widths are named; no narrower width, no turn."""
    recipe = replace(RECIPE, widths=(32, 16), narrow_by=narrow_by)
    assert tuple(recipe.trained_for(32)) == trained
    assert recipe.turned_for(32) == turned
    assert replace(recipe, widths=(32,)).turned_for(32) == []


def test_a_cross_encoder_teaches(material: Material, base_model: Path, tmp_path: Path) -> None:
    """GPL: a cross-encoder that was trained on the pairs; the student's dev measure rises, from scores alone."""
    judge = trained_judge(cross_encoder(tmp_path / "judge", base_model), tmp_path)
    for name in ("margin-mse", "kl"):
        taught = replace(material, teacher=judge)
        recipe = replace(RECIPE, loss=name, epochs=4, learning_rate=1e-3, teacher=judge.digest)
        weights, summary = run(taught, tmp_path / name, count=1, recipe=recipe)
        assert summary["dev"]["best"] > summary["dev"]["base"] + 0.05, name
        assert summary["recipe"]["teacher"] == judge.digest


def trained_judge(folder: Path, scratch: Path) -> Teacher:
    """A cross-encoder that learnt which subject stands in both texts."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    pairs = [
        (f"{how} to {one}", f"The way to {other} is long.", float(one == other))
        for how in ("how", "why")
        for one in SUBJECTS
        for other in SUBJECTS
    ]
    data = Dataset.from_dict({name: [row[at] for row in pairs] for at, name in enumerate(("query", "passage", "label"))})
    model = CrossEncoder(str(folder), device="cpu")
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(scratch / "judge-job"),
        num_train_epochs=80,
        per_device_train_batch_size=128,
        learning_rate=3e-3,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        seed=0,
        disable_tqdm=True,
    )
    loss = BinaryCrossEntropyLoss(model, pos_weight=torch.tensor(7.0))
    CrossEncoderTrainer(model=model, args=arguments, train_dataset=data, loss=loss).train()
    model.save_pretrained(str(scratch / "trained"))
    judge = teacher(scratch / "trained", scratch / "scores", "train.teacher")
    right = judge.scores([f"how to {one}" for one in SUBJECTS], [f"The way to {one} is long." for one in SUBJECTS])
    wrong = judge.scores([f"how to {one}" for one in SUBJECTS], [f"The way to {one} is long." for one in SUBJECTS[::-1]])
    assert right.min() > wrong.max() + 1
    return judge


def test_another_guide_masks_by_its_own_scores(material: Material, base_model: Path, tmp_path: Path) -> None:
    """Its vectors stand where the base's stood; texts that no row names are not embedded."""
    data = material.rows(mined(material), QUICK)
    texts = [*data.texts, "nobody's passage"]
    found = guidance.guided(replace(data, texts=texts), Embedder.at(base_model, tmp_path))
    assert found.masks.passages.shape == (len(texts), 384)
    assert not found.masks.passages[-1].any()
    norms = np.linalg.norm(found.masks.passages[:-1], axis=1)
    assert norms == pytest.approx(np.ones(len(SUBJECTS)), abs=1e-3)
    assert found.masks.queries.shape == (len(data.queries), 384)
    rows = np.arange(4)
    assert found.masks.mask(rows).shape == data.masks.mask(rows).shape


def test_judged_negatives_are_trained_on_though_none_is_mined(material: Material, tmp_path: Path) -> None:
    """In every round, by the queries that have them; a loss of nothing but a row's own negatives is refused with so few."""
    no = pl.DataFrame([("q0how", "p3", "passage", 0, 1.0, "curated")], schema=QRELS.columns, orient="row")
    judged = replace(material, qrels=pl.concat([material.qrels, no]))
    rule = replace(RULE, per_query=0, judged=8)
    first = mined(judged, rule)
    assert first.select("query_id", "passage_id", "miner").rows() == [("q0how", "p3", "judged")]
    data = judged.rows(first, QUICK)
    assert sorted(data.masks.negatives().tolist()) == [0] * 14 + [1] * 2  # q0why shares q0how's
    miner = Miner(rule, None, tmp_path / "store")
    found = rounds.trained(judged, first, QUICK, rounds=2, miner=miner, checkpoints=tmp_path / "checkpoints")
    assert found.summary["negatives_per_row"] == 1
    assert found.summary["rounds"]["2"]["negatives"]["domain"]["judged_non_answers"] == 1
    assert all(np.isfinite(point["loss"]) for point in found.points if "loss" in point)
    with pytest.raises(InputError, match="mine.per_query: train.loss triplet .* only 2 of 16 training rows have one"):
        judged.rows(first, replace(QUICK, loss="triplet"))


def test_a_loss_that_needs_negatives_is_refused_without(material: Material) -> None:
    """Before any training, by the knob that brings them."""
    with pytest.raises(InputError, match="mine.per_query: train.loss triplet .* only 0 of 16 training rows have one"):
        material.rows(mined(material, replace(RULE, per_query=0)), replace(QUICK, loss="triplet"))
