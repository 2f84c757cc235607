"""Scoring against `InformationRetrievalEvaluator`, on the same vectors: figures within 1e-6 of its own.

Two rows a folder. `score`: from what the search found to the figures of every query, the evaluator's time less its matrix product
and its choice of the hundred best. `search and score`: from the vectors, where the product itself, which both need, is a large
part. Judgments are made binary, since the evaluator knows no others.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import polars as pl
import sides
import torch
from folders import Data, data
from quality import ROOT, fetch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import cos_sim

from burnish import tables
from burnish.arrays import Vectors
from burnish.embedding import encoding, models
from burnish.errors import run
from burnish.evaluation import measures
from burnish.search import retrieval
from burnish.search.nearest import exact

_TARGETS = {"score": 10.0, "search and score": 2.0}
_DEPTH = 100
_NO_MODEL: Any = None
_FIGURES = {"ndcg@10": ("ndcg@k", 10), "mrr@10": ("mrr@k", 10), "map@100": ("map@k", 100), "recall@10": ("recall@k", 10)}


class Evaluator(InformationRetrievalEvaluator):
    """The evaluator with vectors in place of a model."""

    vectors: dict[str, torch.Tensor]

    def embed_inputs(self, model: Any, sentences: Any, encode_fn_name: str | None = None, *_: Any, **__: Any) -> Any:  # noqa: ARG002
        return self.vectors[encode_fn_name or ""]


def evaluator(queries: pl.DataFrame, passages: pl.DataFrame, qrels: pl.DataFrame, asked: Vectors, stored: Vectors) -> Evaluator:
    """The peer, with the same vectors."""
    made = Evaluator(
        dict(queries.select("query_id", "text").iter_rows()),
        dict(zip(passages["passage_id"], tables.embedded_text(passages), strict=True)),
        {query: set(found) for query, found in qrels.group_by("query_id").agg("target_id").iter_rows()},
        accuracy_at_k=[1, 3, 5, 10],
        precision_recall_at_k=[1, 5, 10, 100],
        ndcg_at_k=[5, 10],
        score_functions={"cosine": cos_sim},
        write_csv=False,
    )
    made.vectors = {"query": torch.from_numpy(asked), "document": torch.from_numpy(stored)}
    return made


def searched(asked: Vectors, stored: Vectors) -> None:
    """The evaluator's own search: product, the hundred best, and its look for equal scores."""
    scores = cos_sim(torch.from_numpy(asked), torch.from_numpy(stored))
    best = torch.topk(scores, min(_DEPTH, scores.shape[1]), dim=1, largest=True, sorted=False).values
    ((scores >= best.min(dim=1, keepdim=True).values).sum(dim=1) > best.shape[1]).tolist()


def rows(model: SentenceTransformer, given: Data, limits: tuple[int, int], turns: int, clock: str) -> Iterator[dict[str, Any]]:
    """Both rows of one folder."""
    test = given.of("test")
    queries = test[sides.sample(test["query_id"].to_list(), limits[0])]
    wanted = given.qrels.filter(pl.col("query_id").is_in(queries["query_id"].to_list()), pl.col("grade") > 0)
    answers = given.passages.filter(pl.col("passage_id").is_in(wanted["target_id"].to_list()))
    others = given.passages.join(answers, on="passage_id", how="anti")
    drawn = sides.sample(others["passage_id"].to_list(), max(0, limits[1] - answers.height))
    passages = pl.concat([answers, others[drawn]]).sort("passage_id")
    qrels = wanted.with_columns(pl.lit(1, dtype=pl.Int8).alias("grade"))
    bf16 = encoding.bf16_is_faster(model.device)
    asked = encoding.encoder(model, "query", bf16=bf16)(queries["text"].to_list())
    stored = encoding.encoder(model, "passage", bf16=bf16)(tables.embedded_text(passages))
    peer = evaluator(queries, passages, qrels, asked, stored)
    found = exact(asked, stored, _DEPTH)

    def figures(indices: Any, scores: Vectors) -> pl.DataFrame:
        ranked = retrieval.as_run("model", queries, passages, indices, scores)
        return measures.by_query(measures.of_targets(ranked, passages, by_document=False), qrels)

    theirs: Any = peer.compute_all_metrics(_NO_MODEL)["cosine"]
    means = figures(*found).mean().row(0, named=True)
    apart = max(abs(means[own] - theirs[name][depth]) for own, (name, depth) in _FIGURES.items())
    whole = sides.by_turns(
        lambda: peer.compute_all_metrics(_NO_MODEL), lambda: figures(*exact(asked, stored, _DEPTH)), turns=turns, clock=clock
    )
    search, alone = sides.by_turns(lambda: searched(asked, stored), lambda: figures(*found), turns=turns, clock=clock)
    for work, times in (("score", (whole[0] - search, alone)), ("search and score", whole)):
        yield sides.line(
            work,
            "InformationRetrievalEvaluator",
            given.name,
            _TARGETS[work],
            times=times,
            equal=apart <= 1e-6,
            largest_difference=apart,
            queries=queries.height,
            passages=passages.height,
        )


@click.command(help=__doc__)
@sides.data_argument
@click.option("--model", help="A folder or `pypi:MODULE`.  [default: the params file's]")
@click.option("--queries", type=click.IntRange(min=1), default=500, show_default=True, help="Test queries of each folder.")
@click.option("--passages", type=click.IntRange(min=1), default=3000, show_default=True, help="Passages of each folder.")
@click.option("--turns", type=click.IntRange(min=1), default=9, show_default=True, help="Of which the median counts.")
@sides.threads_option
@sides.clock_option
def main(folders: Sequence[Path], model: str | None, queries: int, passages: int, turns: int, threads: int | None, clock: str) -> None:  # fmt: skip
    """Print two rows a folder."""
    sides.use_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        fetch(ROOT / "params.yaml", model, base)
        loaded = models.load(base)

        def every() -> Iterator[dict[str, Any]]:
            for folder in folders:
                yield from rows(loaded, data(folder), (queries, passages), turns, clock)

        sides.report(every())


if __name__ == "__main__":
    run(main)
