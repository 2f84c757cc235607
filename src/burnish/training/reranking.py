"""Training a reranker: sentence-transformers' cross-encoder trainer over labelled pairs."""

import hashlib
import json
import math
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from datasets import Dataset
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.util import batch_to_device
from torch import Tensor

from burnish import atomic
from burnish.embedding import encoding
from burnish.errors import InputError
from burnish.search import reranker
from burnish.training import resuming

_CHUNK = 8  # pairs of one forward pass on a CPU: of like length, they are hardly padded
_CHECKPOINTS = 4  # of one training: what a kill can cost is a quarter of it
_PREFIX = "reranker-"  # of the folders of all jobs
_TRAINED = "trained"  # folder of the model, once a training has come to its end


@dataclass(frozen=True)
class Recipe:
    """How to train; each field is a knob that params.yaml explains."""

    epochs: int
    max_steps: int
    batch_size: int
    learning_rate: float
    warmup_share: float
    max_tokens: int
    seed: int

    def steps(self, pairs: int) -> int:
        """How many steps so many pairs make."""
        whole = self.epochs * math.ceil(pairs / self.batch_size)
        return min(whole, self.max_steps) if self.max_steps else whole


class WeightedPairs(BinaryCrossEntropyLoss):
    """sentence-transformers' loss for mined pairs, where each pair counts by its weight, the amount of its label.

    It is the loss of their training script for mined negatives, which weights answers by the negatives of each (pos_weight),
    so that a model which calls everything irrelevant gains nothing. It needs no list of equal length, as queries with few
    negatives have none, and its logit is a probability's, which a threshold can cut; their LambdaLoss takes no weights.
    Pairs are computed in length order, a few at a time: random batches pad most of what they compute.
    """

    def __init__(self, model: CrossEncoder, pos_weight: float) -> None:
        super().__init__(model, pos_weight=torch.tensor(pos_weight, device=model.device), reduction="none")

    def forward(self, inputs: list[list[str]], labels: Tensor, prompt: str | None = None, task: str | None = None) -> Tensor:
        """The weighted mean of the pairs' losses.

        Args:
            inputs: queries and passages, each of shape (pairs,).
            labels: the weight of each pair, negative for a negative, shape (pairs,).
            prompt: of the model.
            task: of the model.
        """
        pairs = list(zip(*inputs, strict=True))
        ordered = sorted(range(len(pairs)), key=lambda at: -len(pairs[at][0]) - len(pairs[at][1]))
        size = _CHUNK if self.model.device.type == "cpu" else len(pairs)
        found = []
        for start in range(0, len(pairs), size):
            tokens = self.model.preprocess([pairs[at] for at in ordered[start : start + size]], prompt=prompt, task=task)
            found.append(self.model(batch_to_device(tokens, self.model.device))["scores"].view(-1))
        signed = labels[ordered].float().to(self.model.device)
        losses = self.bce_with_logits_loss(torch.cat(found).float(), (signed > 0).float())
        mean: Tensor = (losses * signed.abs()).sum() / signed.abs().sum()
        return mean


def trained(start: Path, pairs: pl.DataFrame, recipe: Recipe, *, what: str, checkpoints: Path) -> CrossEncoder:
    """A cross-encoder that has learnt `pairs`, from the model in `start`; a killed training goes on from its last checkpoint.

    Dropout is off, as in the embedding model's training and for its reasons.

    Args:
        start: folder of a cross-encoder, or of an encoder, which gets a new head.
        pairs: as `pairs.labelled` gives them.
        recipe: how.
        what: what named `start`, for messages.
        checkpoints: a folder of this very job (see `job_digest`).
    """
    if (checkpoints / _TRAINED).is_dir():
        return reranker.load(checkpoints / _TRAINED, what)
    model = reranker.load(start, what, max_tokens=recipe.max_tokens, seed=recipe.seed)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    torch.use_deterministic_algorithms(mode=True, warn_only=model.device.type != "cpu")
    checkpoints.mkdir(parents=True, exist_ok=True)
    answers = pairs.filter(pl.col("label") > 0).height
    CrossEncoderTrainer(
        model=model,
        args=_arguments(model, recipe, pairs.height, checkpoints),
        train_dataset=Dataset.from_dict(pairs.to_dict(as_series=False)),
        loss=WeightedPairs(model, max(1.0, (pairs.height - answers) / answers)),
    ).train(resume_from_checkpoint=resuming.last_whole_checkpoint(checkpoints))
    with atomic.folder(checkpoints / _TRAINED) as made:
        model.save_pretrained(str(made), create_model_card=False)
    return model


def _arguments(model: CrossEncoder, recipe: Recipe, pairs: int, checkpoints: Path) -> CrossEncoderTrainingArguments:
    bf16, on_gpu = encoding.bf16_is_faster(model.device), model.device.type == "cuda"
    steps = recipe.steps(pairs)
    return CrossEncoderTrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=recipe.epochs,
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup_share * steps),
        bf16=bf16,
        fp16=on_gpu and not bf16,
        use_cpu=model.device.type == "cpu",
        eval_strategy="no",
        save_strategy="steps",
        save_steps=max(1, math.ceil(steps / _CHECKPOINTS)),
        save_total_limit=1,
        logging_strategy="no",
        seed=recipe.seed,
        report_to="none",
        disable_tqdm=None,
        dataloader_pin_memory=on_gpu,
    )


def job_digest(recipe: Recipe, pairs: pl.DataFrame, start_digest: str) -> str:
    """The identity of a training: recipe, pairs, the model it starts from and code; none takes up another's checkpoints."""
    rows = hashlib.sha256(pairs.write_ndjson().encode()).hexdigest()
    code = [
        hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
        for module in (encoding, reranker, sys.modules[__name__])
    ]
    whole = json.dumps([asdict(recipe), rows, start_digest, code])
    return f"{_PREFIX}{hashlib.sha256(whole.encode()).hexdigest()[:32]}"


def check(pairs: pl.DataFrame) -> None:
    """Refuse pairs that nothing can be learnt from.

    Raises:
        InputError: answers or negatives are lacking.
    """
    answers = pairs.filter(pl.col("label") > 0).height
    if not answers or answers == pairs.height:
        raise InputError(
            f"rerank.base: a reranker learns answers and negatives, found {answers} and {pairs.height - answers}; raise "
            'mine.max_share or mine.last_rank, or set rerank.base to "" for no reranker'
        )


def clean(job: Path) -> None:
    """Remove the checkpoints of all rerankers; keep this job's model.

    A search that changed, or one more test query, then asks for no training.
    """
    for other in job.parent.glob(f"{_PREFIX}*"):
        if other != job:
            shutil.rmtree(other)
    for checkpoint in job.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def summary(recipe: Recipe, pairs: pl.DataFrame) -> dict[str, Any]:
    """What was trained on."""
    answers = pairs.filter(pl.col("label") > 0).height
    return {
        "recipe": asdict(recipe) | {"learning_rate": f"{recipe.learning_rate:g}"},  # rounded to four digits it may be 0
        "pairs": pairs.height,
        "answers": answers,
        "negatives": pairs.height - answers,
        "steps": recipe.steps(pairs.height),
    }
