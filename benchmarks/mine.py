"""Mining against `mine_hard_negatives`, end to end; or, with --size, made vectors of any number against time and memory.

The peer embeds queries and passages and searches; burnish reads the vectors that its store holds. Both take the best passage
among the first hundred that scores at most 0.95 of the positive. `equal` holds burnish's negatives against an exact search of
its own, by numpy in double precision: at least 99 of 100 queries must have the same.
"""

import resource
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import sides
from datasets import Dataset
from folders import Data, data
from numpy.typing import NDArray
from quality import ROOT, fetch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

from burnish import tables
from burnish.arrays import Vectors
from burnish.embedding import encoding, models, vectors
from burnish.errors import run
from burnish.training import mining
from burnish.training.mining import Rule

_TARGET = 5.0
_SAME = 0.99
_DIMENSIONS = 384
_MEMORY = 6 * 2**30  # bytes that a million passages and 100,000 queries may take
_CHECKED = 200  # of the queries with made vectors


def reference(
    queries: NDArray[np.float64], passages: NDArray[np.float64], answers: Sequence[frozenset[int]], rule: Rule
) -> list[int]:
    """The negative of each query by a full sort of all inner products, -1 where none passes; shares no code with mining."""
    found = []
    for query, own in zip(queries, answers, strict=True):
        scores = passages @ query
        lowest = min(scores[one] for one in own)
        first = [one for one in np.argsort(-scores, kind="stable")[: rule.last_rank] if one not in own]
        found.append(next((int(one) for one in first if scores[one] <= rule.max_share * lowest), -1))
    return found


def subset(given: Data, count: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Training queries, passages and judgments: every answer and further passages, up to `count`, by hash."""
    queries = given.of("train", "dev")
    qrels = given.qrels.filter(pl.col("query_id").is_in(queries["query_id"].to_list()), pl.col("grade") > 0)
    answers = given.passages.filter(pl.col("passage_id").is_in(qrels["target_id"].to_list()))
    others = given.passages.join(answers, on="passage_id", how="anti")
    drawn = sides.sample(others["passage_id"].to_list(), max(0, count - answers.height))
    return queries, pl.concat([answers, others[drawn]]).unique("text").sort("passage_id"), qrels


def row(model: SentenceTransformer, folder: Path, count: int, rule: Rule, turns: int, clock: str) -> dict[str, Any]:
    """The comparison on one folder."""
    given = data(folder)
    queries, passages, qrels = subset(given, count)
    qrels = qrels.filter(pl.col("target_id").is_in(passages["passage_id"].to_list()))
    queries = queries.filter(pl.col("query_id").is_in(qrels["query_id"].to_list()))
    texts, ids = tables.embedded_text(passages), passages["passage_id"].to_list()
    text = dict(zip(ids, texts, strict=True))
    pairs = queries.join(qrels.select("query_id", "target_id"), on="query_id", maintain_order="left")
    dataset = Dataset.from_dict({"query": pairs["text"].to_list(), "positive": [text[one] for one in pairs["target_id"]]})
    bf16 = encoding.bf16_is_faster(model.device)
    asked = encoding.encoder(model, "query", bf16=bf16)(queries["text"].to_list())
    stored = encoding.encoder(model, "passage", bf16=bf16)(texts)

    def peer() -> Dataset:
        return mine_hard_negatives(
            dataset,
            model,
            corpus=texts,
            range_max=rule.last_rank,
            relative_margin=1 - rule.max_share,
            num_negatives=1,
            verbose=False,
        )

    with tempfile.TemporaryDirectory() as temporary:
        files = Path(temporary) / "queries.parquet", Path(temporary) / "passages.parquet"
        vectors.write(files[0], queries["query_id"].to_list(), asked)
        vectors.write(files[1], ids, stored)

        def ours() -> pl.DataFrame:
            read = vectors.read(files[0], queries["query_id"].to_list()), vectors.read(files[1], ids)
            return mining.from_tables(queries, passages, qrels, query_vectors=read[0], passage_vectors=read[1], rule=rule).rows

        times = sides.by_turns(peer, ours, turns=turns, clock=clock)
        place = {one: at for at, one in enumerate(ids)}
        own = dict(qrels.group_by("query_id").agg("target_id").iter_rows())
        answers = [frozenset(place[one] for one in own[query]) for query in queries["query_id"]]
        expected = reference(asked.astype(float), stored.astype(float), answers, rule)
        mined = {query: place[one] for query, one in ours().select("query_id", "passage_id").iter_rows()}
    found = [mined.get(query, -1) for query in queries["query_id"]]
    same = float(np.mean(np.array(found) == np.array(expected)))
    more = {"same_as_exact": round(same, 4), "queries": len(found), "passages": len(ids), "search": rule.search}
    return sides.line("mine", "mine_hard_negatives", folder.resolve().name, _TARGET, times=times, equal=same >= _SAME, **more)


def made(count: int, seed: int) -> Vectors:
    """Random vectors of unit length, shape (count, 384)."""
    found = np.random.default_rng(seed).standard_normal((count, _DIMENSIONS), dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def sized(passages: int, queries: int, rule: Rule, clock: str) -> dict[str, Any]:
    """Mining over made vectors; the ratio is 6 GiB over the peak memory of this process."""
    stored, asked = made(passages, 1), made(queries, 2)
    places = np.random.default_rng(3).integers(0, passages, queries)
    asked += stored[places]  # a query lies near its answer
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    answers = [frozenset({int(one)}) for one in places]
    names = [f"q{at}" for at in range(queries)], [f"p{at}" for at in range(passages)]
    result = []
    taken = sides.seconds(
        lambda: result.append(
            mining.hard_negatives(asked, stored, positives=answers, excluded=answers, judged={}, names=names, rule=rule)
        ),
        clock,
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    some = list(range(0, queries, max(1, queries // _CHECKED)))
    mined = dict(result[0].rows.select("query", "passage").iter_rows())
    expected = reference(asked[some].astype(float), stored.astype(float), [answers[one] for one in some], rule)
    same = float(np.mean([mined.get(one, -1) == other for one, other in zip(some, expected, strict=True)]))
    return {
        "work": "mine made vectors",
        "peer": "6 GiB of memory",
        "data": f"{passages} passages, {queries} queries",
        "target": 1.0,
        "ratio": round(_MEMORY / peak, 3),
        "equal": same >= _SAME,
        "same_as_exact": round(same, 4),
        "search": rule.search,
        "peak_gib": round(peak / 2**30, 3),
        "seconds": round(taken, 2),
    }


@click.command(help=__doc__)
@click.argument("folders", metavar="[DATA]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--model", help="A folder or `pypi:MODULE`.  [default: the params file's]")
@click.option("--passages", type=click.IntRange(min=1), default=1500, show_default=True, help="Passages of each folder.")
@click.option("--size", type=click.IntRange(min=200), help="So many made passages too.")
@click.option("--queries", type=click.IntRange(min=1), help="So many made queries.  [default: a tenth of --size]")
@click.option("--search", type=click.Choice(["exact", "approximate"]), default="exact", show_default=True)
@click.option("--turns", type=click.IntRange(min=1), default=1, show_default=True, help="Of which the median counts.")
@sides.threads_option
@sides.clock_option
def main(folders: Sequence[Path], model: str | None, passages: int, size: int | None, queries: int | None, search: str, turns: int, threads: int | None, clock: str) -> None:  # fmt: skip
    """Print one row a folder, and one for made vectors."""
    sides.use_threads(threads)
    if not folders and not size:
        raise click.UsageError("name a folder of data, or a --size")
    params = ROOT / "params.yaml"
    rule = Rule(1, first_rank=1, last_rank=100, pool=1, max_share=0.95, search=search)

    def rows() -> Iterator[dict[str, Any]]:
        if size:  # first: the peak is of the whole process
            yield sized(size, queries or size // 10, rule, clock)
        with tempfile.TemporaryDirectory() as temporary:
            fetch(params, model, Path(temporary) / "base")
            for folder in folders:
                yield row(models.load(Path(temporary) / "base"), folder, passages, rule, turns, clock)

    sides.report(rows())


if __name__ == "__main__":
    run(main)
