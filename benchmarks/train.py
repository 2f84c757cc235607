"""Training against sentence-transformers' trainer: the same pairs, mined negatives, batches, rate and loss; nDCG@10 beside it.

Two rows a folder. `same precision`: the trainer in the precision and at the length of text that burnish uses. `defaults`: as
it comes, fp32 and the model's own length. Dropout is as each side has it: on in the trainer, off in burnish. Seconds are those of
training alone, checkpoints included; equal means that burnish's nDCG@10 is not below the peer's beyond a 95 % interval.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import sides
import torch
from folders import Data, data
from numpy.typing import NDArray
from quality import ROOT, Settings, fetch, judged, settings, vectors
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

from burnish import tables
from burnish.embedding import encoding, models
from burnish.errors import run
from burnish.evaluation import measures
from burnish.training import mining, trainer
from burnish.training.parts import Part
from burnish.training.rows import TrainingSet, training_set
from burnish.training.trainer import Recipe

_SHORT, _LONG = {"same precision": 2.0, "defaults": 5.0}, {"same precision": 1.2, "defaults": 2.5}
_SHORT_TOKENS = 128  # mean of a passage up to which passages count as short


@dataclass(frozen=True)
class Job:
    """What both sides train on, and what they are judged by."""

    given: Data  # a part of the folder: every test answer and every trained passage among its passages
    rows: TrainingSet
    recipe: Recipe
    targets: dict[str, float]
    clock: str


def part(given: Data, *, pairs: int, tests: int, passages: int) -> Data:
    """Some training and test queries of a folder, with their answers and further passages; all drawn by hash.

    Training queries are drawn by their answers, so that as many share a passage as do in the whole folder.
    """
    answers = given.qrels.filter(pl.col("grade") > 0).sort("query_id", "target_id")
    train, test = given.of("train", "dev"), given.of("test")
    of = answers.join(train.select("query_id"), on="query_id", how="semi").unique("query_id", keep="first").sort("target_id")
    drawn = of["target_id"].unique(maintain_order=True)
    order = pl.DataFrame({"target_id": drawn[sides.order(drawn.to_list())]})
    first = order.join(of, on="target_id", maintain_order="left")["query_id"].head(pairs).to_list()
    chosen = [train.filter(pl.col("query_id").is_in(first)), test[sides.sample(test["query_id"].to_list(), tests)]]
    asked = pl.concat(chosen).with_columns(pl.col("split").replace("dev", "train"))
    qrels = answers.filter(pl.col("query_id").is_in(asked["query_id"].to_list()))
    needed = given.passages.filter(pl.col("passage_id").is_in(qrels["target_id"].to_list()))
    others = given.passages.join(needed, on="passage_id", how="anti")
    rest = sides.sample(others["passage_id"].to_list(), max(0, passages - needed.height))
    return Data(given.name, pl.concat([needed, others[rest]]).sort("passage_id"), asked, qrels)


def job(folder: Path, given: Data, chosen: Settings, clock: str) -> Job:
    """The rows to train on, with negatives mined by the base model, and one pass over them in burnish's batches for so few pairs."""
    model = models.load(folder)
    train = given.of("train")
    asked, stored = vectors(model, train, given.passages)
    mined = mining.from_tables(
        train, given.passages, given.qrels, query_vectors=asked, passage_vectors=stored, rule=chosen.rule(train, given.qrels)
    )
    known = dict(zip(train["query_id"], asked, strict=True))
    recipe = replace(chosen.recipe.fitted_to(train.height), epochs=1, min_steps=0, evaluations=1, interpolation=(1.0,))
    rows = training_set(
        [Part(train, given.passages, stored)], given.qrels, mined.rows, known, suspicion=chosen.suspicion, seed=recipe.seed
    )
    lengths = [len(ids) for ids in model.tokenizer(tables.embedded_text(given.passages))["input_ids"]]
    return Job(given, rows, recipe, _SHORT if np.mean(lengths) <= _SHORT_TOKENS else _LONG, clock)


def ours(folder: Path, work: Job) -> tuple[SentenceTransformer, float]:
    """The model that burnish trains, and the seconds."""
    model = models.load(folder)
    with tempfile.TemporaryDirectory() as out:
        start = sides.CLOCKS[work.clock]()
        found = trainer.trained(
            model, work.rows, work.recipe, before={"score": 0.0}, measure=lambda _: {"score": 1.0}, checkpoints=Path(out)
        )
        taken = sides.CLOCKS[work.clock]() - start
    assert found.points[-1]["step"] > 0
    return model, taken


def peers(folder: Path, work: Job, *, defaults: bool) -> tuple[SentenceTransformer, float]:
    """The model that the trainer trains, and the seconds."""
    torch.use_deterministic_algorithms(mode=False)  # burnish's training turned it on, and it costs time
    model, recipe = models.load(folder), work.recipe
    if not defaults:
        model.max_seq_length = min(recipe.max_tokens, model.max_seq_length or recipe.max_tokens)
    columns = work.rows.dataset().remove_columns("label")
    prompts = {name: encoding.prompt(model, "query" if name == "query" else "passage") for name in columns.column_names}
    inner = MultipleNegativesRankingLoss(model, scale=recipe.scale)
    with tempfile.TemporaryDirectory() as out:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=out,
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            warmup_ratio=recipe.warmup_share,
            bf16=not defaults and encoding.bf16_is_faster(model.device),
            use_cpu=model.device.type == "cpu",
            prompts={name: before for name, before in prompts.items() if before},
            seed=recipe.seed,
            save_strategy="no",
            report_to="none",
        )
        start = sides.CLOCKS[work.clock]()
        side = SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=columns,
            loss=MatryoshkaLoss(model, inner, matryoshka_dims=list(recipe.trained_for(model.get_embedding_dimension() or 0))),
        )
        side.train()
        return model, sides.CLOCKS[work.clock]() - start


def values(model: SentenceTransformer, given: Data) -> NDArray[np.float64]:
    """nDCG@10 of each test query over the part's passages."""
    return judged(given, *vectors(model, given.of("test"), given.passages))


def rows(folder: Path, work: Job) -> Iterator[dict[str, Any]]:
    """One row for each of the trainer's two settings; where they are one and the same, it is timed once."""
    model, taken = ours(folder, work)
    own = values(model, work.given)
    pairs = len(work.rows.queries)
    known: dict[tuple[bool, int], tuple[NDArray[np.float64], float]] = {}
    for setting, target in work.targets.items():
        defaults = setting == "defaults"
        bf16 = not defaults and encoding.bf16_is_faster(model.device)
        longest = model.max_seq_length or work.recipe.max_tokens
        length = longest if defaults else min(work.recipe.max_tokens, longest)
        if (bf16, length) not in known:
            peer, seconds = peers(folder, work, defaults=defaults)
            known[bf16, length] = values(peer, work.given), seconds
        theirs, seconds = known[bf16, length]
        apart = measures.difference(own, theirs)
        yield sides.line(
            "train",
            f"SentenceTransformerTrainer, {setting}",
            work.given.name,
            target,
            times=(seconds, taken),
            equal=apart.high >= 0,
            pairs_per_second=round(pairs / taken, 2),
            ndcg=round(float(own.mean()), 4),
            peer_ndcg=round(float(theirs.mean()), 4),
            interval=[round(apart.low, 4), round(apart.high, 4)],
            pairs=pairs,
            test_queries=len(own),
            precision={"peer": "bfloat16" if bf16 else "float32", "ours": _precision(model)},
        )


def _precision(model: SentenceTransformer) -> str:
    return "bfloat16" if encoding.bf16_is_faster(model.device) else "float32"


def every(
    folder: Path, folders: Sequence[Path], chosen: Settings, size: dict[str, int], clock: str
) -> Iterator[dict[str, Any]]:
    """The rows of every folder."""
    for one in folders:
        yield from rows(folder, job(folder, part(data(one), **size), chosen, clock))


@click.command(help=__doc__)
@sides.data_argument
@click.option("--model", help="A folder or `pypi:MODULE`.  [default: the params file's]")
@click.option("--pairs", type=click.IntRange(min=2), default=256, show_default=True, help="Training queries of each folder.")
@click.option("--tests", type=click.IntRange(min=1), default=150, show_default=True, help="Test queries of each folder.")
@click.option("--passages", type=click.IntRange(min=1), default=700, show_default=True, help="Passages searched.")
@sides.threads_option
@sides.clock_option
def main(folders: Sequence[Path], model: str | None, pairs: int, tests: int, passages: int, threads: int | None, clock: str) -> None:  # fmt: skip
    """Print two rows a folder."""
    sides.use_threads(threads)
    params = ROOT / "params.yaml"
    size = {"pairs": pairs, "tests": tests, "passages": passages}
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        fetch(params, model, base)
        sides.report(every(base, folders, settings(params, seed=7), size, clock))


if __name__ == "__main__":
    run(main)
