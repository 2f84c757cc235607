"""Training a reranker: it learns, its weights count, and a kill changes nothing."""

import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from transformers import TrainerCallback

from burnish.embedding import models
from burnish.errors import InputError
from burnish.search import reranker
from burnish.training import reranking
from burnish.training.reranking import Recipe, WeightedPairs
from test_teachers import cross_encoder

WORDS = ("apple", "river", "engine", "violin", "winter", "copper")
RECIPE = Recipe(epochs=30, max_steps=0, batch_size=12, learning_rate=2e-3, warmup_share=0.1, max_tokens=32, seed=3)


def pairs() -> pl.DataFrame:
    """Each word asks for the passage with the same word, and not for the next one's."""
    passages = [f"a long page about {word}" for word in WORDS]
    rows = []
    for at, word in enumerate(WORDS):
        rows += [(f"what is {word}", passages[at], 1.0), (f"what is {word}", passages[(at + 1) % len(WORDS)], -1.0)]
    return pl.DataFrame(rows, schema=["query", "passage", "label"], orient="row")


@pytest.fixture(scope="module")
def start(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a narrow cross-encoder."""
    return cross_encoder(tmp_path_factory.mktemp("start") / "model", base_model)


@pytest.fixture(autouse=True)
def nondeterministic_again() -> None:
    """Later tests may use what has no deterministic form."""
    yield  # type: ignore[misc]
    torch.use_deterministic_algorithms(mode=False)


def weights(model: CrossEncoder) -> dict[str, torch.Tensor]:
    """A copy of the model's weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(one: CrossEncoder, other: CrossEncoder) -> bool:
    """Whether two models have the same weights to the last bit."""
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_it_learns_which_passage_answers(start: Path, tmp_path: Path) -> None:
    """After training each answer is above the negative of its query, which was not so before."""
    data = pairs()

    def right(model: CrossEncoder) -> int:
        found = [
            reranker.logits(model, query, group["passage"].to_list())
            for (query,), group in data.group_by(["query"], maintain_order=True)
        ]
        return sum(bool(answer > negative) for answer, negative in found)

    assert right(reranker.load(start, "x")) < len(WORDS)
    assert right(reranking.trained(start, data, RECIPE, what="x", checkpoints=tmp_path / "job")) == len(WORDS)


def test_the_loss_is_the_librarys_where_weights_are_equal(start: Path) -> None:
    """And the weighted mean of the pairs' losses where they are not, whatever the order and the lengths."""
    model = reranker.load(start, "x").eval()
    data = pairs()
    columns = [data["query"].to_list(), [text * (1 + at % 3) for at, text in enumerate(data["passage"])]]
    labels = torch.tensor(data["label"].to_list())
    plain = BinaryCrossEntropyLoss(model, pos_weight=torch.tensor(2.0))(columns, (labels > 0).float())
    ours = WeightedPairs(model, 2.0)
    assert ours(columns, labels).item() == pytest.approx(plain.item(), abs=1e-6)
    only = labels.clone()
    only[2:] *= 1e-9
    first = ours([column[:2] for column in columns], labels[:2])
    assert ours(columns, only).item() == pytest.approx(first.item(), abs=1e-6)


class Killed(Exception):  # noqa: N818 (a kill is no error)
    """What stops a training in the middle."""


def test_a_killed_training_ends_at_the_same_weights(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after its first checkpoint, and amid the writing of the next: it goes on, to the same bits."""
    whole = reranking.trained(start, pairs(), RECIPE, what="x", checkpoints=tmp_path / "whole")

    def on_step_begin(self: object, args: object, state: object, control: object, **kwargs: object) -> None:
        if state.global_step == 20:  # type: ignore[attr-defined]
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(TrainerCallback, "on_step_begin", on_step_begin)
        reranking.trained(start, pairs(), RECIPE, what="x", checkpoints=tmp_path / "killed")
    assert [one.name for one in (tmp_path / "killed").iterdir()] == ["checkpoint-16"]
    (tmp_path / "killed/checkpoint-24").mkdir()
    (tmp_path / "killed/checkpoint-24/model.safetensors").write_bytes(b"torn")
    assert same(reranking.trained(start, pairs(), RECIPE, what="x", checkpoints=tmp_path / "killed"), whole)


def test_a_finished_training_is_not_repeated(start: Path, tmp_path: Path) -> None:
    """Its model is taken up; of its checkpoints, and of other rerankers', nothing is left."""
    job, other = (tmp_path / f"reranker-{name}" for name in ("one", "other"))
    short = Recipe(**RECIPE.__dict__ | {"max_steps": 2})
    model = reranking.trained(start, pairs(), short, what="x", checkpoints=job)
    shutil.copytree(job, other)
    (tmp_path / "another-kind").mkdir()
    reranking.clean(job)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["another-kind", "reranker-one"]
    assert [one.name for one in job.iterdir()] == ["trained"]
    assert same(reranking.trained(tmp_path / "not there", pairs(), short, what="x", checkpoints=job), model)


def test_jobs_are_told_apart() -> None:
    """By recipe, pairs and the model that they start from."""
    data = pairs()
    first = reranking.job_digest(RECIPE, data, "a")
    assert first == reranking.job_digest(RECIPE, data.clone(), "a")
    others = {
        reranking.job_digest(Recipe(**RECIPE.__dict__ | {"seed": 4}), data, "a"),
        reranking.job_digest(RECIPE, data.head(11), "a"),
        reranking.job_digest(RECIPE, data, "b"),
    }
    assert len(others | {first}) == 4


def test_steps_are_counted() -> None:
    """Whole passes, or the cap; the summary balances."""
    assert RECIPE.steps(25) == 90
    assert Recipe(**RECIPE.__dict__ | {"max_steps": 7}).steps(25) == 7
    told = reranking.summary(RECIPE, pairs())
    assert told["recipe"]["learning_rate"] == "0.002"
    assert (told["pairs"], told["answers"], told["negatives"], told["steps"]) == (12, 6, 6, 30)


@pytest.mark.parametrize("label", [1.0, -1.0])
def test_answers_or_negatives_alone_are_refused(label: float) -> None:
    """Nothing can be learnt from them; the message says which knobs bring the others."""
    with pytest.raises(InputError, match=r"rerank\.base: a reranker learns answers and negatives, found \d+ and \d+; raise"):
        reranking.check(pairs().with_columns(label=pl.lit(label)))
    reranking.check(pairs())


def test_the_saved_model_is_a_plain_cross_encoder(start: Path, tmp_path: Path) -> None:
    """sentence-transformers alone loads what was saved, with the same scores; its digest is that of the files."""
    model = reranker.load(start, "x", max_tokens=32)
    reranker.Reranker(model, 5, 2.5).save(tmp_path / "saved")
    plain = CrossEncoder(str(tmp_path / "saved"))
    asked = [("what is apple", "a long page about apple")]
    assert plain.predict(asked) == pytest.approx(model.predict(asked))
    assert plain.max_seq_length == 32
    assert models.digest(tmp_path / "saved")
