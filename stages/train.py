"""Fine-tune the base model on the training set and its negatives."""

import shlex
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import click
from pydantic import Field

from burnish import ahead, atomic, knobs, provenance, tables
from burnish.embedding import models, vectors
from burnish.embedding.teachers import Embedder, teacher
from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.tables import NEGATIVES, QRELS, QUERIES
from burnish.training import curve, devset, launch, objectives, parts, processes, rounds
from burnish.training.losses import Hardness
from burnish.training.masks import Suspicion
from burnish.training.mining import Rule
from burnish.training.negatives import relevance
from burnish.training.rounds import Material, Miner
from burnish.training.trainer import Narrowing, Recipe


class LaunchKnobs(Knobs):
    """How many processes train together, and where the machines meet."""

    processes: Annotated[int, Field(ge=1, le=64)]
    machines: Annotated[int, Field(ge=1, le=1024)]
    port: Annotated[int, Field(ge=1024, le=65535)]


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
    launch: LaunchKnobs
    learning_rate: Annotated[float, Field(gt=0, le=0.1)]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    scale: Annotated[float, Field(gt=0, le=1000)]
    widths: Annotated[list[Annotated[int, Field(ge=8)]], Field(min_length=1)]
    narrow_by: Narrowing
    width_power: Annotated[float, Field(ge=0, le=4)]
    max_tokens: Annotated[int, Field(ge=16)]
    false_negative_threshold: Annotated[float, Field(gt=0)]
    false_negative_likeness: Annotated[float, Field(ge=-1, le=1)]
    interpolation: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]
    evaluations: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    dev_pool: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]

    def recipe(self) -> Recipe:
        """The recipe that these knobs state, so far with the base as guide and without a teacher.

        Raises:
            InputError: knobs that do not fit together.
        """
        objectives.check(
            self.loss,
            teacher=self.teacher,
            guide=self.guide,
            hardness=self.hardness,
            hardness_strength=self.hardness_strength,
        )
        own = self.model_dump(include=set(Recipe.__dataclass_fields__) - {"guide", "teacher"})
        return Recipe(**own | {"widths": tuple(self.widths), "interpolation": tuple(self.interpolation)})

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
@click.option("--machine", type=click.IntRange(min=0), default=0, help="Number of this machine, where several train together.")
@click.option("--meet", default="localhost", help="Name or address of machine 0, for the others.")
def main(params: Path, model: Path, corpus: Path, documents: Path, general: Path, rows: Path, negatives: Path, passage_vectors: Path, general_vectors: Path, store: Path, checkpoints: Path, out: Path, curves: Path, machine: int, meet: str) -> None:  # fmt: skip
    """Training set, negatives, base -> tuned model, learning curve."""
    chosen = knobs.section(params, "train", TrainKnobs)
    recipe = chosen.recipe()
    code = provenance.digest(Path(__file__))  # now: an edit during a long training is not what trained
    if chosen.launch.processes * chosen.launch.machines > 1 and not launch.launched():
        start(chosen, machine, meet, checkpoints)
        return
    launch.join()
    base = models.load(model)
    objectives.check_widths(recipe.widths, base)
    ahead.check(params, base.get_embedding_dimension() or 0)
    guide = Embedder.at(models.located(chosen.guide, "train.guide"), store) if chosen.guide != "base" else None
    taught = teacher(models.located(chosen.teacher, "train.teacher"), store, "train.teacher") if chosen.teacher else None
    recipe = replace(recipe, guide=guide.digest if guide else "base", teacher=taught.digest if taught else "")
    queries = tables.read(QUERIES, rows / "queries.parquet")
    qrels = tables.read(QRELS, rows / "qrels.parquet")
    read = parts.read(queries, documents, domain=(corpus, passage_vectors), general=(general, general_vectors))
    mined = tables.read(NEGATIVES, negatives / "negatives.parquet")
    rule = Rule.read(negatives / "rule.json")
    known = vectors.by_id(rows / "vectors.parquet", queries["query_id"].to_list())
    domain_dev, general_dev = (
        devset.dev_set(part.queries, qrels, part.passages, part.vectors, known, per_query=chosen.dev_pool)
        for part in read.values()
    )
    material = Material(model, read, qrels, known, (domain_dev, general_dev), chosen.suspicion(), guide, taught)
    found = rounds.trained(
        material,
        mined,
        recipe,
        rounds=chosen.rounds,
        miner=Miner(rule, relevance(rule, store), store),
        checkpoints=checkpoints,
    )
    if not processes.first():
        return
    with atomic.folder(curves) as made:
        curve.write_curve(made / "learning_curve.csv", found.points)
        atomic.write_json(made / "counts.json", found.summary)
    with atomic.folder(out) as made:
        models.save(found.model, made)
        atomic.write_text(made / provenance.RECORD, f"{code}\n")
    found.clean()
    click.echo(f"train: {found.summary['rows']} rows, {found.summary['steps']} steps; dev nDCG@10 {found.summary['dev']}")


def start(chosen: TrainKnobs, machine: int, meet: str, checkpoints: Path) -> None:
    """Run this script again, with the same flags, in as many processes as the knobs say."""
    together = chosen.launch
    if machine >= together.machines:
        raise InputError(
            f"--machine {machine}: train.launch.machines is {together.machines}, so the last one is {together.machines - 1}"
        )
    if together.processes * together.machines > chosen.batch_size:
        raise InputError(
            f"train.launch: {together.processes * together.machines} processes, more than the {chosen.batch_size} rows of a batch "
            "(train.batch_size); each needs some"
        )
    if machine == 0 and together.machines > 1:
        flags = shlex.join([*sys.argv, "--meet", socket.gethostname(), "--machine"])
        click.echo(f"train: waits for the other machines; on each, in this folder, number N from 1:\n  python {flags} N")
    launch.start(
        [__file__, *sys.argv[1:]],
        processes=together.processes,
        machines=together.machines,
        machine=machine,
        address=f"{meet}:{together.port}",
        logs=checkpoints / f"machine-{machine}",
    )


if __name__ == "__main__":
    launch.run(main)
