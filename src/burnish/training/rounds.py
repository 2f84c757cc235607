"""Training in rounds: each after the first mines its negatives with the model that the one before it made."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from sentence_transformers import SentenceTransformer

from burnish import atomic, tables
from burnish.arrays import Vectors
from burnish.embedding import models
from burnish.embedding.teachers import Embedder, Teacher
from burnish.training import guidance, negatives, objectives, processes, rotation, trainer
from burnish.training.devset import DevMeasure, DevSet
from burnish.training.masks import Suspicion
from burnish.training.mining import Rule, TextRelevance
from burnish.training.parts import Part
from burnish.training.rows import TrainingSet, training_set
from burnish.training.trainer import Recipe


@dataclass(frozen=True)
class Material:
    """What every round trains on and is measured by.

    Attributes:
        base: folder of the base model, from which each round starts.
        parts: domain and general set, with the base's vectors.
        qrels: all judgments.
        query_vectors: the base's by query id, each of shape (dimensions,).
        dev: dev sets of domain and general set; None where there is none.
        suspicion: when an in-batch passage is taken for an answer.
        guide: whose scores mask; None: the base's.
        teacher: whose scores are learnt; None: nobody's.
    """

    base: Path
    parts: Mapping[str, Part]
    qrels: pl.DataFrame
    query_vectors: Mapping[str, Vectors]
    dev: tuple[DevSet | None, DevSet | None]
    suspicion: Suspicion
    guide: Embedder | None
    teacher: Teacher | None

    def rows(self, mined: pl.DataFrame, recipe: Recipe) -> TrainingSet:
        """The rows of a round with these negatives."""
        data = training_set(
            list(self.parts.values()), self.qrels, mined, self.query_vectors, suspicion=self.suspicion, seed=recipe.seed
        )
        objectives.check_negatives(recipe.loss, recipe.hardness, data.masks.negatives())
        data = guidance.guided(data, self.guide) if self.guide else data
        return guidance.taught(data, self.teacher, recipe.teacher_scale) if self.teacher else data


@dataclass(frozen=True)
class Miner:
    """How the negatives of later rounds are mined.

    Attributes:
        rule: the one that the first round's were mined by.
        relevance: of the denoising model; None without.
        store: folder of the vector store, where a killed run finds the vectors that it had.
    """

    rule: Rule
    relevance: TextRelevance | None
    store: Path

    def negatives(self, material: Material, model: SentenceTransformer, folder: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
        """The negatives that `model`, saved into `folder`, finds, and their counts."""
        with atomic.folder(folder) as made:
            models.save(model, made)
        embedder = Embedder(model, models.digest(folder), self.store)
        parts = {
            name: replace(part, vectors=embedder.vectors("passage", tables.embedded_text(part.passages)))
            for name, part in material.parts.items()
        }
        asked = pl.concat([part.queries.select("query_id", "text") for part in parts.values()])
        found = dict(zip(asked["query_id"], embedder.vectors("query", asked["text"].to_list()), strict=True))
        return negatives.of_parts(parts, material.qrels, found, self.rule, self.relevance)


@dataclass(frozen=True)
class Outcome:
    """The tuned model, its last round's learning curve, what became of every round, and the checkpoints to remove."""

    model: SentenceTransformer
    points: list[dict[str, float]]
    summary: dict[str, Any]
    checkpoints: list[Path]

    def clean(self) -> None:
        """Remove the checkpoints, once the outcome is written: its outputs say all that a later run needs."""
        for folder in self.checkpoints:
            shutil.rmtree(folder)


def trained(
    material: Material, mined: pl.DataFrame, recipe: Recipe, *, rounds: int, miner: Miner, checkpoints: Path
) -> Outcome:
    """Train from the base once a round, with the negatives that the round before it found.

    A killed run goes on from its last checkpoint; rounds that had ended are taken from theirs, not trained again. Of several
    processes the first alone turns its model for narrow widths, and writes it.

    Args:
        material: what is trained on.
        mined: the first round's negatives.
        recipe: how.
        rounds: how many.
        miner: of the later rounds' negatives.
        checkpoints: folder for those of all jobs.
    """
    jobs: list[Path] = []
    told: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    measure = DevMeasure(*material.dev)
    for number in range(1, rounds + 1):
        data = material.rows(mined, recipe)
        model = models.load(material.base)
        job = checkpoints / trainer.job_digest(recipe, data, models.digest(material.base), _digest(material.dev))
        found = trainer.trained(model, data, recipe, before=measure.base(), measure=measure, checkpoints=job)
        summary = trainer.summary(data, recipe, found)
        told[str(number)] = {name: summary[name] for name in ("rows", "steps", "best_step", "dev", "general_dev")}
        told[str(number)] |= {"negatives": counts} if counts else {}
        jobs.append(job)
        if number < rounds:
            mined, counts = processes.shared(partial(miner.negatives, material, model, job / "tuned"))
    if narrow := recipe.turned_for(model.get_embedding_dimension() or 0):
        if processes.first():
            summary["turn"] = _turned(model, material.parts["domain"], narrow, recipe.seed)
        processes.wait()
    return Outcome(model, found.points, summary | ({"rounds": told} if rounds > 1 else {}), list(dict.fromkeys(jobs)))


def _turned(model: SentenceTransformer, domain: Part, widths: Sequence[int], seed: int) -> dict[str, float]:
    """Turn the model's vectors for `widths`, by the domain's passages and training queries."""
    asked = domain.queries.filter(pl.col("split") == "train")["text"].to_list()
    return rotation.turn(model, tables.embedded_text(domain.passages), asked, widths=widths, seed=seed)


def _digest(dev: Sequence[DevSet | None]) -> str:
    return "".join(part.digest() if part else "-" for part in dev)
