"""Training: sentence-transformers' trainer over packed, masked batches, with dev nDCG@10 deciding."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from datasets import Dataset
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch import Tensor
from torch.utils.data import BatchSampler
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_utils import get_last_checkpoint

from burnish import atomic, encoding, losses, tables
from burnish.losses import FalseNegatives
from burnish.vectors import Vectors

_POINTS = "points.json"
_BEST = "best"
_SMALLEST_BATCH = 32  # below it in-batch negatives run out; passes repeat instead
_FINISHED = "finished.json"  # the trainer's log, once a job has come to its end


@dataclass(frozen=True)
class TrainingSet:
    """The rows to train on.

    Attributes:
        queries: shape (rows,).
        passages: the positive and the negatives of each row, as places in `texts`; shape (rows, 1 + negatives).
        texts: the passages' texts.
        masks: which passages of a batch may not be a row's negatives.
    """

    queries: Sequence[str]
    passages: NDArray[np.int64]
    texts: Sequence[str]
    masks: FalseNegatives

    def dataset(self) -> Dataset:
        """The rows as the trainer takes them: query, positive, negatives, and the row number as label."""
        columns = {
            "positive" if column == 0 else f"negative_{column}": [self.texts[at] for at in self.passages[:, column]]
            for column in range(self.passages.shape[1])
        }
        return Dataset.from_dict({"query": list(self.queries), **columns, "label": list(range(len(self.queries)))})


@dataclass(frozen=True)
class Part:
    """The domain, or the general set: its queries, its passages and the base model's vectors of the passages."""

    queries: pl.DataFrame
    passages: pl.DataFrame
    vectors: Vectors  # shape (passages, dimensions)


@dataclass(frozen=True)
class Recipe:
    """How to train; each field is a knob that params.yaml explains."""

    loss: str
    epochs: int
    min_steps: int
    batch_size: int
    learning_rate: float
    warmup_share: float
    scale: float
    widths: tuple[int, ...]
    max_tokens: int
    interpolation: float
    evaluations: int
    patience: int
    seed: int

    def fitted_to(self, rows: int) -> "Recipe":
        """The recipe for so many rows: few of them lack steps, so batches shrink, down to 32, and then passes repeat."""
        smallest = min(_SMALLEST_BATCH, self.batch_size)
        shrunk = self.epochs * rows // self.min_steps if self.min_steps else self.batch_size
        batch_size = min(self.batch_size, max(smallest, shrunk))
        epochs = max(self.epochs, math.ceil(self.min_steps / math.ceil(rows / batch_size)))
        return replace(self, batch_size=batch_size, epochs=epochs)


def training_set(
    parts: Sequence[Part],
    qrels: pl.DataFrame,
    negatives: pl.DataFrame,
    query_vectors: Mapping[str, Vectors],
    *,
    threshold: float,
    seed: int,
) -> TrainingSet:
    """The rows of every part: one for each training query and each of its positive passages.

    The rows of one passage share its negatives: its queries' mined ones, taken in turn. What is hard for one of them is near
    the others too, and each passage is embedded once a batch. A row that would have too few is filled up with passages drawn
    by a hash; the mask then watches over them as over any other in-batch negative.

    Args:
        parts: the domain and the general set; a query's passages come from its own part.
        qrels: all judgments.
        negatives: as mined.
        query_vectors: the base's by query id, each of shape (dimensions,).
        threshold: see FalseNegatives.
        seed: of the draws that fill up.
    """
    texts: list[str] = []
    rows: list[tuple[str, str, int]] = []
    place: dict[str, int] = {}
    bounds: dict[str, tuple[int, int]] = {}
    for part in parts:
        first = len(texts)
        place.update((name, first + at) for at, name in enumerate(part.passages["passage_id"]))
        texts += tables.embedded_text(part.passages)
        train = part.queries.filter(pl.col("split") == "train")
        bounds.update((query, (first, len(texts))) for query in train["query_id"])
        positive = qrels.filter(pl.col("grade") > 0, pl.col("unit") == "passage")
        pairs = train.join(positive.select("query_id", "target_id"), on="query_id").sort("query_id", "target_id")
        rows += [
            (query, text, place[target]) for query, text, target in pairs.select("query_id", "text", "target_id").iter_rows()
        ]
    positives: dict[str, set[int]] = {}
    for query, _, at in rows:
        positives.setdefault(query, set()).add(at)
    passages = _with_shared_negatives(rows, negatives, place, bounds, seed)
    vectors = np.concatenate([part.vectors for part in parts])
    masks = FalseNegatives(
        queries=np.stack([query_vectors[query] for query, _, _ in rows]),
        passages=vectors,
        candidates=passages,
        positives=[frozenset(positives[query]) for query, _, _ in rows],
        threshold=threshold,
    )
    return TrainingSet([text for _, text, _ in rows], passages, texts, masks)


def _with_shared_negatives(
    rows: Sequence[tuple[str, str, int]],
    negatives: pl.DataFrame,
    place: Mapping[str, int],
    bounds: Mapping[str, tuple[int, int]],
    seed: int,
) -> NDArray[np.int64]:
    """The positive and the negatives of each row, shape (rows, 1 + negatives of a query)."""
    mined: dict[str, list[int]] = {}
    for query, passage in negatives.sort("query_id", "rank", "passage_id").select("query_id", "passage_id").iter_rows():
        mined.setdefault(query, []).append(place[passage])
    width = max((len(found) for found in mined.values()), default=0)
    of_positive: dict[int, list[str]] = {}
    for query, _, at in rows:
        of_positive.setdefault(at, []).append(query)
    chosen: dict[int, list[int]] = {}
    for at, queries in of_positive.items():
        in_turn = [found for rank in range(width) for query in queries for found in mined.get(query, [])[rank : rank + 1]]
        wanted = list(dict.fromkeys(found for found in in_turn if found != at))[:width]
        low, high = bounds[queries[0]]
        draw = np.random.default_rng([seed, at])
        while len(wanted) < width:
            drawn = int(draw.integers(low, high))
            if high - low <= width + 1 or (drawn != at and drawn not in wanted):
                wanted.append(drawn)
        chosen[at] = wanted
    return np.array([[at, *chosen[at]] for _, _, at in rows], dtype=np.int64)


class GroupedBatches(BatchSampler):
    """Batches that keep the rows of one passage together, so that they share its embedding; every row once an epoch.

    A batch of n rows with four queries a passage costs a quarter of the passages. Groups are shuffled anew each epoch.

    Args:
        groups: the positive passage of each row, shape (rows,).
        batch_size: rows of a batch; the last one may be smaller.
        seed: of the shuffling.
    """

    def __init__(self, groups: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self.groups, self.batch_size, self.seed, self.epoch = groups, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; the trainer calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """The row numbers of each batch."""
        random = np.random.default_rng([self.seed, self.epoch])
        names, inverse = np.unique(self.groups, return_inverse=True)
        order = np.lexsort((random.permutation(len(inverse)), random.permutation(len(names))[inverse]))
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size].tolist()

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return math.ceil(len(self.groups) / self.batch_size)


class _Trainer(SentenceTransformerTrainer):
    """The trainer with grouped batches; a sampler among its arguments would be pickled into every checkpoint."""

    groups: NDArray[np.int64]

    def get_batch_sampler(
        self,
        dataset: Any,  # noqa: ARG002 (the trainer's signature)
        batch_size: int,
        drop_last: bool,  # noqa: ARG002, FBT001
        valid_label_columns: list[str] | None = None,  # noqa: ARG002
        generator: torch.Generator | None = None,  # noqa: ARG002
        seed: int = 0,
    ) -> BatchSampler:
        """The grouped batches of the training set."""
        return GroupedBatches(self.groups, batch_size, seed)


def trained(
    model: SentenceTransformer,
    data: TrainingSet,
    recipe: Recipe,
    *,
    measure: Callable[[SentenceTransformer], dict[str, float]],
    checkpoints: Path,
) -> list[dict[str, float]]:
    """Train `model` in place; return the learning curve: step, loss, learning rate, dev measures.

    The weights kept are those of the evaluation with the highest `measure(model)["score"]`, the untrained model's
    included, mixed with the base's by `recipe.interpolation` (WiSE-FT, arXiv:2109.01903). Dropout is off: one or two epochs
    of a small model do not overfit by its absence, and on CPU it took 30 % of the time (LOG.md).

    Args:
        model: the base model; becomes the tuned one.
        data: the rows.
        recipe: how.
        measure: dev measures of a model, `score` among them.
        checkpoints: a folder of this very job; a run that finds a checkpoint there goes on from it.
    """
    base = {name: value.detach().clone() for name, value in model.state_dict().items()}
    full_length, model.max_seq_length = model.max_seq_length, min(recipe.max_tokens, model.max_seq_length or recipe.max_tokens)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    recipe = recipe.fitted_to(len(data.queries))
    steps = recipe.epochs * math.ceil(len(data.queries) / recipe.batch_size)
    every = max(1, steps // recipe.evaluations)
    rows = data.dataset()
    roles: dict[str, encoding.Role] = {name: "query" if name == "query" else "passage" for name in rows.column_names}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup_share * steps),
        bf16=encoding.bf16_is_faster(model.device),
        eval_strategy="no",
        save_strategy="steps",
        save_steps=every,
        save_total_limit=1,
        logging_steps=next(n for n in range(max(1, steps // 50), 0, -1) if every % n == 0),  # else a resumed curve differs
        seed=recipe.seed,
        prompts={name: before for name, role in roles.items() if (before := encoding.prompt(model, role))},
        full_determinism=False,
        report_to="none",
        disable_tqdm=None,
        dataloader_pin_memory=model.device.type == "cuda",
    )
    torch.use_deterministic_algorithms(mode=True, warn_only=model.device.type != "cpu")
    budget = encoding.batch_tokens(model.device)
    judge = _Judge(measure, checkpoints, every, recipe.patience)
    trainer = _Trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        loss=losses.loss(recipe.loss, model, data.masks, scale=recipe.scale, batch_tokens=budget, widths=recipe.widths),
        callbacks=[judge],
    )
    trainer.groups = data.passages[:, 0]
    checkpoints.mkdir(parents=True, exist_ok=True)
    finished = checkpoints / _FINISHED
    if finished.is_file():  # killed after its end, before its outputs were written
        judge.take_up(steps)
        history = json.loads(finished.read_text(encoding="utf-8"))
    else:
        trainer.train(resume_from_checkpoint=_last_whole_checkpoint(checkpoints))
        history = trainer.state.log_history
        atomic.write_json(finished, history, digits=30)
    model.load_state_dict(interpolated(base, judge.best_weights(model), recipe.interpolation))
    model.max_seq_length = full_length
    return learning_curve(judge.points, history)


def _last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end, which its state closes; others are removed."""
    while found := get_last_checkpoint(str(folder)):
        try:
            TrainerState.load_from_json(str(Path(found) / "trainer_state.json"))
        except (FileNotFoundError, ValueError):
            shutil.rmtree(found)
        else:
            return str(found)
    return None


def interpolated(base: dict[str, Tensor], tuned: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """`base` moved towards `tuned` by `share`: 0 is the base, 1 the tuned weights."""
    return {name: torch.lerp(base[name], value, share) if value.is_floating_point() else value for name, value in tuned.items()}


class _Judge(TrainerCallback):
    """Measures the model on dev data, keeps the best weights, stops early; all of it survives a kill.

    The state lies in one file beside the trainer's checkpoints, written before each of them: a run that resumes finds both.
    """

    def __init__(
        self, measure: Callable[[SentenceTransformer], dict[str, float]], folder: Path, every: int, patience: int
    ) -> None:
        self.measure, self.folder, self.every, self.patience = measure, folder, every, patience
        self.points: list[dict[str, float]] = []

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Take up the points before the checkpoint that training resumes from, or measure the untrained model."""
        self.take_up(state.global_step)
        if not self.points:
            self._take(kwargs["model"], 0)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Measure at every `every`-th step and the last; stop after `patience` measures without a better one."""
        last = state.global_step >= state.max_steps
        if last or (state.global_step % self.every == 0 and state.max_steps - state.global_step >= self.every // 2):
            self._take(kwargs["model"], state.global_step)
            best = max(self.points, key=lambda point: point["score"])
            since = sum(point["step"] > best["step"] for point in self.points)
            control.should_training_stop = control.should_training_stop or since >= self.patience

    def take_up(self, last_step: float) -> None:
        """The points that an earlier run took, up to `last_step`."""
        if (self.folder / _POINTS).is_file():
            known = json.loads((self.folder / _POINTS).read_text(encoding="utf-8"))
            self.points = [point for point in known if point["step"] <= last_step]

    def best_weights(self, model: SentenceTransformer) -> dict[str, Tensor]:
        """The weights of the best measure; of equal ones the latest."""
        best = max(self.points, key=lambda point: (point["score"], point["step"]))
        weights = load_file(str(self.folder / f"{_BEST}-{best['step']:.0f}.safetensors"))
        return {name: weights[name].to(value.device) for name, value in model.state_dict().items()}

    def _take(self, model: SentenceTransformer, step: int) -> None:
        self.points.append({"step": step, **self.measure(model)})
        model.train()
        if max(self.points, key=lambda point: (point["score"], point["step"]))["step"] == step:
            weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
            with atomic.file(self.folder / f"{_BEST}-{step}.safetensors") as temporary:
                save_file(weights, str(temporary))
        atomic.write_json(self.folder / _POINTS, self.points, digits=30)


def job_digest(recipe: Recipe, data: TrainingSet, model_digest: str, dev_digest: str) -> str:
    """The identity of a training job: recipe, rows, base model, dev measure and code; none takes up another's checkpoints."""
    rows = hashlib.sha256(json.dumps([list(data.queries), data.passages.tolist()]).encode()).hexdigest()
    texts = hashlib.sha256("\0".join(data.texts).encode()).hexdigest()
    code = [hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest() for module in (encoding, losses)]
    code.append(hashlib.sha256(Path(__file__).read_bytes()).hexdigest())
    whole = json.dumps([asdict(recipe), data.masks.threshold, rows, texts, model_digest, dev_digest, code])
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def learning_curve(points: list[dict[str, float]], history: list[dict[str, float]]) -> list[dict[str, float]]:
    """The trainer's log and the dev measures as rows of one table, by step; absent values are left out."""
    rows: dict[float, dict[str, float]] = {}
    logged: list[dict[str, float]] = [
        {name: entry[name] for name in ("step", "loss", "learning_rate") if name in entry} for entry in history
    ]
    for entry in [*logged, *points]:
        rows.setdefault(entry["step"], {}).update(entry)
    return [rows[step] for step in sorted(rows) if len(rows[step]) > 1]


def write_curve(path: Path, points: Sequence[Mapping[str, float]]) -> None:
    """Write the learning curve as CSV, empty where a step has no such value."""
    names = ["step", "loss", "learning_rate", "dev", "general_dev", "score"]
    frame = pl.DataFrame(
        [{name: point.get(name) for name in names} for point in points], schema=dict.fromkeys(names, pl.Float64)
    )
    with atomic.file(path) as temporary:
        frame.with_columns(pl.col("step").cast(pl.Int64)).write_csv(temporary, float_precision=6)


def summary(data: TrainingSet, recipe: Recipe, points: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What became of a training: recipe, rows, steps, and the dev measures before and at the best step."""
    measured = [point for point in points if "score" in point]
    best = max(measured, key=lambda point: (point["score"], point["step"]))
    return {
        "recipe": asdict(recipe.fitted_to(len(data.queries))),
        "rows": len(data.queries),
        "negatives_per_row": data.passages.shape[1] - 1,
        "steps": int(points[-1]["step"]),
        "best_step": int(best["step"]),
        "dev": {"base": measured[0].get("dev"), "best": best.get("dev")},
        "general_dev": {"base": measured[0].get("general_dev"), "best": best.get("general_dev")},
    }
