"""A reranker over the runs of a search: its scores, the weight that suits it, its runs, and how long a query takes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from sentence_transformers import CrossEncoder
from tqdm import tqdm

from burnish import tables
from burnish.arrays import Vectors
from burnish.embedding import encoding, models, vectors
from burnish.evaluation import measures
from burnish.evaluation.measures import MAIN
from burnish.search import reranker, retrieval
from burnish.search.nearest import exact
from burnish.tables import RUNS

ALONE = "reranker alone"


@dataclass(frozen=True)
class Reread:
    """The first passages of each query with the reranker's logit, and what it took to compute them.

    Attributes:
        rows: columns query_id, passage_id, score (the search's), logit.
        milliseconds: of each query, in the order of the rows' queries.
    """

    rows: pl.DataFrame
    milliseconds: list[float]


def reread(model: CrossEncoder, run: pl.DataFrame, queries: pl.DataFrame, passages: pl.DataFrame, depth: int) -> Reread:
    """The first `depth` passages of each query, scored by `model` one query at a time, as a service meets them.

    Args:
        model: the cross-encoder.
        run: columns query_id, passage_id, rank, score; of one system.
        queries: columns query_id, text; those of them that the run has are taken.
        passages: PASSAGES.
        depth: as above.
    """
    text = dict(zip(passages["passage_id"], tables.embedded_text(passages), strict=True))
    asked = dict(queries.select("query_id", "text").iter_rows())
    first = run.filter(pl.col("rank") <= depth, pl.col("query_id").is_in(list(asked))).sort("query_id", "rank")
    logits: list[Vectors] = []
    took: list[float] = []
    for (query,), part in tqdm(
        first.group_by(["query_id"], maintain_order=True), desc="rerank", unit="query", total=len(asked), disable=None
    ):
        found = [text[one] for one in part["passage_id"]]
        if not took:
            reranker.logits(model, asked[query], found)  # the first pass also allocates
        start = time.perf_counter()
        logits.append(reranker.logits(model, asked[query], found))
        took.append(1000 * (time.perf_counter() - start))
    joined = np.concatenate(logits) if logits else np.empty(0, np.float32)
    return Reread(first.select("query_id", "passage_id", "score").with_columns(logit=pl.Series(joined, dtype=pl.Float32)), took)


def as_run(system: str, run: pl.DataFrame, rows: pl.DataFrame, search_weight: float) -> pl.DataFrame:
    """The run (RUNS) in which the passages that were read again stand in their new order, before the others in their old one.

    A score is the rank below 0, since those of two models cannot be compared.
    """
    scores = reranker.combined(rows["logit"].to_numpy(), rows["score"].to_numpy(), search_weight)
    first = rows.select("query_id", "passage_id", new=pl.Series(scores))
    joined = run.join(first, on=["query_id", "passage_id"], how="left")
    ordered = joined.sort(["query_id", "new", "rank"], descending=[False, True, False], nulls_last=True)
    ranked = ordered.with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query_id"))
    return ranked.select(
        pl.lit(system).alias("system"), "query_id", "passage_id", "rank", score=-pl.col("rank").cast(pl.Float32)
    )


def chosen_weight(
    model: CrossEncoder,
    run: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    passages: pl.DataFrame,
    weights: Sequence[float],
) -> tuple[float, dict[str, Any]]:
    """The weight of the search's score that is best on dev queries, of equal ones the first, and nDCG@10 of all of them.

    Args:
        model: the cross-encoder.
        run: RUNS, of the dev queries, as deep as the reranker reads.
        queries: the dev queries.
        qrels: QRELS, of any queries.
        passages: PASSAGES.
        weights: to choose from; the first is taken where there are no dev queries with an answer.
    """
    own = qrels.filter(pl.col("query_id").is_in(queries["query_id"].to_list()))
    answered = own.filter(pl.col("grade") > 0)["query_id"].n_unique()
    if not answered:
        return weights[0], {"queries": 0}
    by_document = measures.judged_by_document(own)
    truth = measures.of_unit(own, passages, by_document=by_document)

    def ndcg(found: pl.DataFrame) -> float:
        values = measures.by_query(measures.of_targets(found, passages, by_document=by_document), truth, [MAIN])
        return measures.mean_of(values, MAIN)

    rows = reread(model, run, queries, passages, run.height).rows
    by_weight = {weight: ndcg(as_run("dev", run, rows, weight)) for weight in weights}
    told = {f"search_weight_{weight:g}": value for weight, value in by_weight.items()}
    return max(weights, key=lambda one: by_weight[one]), {"queries": answered, "tuned": ndcg(run)} | told


@dataclass(frozen=True)
class Search:
    """The search whose first passages are read again: a release over its vectors, exact.

    Attributes:
        encode: from queries to their vectors.
        passages: PASSAGES.
        vectors: the release's, shape (passages, dimensions).
        depth: passages found for each query.
    """

    encode: Callable[[Sequence[str]], Vectors]
    passages: pl.DataFrame
    vectors: Vectors
    depth: int

    @classmethod
    def of(cls, release: Path, passages: pl.DataFrame, embedded: Path, depth: int) -> "Search":
        """The search of the model in `release`, whose vectors of `passages` lie in the file `embedded`."""
        return cls(
            encoding.encoder(models.load(release), "query"),
            passages,
            vectors.read(embedded, passages["passage_id"].to_list()),
            depth,
        )

    def run(self, queries: pl.DataFrame) -> pl.DataFrame:
        """The run (RUNS) of `queries`; empty where there is none."""
        if not queries.height:
            return tables.empty(RUNS)
        found = exact(self.encode(queries["text"].to_list()), self.vectors, self.depth)
        return retrieval.as_run("tuned", queries, self.passages, *found)

    def milliseconds(self, texts: Sequence[str]) -> list[float]:
        """How long each search takes, one after the other, after one that is not counted."""
        took = []
        for text in [*texts[:1], *texts]:
            start = time.perf_counter()
            exact(self.encode([text]), self.vectors, self.depth)
            took.append(1000 * (time.perf_counter() - start))
        return took[1:]


def latency(milliseconds: Mapping[str, Sequence[float]], device: torch.device) -> dict[str, Any]:
    """Of each part the median and the 95th percentile over the queries, and on what they were measured.

    >>> latency({"search": [1.0, 2.0, 3.0]}, torch.device("cpu"))["search"]
    {'median_ms': 2.0, 'p95_ms': 2.9}
    """
    told: dict[str, Any] = {
        name: {"median_ms": round(float(np.median(took)), 1), "p95_ms": round(float(np.quantile(took, 0.95)), 1)}
        for name, took in milliseconds.items()
    }
    on_gpu = device.type == "cuda"
    where = torch.cuda.get_device_name(device) if on_gpu else f"{device.type}, {torch.get_num_threads()} threads"
    return told | {"queries": max(map(len, milliseconds.values())), "device": where}
