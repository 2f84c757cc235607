"""Fine-tune the base model on the training set and its negatives."""

from pathlib import Path
from typing import Annotated

import click
import polars as pl
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.embedding import models, vectors
from burnish.embedding.teachers import Embedder, teacher
from burnish.errors import InputError, run
from burnish.knobs import Knobs
from burnish.search.retrieval import passage_languages
from burnish.tables import DOCUMENTS, NEGATIVES, PASSAGES, QRELS, QUERIES
from burnish.training import curve, devset, objectives, rounds
from burnish.training.losses import Hardness
from burnish.training.masks import Suspicion
from burnish.training.mining import Rule
from burnish.training.parts import Part
from burnish.training.rounds import Material, Miner
from burnish.training.trainer import Recipe


class TrainKnobs(Knobs):
    """The section `train` of params.yaml, where each knob is explained."""

    loss: Annotated[str, Field(pattern=f"^({'|'.join(objectives.LOSSES)})$")]
    guide: Annotated[str, Field(min_length=1)]
    teacher: str
    teacher_scale: Annotated[float, Field(gt=0, le=1000)]
    margin: Annotated[float, Field(gt=0, le=2)]
    hardness: Hardness
    hardness_strength: Annotated[float, Field(ge=0, le=100)]
    rounds: Annotated[int, Field(ge=1, le=10)]
    lora_rank: Annotated[int, Field(ge=0, le=1024)]
    epochs: Annotated[int, Field(ge=1, le=100)]
    min_steps: Annotated[int, Field(ge=0, le=100_000)]
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0, le=0.1)]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    scale: Annotated[float, Field(gt=0, le=1000)]
    widths: Annotated[list[Annotated[int, Field(ge=8)]], Field(min_length=1)]
    width_power: Annotated[float, Field(ge=0, le=4)]
    max_tokens: Annotated[int, Field(ge=16)]
    false_negative_threshold: Annotated[float, Field(gt=0)]
    false_negative_likeness: Annotated[float, Field(ge=-1, le=1)]
    interpolation: Annotated[float, Field(ge=0, le=1)]
    evaluations: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    dev_pool: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]

    def suspicion(self) -> Suspicion:
        """When an in-batch passage is taken for an answer."""
        return Suspicion(self.false_negative_threshold, self.false_negative_likeness)


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `train` holds the knobs.")
@click.option("--model", type=click.Path(path_type=Path), required=True, help="Folder of the base model.")
@click.option("--passages", "corpus", type=click.Path(path_type=Path), required=True, help="The corpus's passages.")
@click.option("--documents", type=click.Path(path_type=Path), required=True, help="The corpus's documents.")
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
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Folder of the vector store.")
@click.option(
    "--checkpoints", type=click.Path(path_type=Path), required=True, help="Folder for checkpoints, which outlive a kill."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the tuned model.")
@click.option("--curves", type=click.Path(path_type=Path), required=True, help="Folder for the learning curve.")
def main(params: Path, model: Path, corpus: Path, documents: Path, general: Path, rows: Path, negatives: Path, passage_vectors: Path, general_vectors: Path, store: Path, checkpoints: Path, out: Path, curves: Path) -> None:  # fmt: skip
    """Training set, negatives, base -> tuned model, learning curve."""
    chosen = knobs.section(params, "train", TrainKnobs)
    objectives.check(
        chosen.loss,
        teacher=chosen.teacher,
        guide=chosen.guide,
        hardness=chosen.hardness,
        hardness_strength=chosen.hardness_strength,
    )
    if max(chosen.widths) > (full := models.load(model).get_embedding_dimension() or 0):
        raise InputError(f"train.widths: {max(chosen.widths)} is larger than the model's {full} dimensions; leave it out")
    guide = Embedder.at(models.located(chosen.guide, "train.guide"), store) if chosen.guide != "base" else None
    taught = teacher(models.located(chosen.teacher, "train.teacher"), store, "train.teacher") if chosen.teacher else None
    recipe = Recipe(
        **chosen.model_dump(include=set(Recipe.__dataclass_fields__))
        | {
            "widths": tuple(chosen.widths),
            "guide": guide.digest if guide else "base",
            "teacher": taught.digest if taught else "",
        }
    )
    queries = tables.read(QUERIES, rows / "queries.parquet")
    qrels = tables.read(QRELS, rows / "qrels.parquet")
    mined = tables.read(NEGATIVES, negatives / "negatives.parquet")
    rule = Rule.read(negatives / "rule.json")
    named = tables.read(DOCUMENTS, documents)
    parts = {}
    is_general = pl.col("origin") == "general"
    for name, source, embedded, own in (
        ("domain", corpus, passage_vectors, queries.filter(~is_general)),
        ("general", general, general_vectors, queries.filter(is_general)),
    ):
        passages = tables.read(PASSAGES, source)
        languages = passage_languages(passages, named, own["language"].mode().sort()[0]) if own.height else ()
        parts[name] = Part(own, passages, vectors.read(embedded, passages["passage_id"].to_list()), languages)
    ids = queries["query_id"].to_list()
    known = dict(zip(ids, vectors.read(rows / "vectors.parquet", ids), strict=True))
    domain_dev, general_dev = (
        devset.dev_set(part.queries, qrels, part.passages, part.vectors, known, per_query=chosen.dev_pool)
        for part in parts.values()
    )
    judge = teacher(models.located(rule.denoise, "mine.denoise"), store, "mine.denoise") if rule.denoise else None
    material = Material(model, parts, qrels, known, (domain_dev, general_dev), chosen.suspicion(), guide, taught)
    found = rounds.trained(
        material,
        mined,
        recipe,
        rounds=chosen.rounds,
        miner=Miner(rule, judge.relevance if judge else None, store),
        checkpoints=checkpoints,
    )
    with atomic.folder(curves) as made:
        curve.write_curve(made / "learning_curve.csv", found.points)
        atomic.write_json(made / "counts.json", found.summary)
    with atomic.folder(out) as made:
        models.save(found.model, made)
    found.clean()
    click.echo(f"train: {found.summary['rows']} rows, {found.summary['steps']} steps; dev nDCG@10 {found.summary['dev']}")


if __name__ == "__main__":
    run(main)
