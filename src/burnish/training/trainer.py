"""Training: sentence-transformers' trainer over packed, masked batches, with dev nDCG@10 deciding."""

import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch import Tensor
from torch.utils.data import BatchSampler

from burnish import atomic
from burnish.embedding import attention, encoding
from burnish.training import adapters, batches, judge, losses, masks, memory, objectives, processes, resuming, rowwise
from burnish.training.adapters import Adapters
from burnish.training.batches import GroupedBatches
from burnish.training.curve import learning_curve
from burnish.training.judge import Judge
from burnish.training.losses import Hardness, Passes
from burnish.training.objectives import Objective
from burnish.training.rows import TrainingSet

_SMALLEST_BATCH = 32  # below it in-batch negatives run out; passes repeat instead
_TOKENIZERS = 4  # processes that tokenize the next batches while a GPU computes
_FINISHED = "finished.json"  # the trainer's log, once a job has come to its end
Narrowing = Literal["turn", "matryoshka", "both"]


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
    narrow_by: Narrowing
    width_power: float
    max_tokens: int
    interpolation: tuple[float, ...]
    evaluations: int
    patience: int
    seed: int
    guide: str = "base"  # or the digest of another model
    teacher: str = ""  # the digest of the teacher; none
    teacher_scale: float = 1.0
    margin: float = 0.5
    hardness: Hardness = "none"
    hardness_strength: float = 0.0
    lora_rank: int = 0

    def turned_for(self, full: int) -> list[int]:
        """The widths that the vector space is turned for after training, of a model with `full` dimensions."""
        return [width for width in self.widths if width < full] if self.narrow_by in ("turn", "both") else []

    def trained_for(self, full: int) -> Sequence[int]:
        """The widths whose losses are summed."""
        return self.widths if self.narrow_by in ("matryoshka", "both") else (full,)

    def fitted_to(self, rows: int) -> "Recipe":
        """The recipe for so many rows: few of them lack steps, so batches shrink, down to 32, and then passes repeat.

        The learning rate falls in proportion to the batch (arXiv:1706.02677): what suits full batches takes small ones too far (LOG.md).
        """
        smallest = min(_SMALLEST_BATCH, self.batch_size)
        shrunk = self.epochs * rows // self.min_steps if self.min_steps else self.batch_size
        batch_size = min(self.batch_size, max(smallest, shrunk))
        epochs = max(self.epochs, math.ceil(self.min_steps / math.ceil(rows / batch_size)))
        learning_rate = self.learning_rate * batch_size / self.batch_size
        return replace(self, batch_size=batch_size, epochs=epochs, learning_rate=learning_rate)


@dataclass(frozen=True)
class Trained:
    """What a training tells.

    Attributes:
        points: the learning curve: step, loss, learning rate, dev measures.
        mixtures: dev measures by share of the tuned weights, where several shares were tried; the best score is kept.
    """

    points: list[dict[str, float]]
    mixtures: dict[float, dict[str, float]]


class _Trainer(SentenceTransformerTrainer):
    """The trainer with grouped batches; a sampler among its arguments would be pickled into every checkpoint."""

    groups: NDArray[np.int64]
    adapters: Adapters | None = None

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

    def training_step(self, *given: Any, **named: Any) -> Tensor:
        """The loss of a whole batch, and the gradients of all processes in each of them."""
        part = super().training_step(*given, **named)
        processes.add_gradients(self.model)
        return processes.total(part)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.adapters:
            self.adapters.save(Path(str(output_dir)))

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:  # type: ignore[override]
        if self.adapters:  # the trainer would load layers without them
            self.adapters.load(Path(checkpoint_path))
        else:
            super()._load_from_checkpoint(checkpoint_path)


def trained(
    model: SentenceTransformer,
    data: TrainingSet,
    recipe: Recipe,
    *,
    before: dict[str, float],
    measure: Callable[[SentenceTransformer], dict[str, float]],
    checkpoints: Path,
) -> Trained:
    """Train `model` in place.

    The weights kept are those of the evaluation with the highest `measure(model)["score"]`, the untrained model's
    included, mixed with the base's by that share of `recipe.interpolation` whose mixture has the highest score (WiSE-FT,
    arXiv:2109.01903). What is evaluated is mixed too, by the largest share (but for LoRA): weights as trained have lost general
    language that the mixture gets back, so that they would be stopped too early. Dropout is off: one or two epochs of a small model
    do not overfit by its absence, and on CPU it took 30 % of the time (LOG.md).

    Args:
        model: the base model; becomes the tuned one.
        data: the rows.
        recipe: how.
        before: dev measures of the base model, `score` among them.
        measure: the same of any model.
        checkpoints: a folder of this very job; a run that finds a checkpoint there goes on from it.
    """
    recipe = recipe.fitted_to(len(data.queries))
    base = {name: value.detach().clone() for name, value in model.state_dict().items()}
    full_length, model.max_seq_length = model.max_seq_length, min(recipe.max_tokens, model.max_seq_length or recipe.max_tokens)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    lora = Adapters(model, recipe.lora_rank, recipe.seed) if recipe.lora_rank else None
    torch.use_deterministic_algorithms(mode=True, warn_only=model.device.type != "cpu")
    # Torch fills new memory to make bugs show; that takes 3 % of a step. A property of the module, which its stub lacks.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    rows = data.dataset()
    arguments = _arguments(model, recipe, rows, checkpoints)
    largest = max(recipe.interpolation)
    kept = measure if lora else _mixing(base, largest, measure)
    referee = Judge(before, kept, checkpoints, int(arguments.save_steps), recipe.patience)
    objective = Objective(
        recipe.loss,
        data.masks,
        data.weights,
        data.taught,
        recipe.scale,
        recipe.margin,
        recipe.hardness,
        recipe.hardness_strength,
        Passes(encoding.batch_tokens(model.device), _precision(arguments)),
    )
    trainer = _Trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        loss=objectives.loss(model, objective, recipe.trained_for(model.get_embedding_dimension() or 0), recipe.width_power),
        callbacks=[referee],
    )
    trainer.adapters = lora
    trainer.groups = data.passages[:, 0]
    history = _history(trainer, referee, checkpoints)
    model.load_state_dict(referee.best_weights(model))
    processes.wait()  # before the first may remove them
    if lora:
        lora.merge()
    mixtures = _mixed(model, base, recipe.interpolation, measure, {} if lora else {largest: referee.best_measures()})
    model.max_seq_length = full_length
    return Trained(learning_curve(referee.points, history), mixtures)


def _arguments(
    model: SentenceTransformer, recipe: Recipe, rows: Dataset, checkpoints: Path
) -> SentenceTransformerTrainingArguments:
    """The trainer's settings for a recipe that is fitted to `rows`."""
    bf16, on_gpu = processes.shared(lambda: encoding.bf16_is_faster(model.device)), model.device.type == "cuda"
    steps = recipe.epochs * math.ceil(len(rows) / recipe.batch_size)
    every = max(1, steps // recipe.evaluations)
    prompts = {column: encoding.prompt(model, "query" if column == "query" else "passage") for column in rows.column_names}
    return SentenceTransformerTrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup_share * steps),
        bf16=bf16,
        fp16=on_gpu and not bf16,  # a GPU older than bf16
        use_cpu=model.device.type == "cpu",  # without it the trainer takes bf16 for a GPU's
        eval_strategy="no",
        save_strategy="steps" if processes.first() else "no",
        save_steps=every,
        save_total_limit=1,
        logging_steps=next(n for n in range(max(1, steps // 50), 0, -1) if every % n == 0),  # else a resumed curve differs
        seed=recipe.seed,
        prompts={column: before for column, before in prompts.items() if before},
        full_determinism=False,
        report_to="none",
        disable_tqdm=None if processes.first() else True,
        dataloader_pin_memory=on_gpu,
        dataloader_num_workers=_TOKENIZERS if on_gpu else 0,  # a CPU has no cores to spare
    )


def _precision(arguments: SentenceTransformerTrainingArguments) -> torch.dtype | None:
    """What the trainer's own autocast computes in. It is on in the model's `forward` alone, which texts side by side do not pass."""
    return torch.bfloat16 if arguments.bf16 else torch.float16 if arguments.fp16 else None


def _history(trainer: _Trainer, referee: Judge, checkpoints: Path) -> list[dict[str, float]]:
    """The trainer's log of the whole training: of this run, one that it goes on from, or one that had come to its end."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    finished = checkpoints / _FINISHED
    ended: list[dict[str, float]] | None = processes.shared(lambda: _read(finished))
    if ended is not None:  # killed after its end, before its outputs were written
        referee.take_up(math.inf)
        return ended
    trainer.train(resume_from_checkpoint=processes.shared(lambda: resuming.last_whole_checkpoint(checkpoints)))
    history: list[dict[str, float]] = trainer.state.log_history
    if processes.first():
        atomic.write_json(finished, history, digits=30)
    processes.wait()  # for the best weights on the disk
    return history


def _read(finished: Path) -> list[dict[str, float]] | None:
    if not finished.is_file():
        return None
    found: list[dict[str, float]] = json.loads(finished.read_text(encoding="utf-8"))
    return found


def _mixing(
    base: dict[str, Tensor], share: float, measure: Callable[[SentenceTransformer], dict[str, float]]
) -> Callable[[SentenceTransformer], dict[str, float]]:
    """`measure` of a model's weights mixed with the base's; the model has its own again afterwards."""

    def mixed(model: SentenceTransformer) -> dict[str, float]:
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(interpolated(base, own, share))
        found = measure(model)
        model.load_state_dict(own)
        return found

    return mixed if share < 1 else measure


def _mixed(
    model: SentenceTransformer,
    base: dict[str, Tensor],
    shares: Sequence[float],
    measure: Callable[[SentenceTransformer], dict[str, float]],
    known: Mapping[float, dict[str, float]],
) -> dict[float, dict[str, float]]:
    """Mix the model's weights with the base's by the share with the best score, the smallest of equal ones.

    Shares whose measures are `known` are not measured again.
    """
    tuned = {name: value.detach().clone() for name, value in model.state_dict().items()}
    found: dict[float, dict[str, float]] = {}
    for share in sorted(shares) if len(shares) > 1 else ():
        model.load_state_dict(interpolated(base, tuned, share))
        found[share] = known.get(share) or processes.shared(lambda: measure(model))
    best = max(found, key=lambda share: found[share]["score"], default=shares[0])
    model.load_state_dict(interpolated(base, tuned, best))
    return found


def interpolated(base: dict[str, Tensor], tuned: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """`base` moved towards `tuned` by `share`: 0 is the base, 1 the tuned weights."""
    return {name: torch.lerp(base[name], value, share) if value.is_floating_point() else value for name, value in tuned.items()}


def job_digest(recipe: Recipe, data: TrainingSet, model_digest: str, dev_digest: str) -> str:
    """The identity of a training job: recipe, processes, rows, base model, dev measure and code; none takes up another's checkpoints."""
    rows = hashlib.sha256(json.dumps([list(data.queries), data.passages.tolist(), data.weights.tolist()]).encode()).hexdigest()
    texts = hashlib.sha256("\0".join(data.texts).encode()).hexdigest()
    code = [
        hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
        for module in (
            encoding,
            attention,
            masks,
            losses,
            rowwise,
            objectives,
            adapters,
            memory,
            batches,
            judge,
            processes,
            sys.modules[__name__],
        )
    ]
    own = [asdict(recipe), asdict(data.masks.suspicion), processes.count()]
    whole = json.dumps([own, rows, texts, model_digest, dev_digest, code])
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def summary(data: TrainingSet, recipe: Recipe, found: Trained) -> dict[str, Any]:
    """What became of a training: recipe, rows, steps, and the dev measures before, at the best step and of each mixture."""
    measured = [point for point in found.points if "score" in point]
    best = max(measured, key=lambda point: (point["score"], point["step"]))
    return {
        "recipe": asdict(recipe.fitted_to(len(data.queries))),
        "rows": len(data.queries),
        "negatives_per_row": data.passages.shape[1] - 1,
        "steps": int(found.points[-1]["step"]),
        "best_step": int(best["step"]),
        "dev": {"base": measured[0].get("dev"), "best": best.get("dev")},
        "general_dev": {"base": measured[0].get("general_dev"), "best": best.get("general_dev")},
    } | ({"interpolation": {f"{share:g}": one for share, one in found.mixtures.items()}} if found.mixtures else {})
