"""The queue that is worth an expert's time: which pairs of query and passage to grade next, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from burnish import tables
from burnish.arrays import Vectors
from burnish.embedding import vectors
from burnish.errors import InputError
from burnish.evaluation import measures
from burnish.queries import formats
from burnish.queries.labelling import Allowed
from burnish.tables import NEGATIVES, PASSAGES, QRELS, QUERIES, RUNS, VERDICTS

# Why a pair is asked about, in the order in which the reasons take turns.
REASONS = ("unjudged", "first-but-no-answer", "answer-far-down", "borderline-negative")
_DEPTH = 10  # the main measure looks no deeper
_FAR = 100  # rank by the base from which an answer that nobody judged is doubted
_MOST = 20_000  # queries whose answers are ranked, chosen by a hash: bounds the work on a large corpus
_CELLS = 2**26  # scores in memory at once

# `detail` says for people what the reason saw; `urgency` orders the pairs of one reason.
_PAIRS: dict[str, type[pl.DataType]] = {
    "query_id": pl.String,
    "passage_id": pl.String,
    "urgency": pl.Float64,
    "detail": pl.String,
}


@dataclass(frozen=True)
class Built:
    """What the pipeline knows of the domain; the general set is nobody's to judge here."""

    queries: pl.DataFrame  # QUERIES
    qrels: pl.DataFrame  # QRELS
    passages: pl.DataFrame  # PASSAGES
    verdicts: pl.DataFrame  # VERDICTS
    negatives: pl.DataFrame  # NEGATIVES
    runs: pl.DataFrame  # RUNS, of the full-width systems

    def of_test(self) -> pl.DataFrame:
        """The judgments of test queries, by document where any of them names one, as they are measured."""
        test = self.queries.filter(pl.col("split") == "test")["query_id"].to_list()
        own = self.qrels.filter(pl.col("query_id").is_in(test))
        return measures.of_unit(own, self.passages, by_document=self.by_document())

    def by_document(self) -> bool:
        """Whether test queries are measured over documents."""
        test = self.queries.filter(pl.col("split") == "test")["query_id"].to_list()
        return measures.judged_by_document(self.qrels.filter(pl.col("query_id").is_in(test)))


def built(root: Path) -> Built:
    """What `dvc repro` made below `root`.

    Raises:
        InputError: it is not built yet.
    """
    last = root / "data/runs/runs.parquet"
    if not last.is_file():
        raise InputError(f"{last}: the runs are not there; run `dvc repro`, then ask again")
    parts = [root / "data/mixed" / name for name in ("training", "test")]
    queries = pl.concat([tables.read(QUERIES, part / "queries.parquet") for part in parts], how="diagonal")
    queries = queries.filter(pl.col("origin") != "general").sort("query_id")
    ids = queries["query_id"].to_list()
    qrels = pl.concat([tables.read(QRELS, part / "qrels.parquet") for part in parts])
    own = pl.col("query_id").is_in(ids)
    return Built(
        queries,
        qrels.filter(own),
        tables.read(PASSAGES, root / "data/corpus/passages.parquet"),
        tables.read(VERDICTS, root / "data/synthetic/verdicts.parquet"),
        tables.read(NEGATIVES, root / "data/negatives/negatives.parquet").filter(own),
        tables.read(RUNS, last).filter(own, ~pl.col("system").str.contains("@", literal=True)),
    )


def allowed(root: Path, highest: int) -> Allowed:
    """What a filled-in queue may name: any query below `root`, also one that `mix` dropped since the queue was written."""
    made = [tables.read(QUERIES, root / "data" / name / "queries.parquet")["query_id"] for name in ("collected", "synthetic")]
    passages = tables.read(PASSAGES, root / "data/corpus/passages.parquet")
    targets = {*passages["passage_id"], *passages["document_id"]}
    return Allowed(frozenset(pl.concat(made)), frozenset(targets), highest)


def base_ranks(root: Path, known: Built) -> pl.DataFrame:
    """The base's rank of each answer that nobody judged: columns query_id, passage_id, rank, origin, score (the judge's, or null).

    Args:
        root: where the base's vectors lie, in data/vectors/base.
        known: what is built.
    """
    asked = known.qrels.filter(pl.col("origin") != "curated", pl.col("grade") > 0, pl.col("unit") == "passage")
    chosen = sorted(asked["query_id"].unique().sort(), key=formats.digest)[:_MOST]
    asked = asked.filter(pl.col("query_id").is_in(chosen)).sort("query_id", "target_id")
    ids = known.passages["passage_id"].to_list()
    place = {name: at for at, name in enumerate(ids)}
    folder = root / "data/vectors/base"
    ranks = answer_ranks(
        vectors.read(folder / "queries.parquet", asked["query_id"].to_list()),
        vectors.read(folder / "passages.parquet", ids),
        np.array([place[name] for name in asked["target_id"]], dtype=np.int64),
    )
    found = asked.select("query_id", pl.col("target_id").alias("passage_id"), pl.Series("rank", ranks), "origin")
    return found.join(known.verdicts, on="query_id", how="left", maintain_order="left")


def answer_ranks(queries: Vectors, passages: Vectors, answers: np.ndarray) -> np.ndarray:
    """The rank, from 1, of each query's answer among all passages.

    Args:
        queries: shape (pairs, dimensions).
        passages: shape (passages, dimensions).
        answers: the row of each pair's passage, shape (pairs,).

    >>> answer_ranks(np.array([[1.0, 0.0]]), np.array([[0.5, 0.0], [0.9, 0.0], [0.7, 0.0]]), np.array([2]))
    array([2])
    """
    ranks = np.zeros(len(queries), dtype=np.int64)
    block = max(1, _CELLS // max(1, len(passages)))
    for start in range(0, len(queries), block):
        scores = queries[start : start + block] @ passages.T
        own = scores[np.arange(len(scores)), answers[start : start + block]]
        ranks[start : start + block] = 1 + (scores > own[:, None]).sum(axis=1)
    return ranks


def unjudged(known: Built) -> pl.DataFrame:
    """Of test queries what some system has among its first ten and nobody judged, by what it could move nDCG.

    The urgency is the sum over systems of nDCG's discount at the rank.
    """
    found = _ranked(known).filter(pl.col("rank") <= _DEPTH)
    fresh = found.join(known.of_test(), on=["query_id", "target_id"], how="anti").sort("rank", "system", "passage_id")
    return (
        fresh.group_by("query_id", "target_id", maintain_order=True)
        .agg(
            pl.col("passage_id").first(),
            (1 / (pl.col("rank") + 1).log(2)).sum().alias("urgency"),
            pl.format("rank {} of {}", "rank", "system").str.join(", ").alias("detail"),
        )
        .select(*_PAIRS)
    )


def first_but_no_answer(known: Built) -> pl.DataFrame:
    """Of test queries what a model ranks first though it is judged no answer: one of the two is wrong.

    The more systems rank it first, the more urgent; BM25 alone is no reason.
    """
    first = _ranked(known).filter(pl.col("rank") == 1)
    refuted = first.join(known.of_test().filter(pl.col("grade") == 0), on=["query_id", "target_id"]).sort("system")
    found = refuted.group_by("query_id", "target_id", maintain_order=True).agg(
        pl.col("passage_id").first(),
        pl.len().cast(pl.Float64).alias("urgency"),
        pl.col("system").str.join(", ").alias("systems"),
    )
    detail = (pl.lit("judged 0, first of ") + pl.col("systems")).alias("detail")
    return found.filter(pl.col("systems") != "bm25").with_columns(detail).select(*_PAIRS)


def answer_far_down(ranks: pl.DataFrame) -> pl.DataFrame:
    """Answers by clicks, a model or its judge that the base ranks far down: a bad pair, or one that is well worth learning.

    Args:
        ranks: as `base_ranks` gives them.
    """
    judged = pl.format(" (judge: {} of 10)", "score")
    return ranks.filter(pl.col("rank") > _FAR).select(
        "query_id",
        "passage_id",
        pl.col("rank").cast(pl.Float64).alias("urgency"),
        pl.format("an answer by {}{}, rank {} of base", "origin", judged.fill_null(""), "rank").alias("detail"),
    )


def borderline_negative(known: Built) -> pl.DataFrame:
    """Each training query's mined negative that scores nearest to its answer: most likely an answer too."""
    mined = known.negatives.filter(pl.col("miner") != "judged").sort("margin", "query_id", "passage_id")
    return mined.unique("query_id", keep="first", maintain_order=True).select(
        "query_id",
        "passage_id",
        (-pl.col("margin").cast(pl.Float64)).alias("urgency"),
        pl.format("a negative in training, {} below the answer", pl.col("margin").round(3)).alias("detail"),
    )


def candidates(root: Path, known: Built) -> dict[str, pl.DataFrame]:
    """The pairs of each of REASONS, of which `root` holds the base's vectors."""
    found = (unjudged(known), first_but_no_answer(known), answer_far_down(base_ranks(root, known)), borderline_negative(known))
    return dict(zip(REASONS, found, strict=True))


def queue(offered: Mapping[str, pl.DataFrame], known: Built, *, labelled: pl.DataFrame, size: int) -> pl.DataFrame:
    """The pairs to grade: columns priority (from 1), reason, detail, query_id, target_id, query, title, heading, text.

    The reasons take turns, each with its most urgent pair; a pair stands once, for the first reason that names it.

    Args:
        offered: the pairs of each reason, by its name.
        known: what is built.
        labelled: columns query_id, target_id; what experts graded already is not asked again.
        size: at most so many pairs.
    """
    ordered = [
        pairs.sort(["urgency", "query_id", "passage_id"], descending=[True, False, False])
        .with_row_index("turn")
        .with_columns(reason=pl.lit(reason), order=pl.lit(at))
        for at, (reason, pairs) in enumerate(offered.items())
    ]
    done = labelled.select("query_id", pl.col("target_id").alias("passage_id"))
    chosen = (
        pl.concat(ordered)
        .sort("turn", "order")
        .unique(["query_id", "passage_id"], keep="first", maintain_order=True)
        .join(done, on=["query_id", "passage_id"], how="anti", maintain_order="left")
        .head(size)
        .with_row_index("priority", offset=1)
    )
    asked = known.queries.select("query_id", pl.col("text").alias("query"))
    shown = known.passages.select("passage_id", "title", "heading", "text")
    return (
        chosen.join(asked, on="query_id", maintain_order="left")
        .join(shown, on="passage_id", maintain_order="left")
        .select(
            "priority",
            "reason",
            "detail",
            "query_id",
            pl.col("passage_id").alias("target_id"),
            "query",
            "title",
            "heading",
            "text",
        )
    )


def _ranked(known: Built) -> pl.DataFrame:
    """Every run over what is measured, documents at their best passage: system, query_id, target_id, passage_id, rank."""
    document = known.passages.select("passage_id", "document_id")
    test = known.queries.filter(pl.col("split") == "test")["query_id"].to_list()
    target = "document_id" if known.by_document() else "passage_id"
    runs = known.runs.filter(pl.col("query_id").is_in(test)).join(document, on="passage_id")
    best = runs.sort("system", "query_id", "rank").unique(["system", "query_id", target], keep="first", maintain_order=True)
    return best.select(
        "system",
        "query_id",
        pl.col(target).alias("target_id"),
        "passage_id",
        pl.col("rank").rank("ordinal").over("system", "query_id").cast(pl.Int64).alias("rank"),
    )
