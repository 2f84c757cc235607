"""Fine-tune the base model on the training set and its negatives."""

import shutil
from pathlib import Path
from typing import Annotated

import click
import polars as pl
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.embedding import models, vectors
from burnish.errors import InputError, run
from burnish.knobs import Knobs
from burnish.tables import NEGATIVES, PASSAGES, QRELS, QUERIES
from burnish.training import curve, devset, trainer
from burnish.training.devset import DevMeasure
from burnish.training.losses import LOSSES
from burnish.training.rows import Part, training_set
from burnish.training.trainer import Recipe


class TrainKnobs(Knobs):
    """The section `train` of params.yaml, where each knob is explained."""

    loss: Annotated[str, Field(pattern=f"^({'|'.join(LOSSES)})$")]
    epochs: Annotated[int, Field(ge=1, le=100)]
    min_steps: Annotated[int, Field(ge=0, le=100_000)]
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0, le=0.1)]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    scale: Annotated[float, Field(gt=0, le=1000)]
    widths: Annotated[list[Annotated[int, Field(ge=8)]], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=16)]
    false_negative_threshold: Annotated[float, Field(gt=0)]
    interpolation: Annotated[float, Field(ge=0, le=1)]
    evaluations: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    dev_pool: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `train` holds the knobs.")
@click.option("--model", type=click.Path(path_type=Path), required=True, help="Folder of the base model.")
@click.option("--passages", "corpus", type=click.Path(path_type=Path), required=True, help="The corpus's passages.")
@click.option("--general", type=click.Path(path_type=Path), required=True, help="The general set's passages.")
@click.option("--training", "rows", type=click.Path(path_type=Path), required=True, help="Folder of the training set.")
@click.option("--negatives", type=click.Path(path_type=Path), required=True, help="Folder of the negatives.")
@click.option(
    "--passage-vectors", type=click.Path(path_type=Path), required=True, help="The base model's vectors of the passages."
)
@click.option(
    "--general-vectors",
    type=click.Path(path_type=Path),
    required=True,
    help="The base model's vectors of the general passages.",
)
@click.option(
    "--checkpoints", type=click.Path(path_type=Path), required=True, help="Folder for checkpoints, which outlive a kill."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the tuned model.")
@click.option("--curves", type=click.Path(path_type=Path), required=True, help="Folder for the learning curve.")
def main(params: Path, model: Path, corpus: Path, general: Path, rows: Path, negatives: Path, passage_vectors: Path, general_vectors: Path, checkpoints: Path, out: Path, curves: Path) -> None:  # fmt: skip
    """Training set, negatives, base -> tuned model, learning curve."""
    chosen = knobs.section(params, "train", TrainKnobs)
    recipe = Recipe(**{**chosen.model_dump(include=set(Recipe.__dataclass_fields__)), "widths": tuple(chosen.widths)})
    loaded = models.load(model)
    if max(chosen.widths) > (full := loaded.get_embedding_dimension() or 0):
        raise InputError(f"train.widths: {max(chosen.widths)} is larger than the model's {full} dimensions; leave it out")
    queries = tables.read(QUERIES, rows / "queries.parquet")
    qrels = tables.read(QRELS, rows / "qrels.parquet")
    found = tables.read(NEGATIVES, negatives / "negatives.parquet")
    parts = []
    is_general = pl.col("origin") == "general"
    for source, embedded, own in (
        (corpus, passage_vectors, queries.filter(~is_general)),
        (general, general_vectors, queries.filter(is_general)),
    ):
        passages = tables.read(PASSAGES, source)
        parts.append(Part(own, passages, vectors.read(embedded, passages["passage_id"].to_list())))
    ids = queries["query_id"].to_list()
    known = dict(zip(ids, vectors.read(rows / "vectors.parquet", ids), strict=True))
    data = training_set(parts, qrels, found, known, threshold=chosen.false_negative_threshold, seed=chosen.seed)
    dev = [devset.dev_set(part.queries, qrels, part.passages, part.vectors, known, per_query=chosen.dev_pool) for part in parts]
    measured_by = "".join(part.digest() if part else "-" for part in dev)
    job = checkpoints / trainer.job_digest(recipe, data, models.digest(model), measured_by)
    measure = DevMeasure(*dev)
    points = trainer.trained(loaded, data, recipe, before=measure.base(), measure=measure, checkpoints=job)
    summary = trainer.summary(data, recipe, points)
    with atomic.folder(curves) as made:
        curve.write_curve(made / "learning_curve.csv", points)
        atomic.write_json(made / "counts.json", summary)
    with atomic.folder(out) as made:
        models.save(loaded, made)
    shutil.rmtree(job)  # finished: its outputs say all that a later run needs
    click.echo(f"train: {summary['rows']} rows, {summary['steps']} steps; dev nDCG@10 {summary['dev']}")


if __name__ == "__main__":
    run(main)
