"""The test queries that fine-tuning improved and damaged most, each with both its rankings."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from burnish.errors import InputError
from burnish.evaluation import measures
from burnish.evaluation.measures import MAIN
from burnish.report.formatting import clean

LISTED = 10  # queries in each of the page's two lists
_TOP = 5  # results shown of each ranking
_SNIPPET = 240  # characters


@dataclass(frozen=True)
class Hit:
    """One result as it is shown; `grade` is None where nobody judged it."""

    rank: int
    grade: int | None
    title: str
    heading: str
    snippet: str
    language: str


@dataclass(frozen=True)
class Ranking:
    """What one system finds for one query: nDCG@10, the first results, the rank of the first answer if it is found."""

    system: str
    score: float
    hits: tuple[Hit, ...]
    first_answer: int | None


@dataclass(frozen=True)
class Change:
    """A query with both its rankings, before and after."""

    query: str
    language: str
    base: Ranking
    tuned: Ranking


@dataclass(frozen=True)
class Changes:
    """The most improved and most damaged queries, best and worst first, and how many there are of each in all."""

    improved: tuple[Change, ...]
    damaged: tuple[Change, ...]
    better: int
    worse: int
    same: int
    by_document: bool


def changes(
    runs: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, passages: pl.DataFrame, *, documents: pl.DataFrame
) -> Changes:
    """The domain's test queries whose nDCG@10 fine-tuning changed most; equal changes stand by query_id.

    Where judgments name documents, rankings are over documents, each shown by its best passage. Queries and passages carry their
    language, by which a browser chooses letters: one Chinese and one Japanese sign of the same code look different.

    Raises:
        InputError: the runs lack the system base or tuned.
    """
    test = queries.filter(pl.col("split") == "test", pl.col("origin") != "general")
    judged = qrels.join(test, on="query_id", how="semi")
    by_document = measures.judged_by_document(judged)
    truth = measures.of_unit(judged, passages, by_document=by_document)
    known = passages.join(documents.select("document_id", "language"), on="document_id")
    ranked, scored = {}, []
    for system in ("base", "tuned"):
        run = runs.filter(pl.col("system") == system).join(test, on="query_id", how="semi")
        if not run.height:
            raise InputError(f"runs: expected rows of the system {system!r} for test queries, found none; run retrieve again")
        targets = measures.of_targets(run, passages, by_document=by_document)
        scored.append(measures.by_query(targets, truth, (MAIN,)).rename({MAIN: system}))
        ranked[system] = _ranked(run, known, truth, by_document=by_document)
    both = scored[0].join(scored[1], on="query_id").with_columns((pl.col("tuned") - pl.col("base")).round(9).alias("apart"))
    risen = both.filter(pl.col("apart") > 0).sort(["apart", "query_id"], descending=[True, False])
    fallen = both.filter(pl.col("apart") < 0).sort("apart", "query_id")
    texts = {row["query_id"]: (clean(row["text"], 400), row["language"]) for row in test.iter_rows(named=True)}
    improved, damaged = (_shown(part.head(LISTED), texts, ranked) for part in (risen, fallen))
    same = both.height - risen.height - fallen.height
    return Changes(improved, damaged, risen.height, fallen.height, same, by_document)


def _ranked(run: pl.DataFrame, passages: pl.DataFrame, truth: pl.DataFrame, *, by_document: bool) -> pl.DataFrame:
    """The first results and all answers found, ordered as they are measured, each with its passage and grade."""
    target = "document_id" if by_document else "passage_id"
    named = run.join(passages.select("passage_id", "document_id"), on="passage_id").with_columns(
        pl.col(target).alias("target_id")
    )
    best = named.sort(["score", "passage_id"], descending=[True, False]).unique(["query_id", "target_id"], keep="first")
    whole = best.sort(["query_id", "score", "target_id"], descending=[False, True, True])
    whole = whole.select("query_id", "target_id", "passage_id", pl.int_range(1, pl.len() + 1).over("query_id").alias("place"))
    whole = whole.join(truth, on=["query_id", "target_id"], how="left").filter(
        (pl.col("place") <= _TOP) | (pl.col("grade") > 0)
    )
    texts = passages.select("passage_id", "title", "heading", "text", "language")
    return whole.join(texts, on="passage_id").sort("query_id", "place")


def _shown(part: pl.DataFrame, texts: Mapping[str, tuple[str, str]], ranked: Mapping[str, pl.DataFrame]) -> tuple[Change, ...]:
    made = []
    for row in part.iter_rows(named=True):
        rankings = [
            _ranking(system, row[system], frame.filter(pl.col("query_id") == row["query_id"]))
            for system, frame in ranked.items()
        ]
        made.append(Change(*texts[row["query_id"]], *rankings))
    return tuple(made)


def _ranking(system: str, score: float, rows: pl.DataFrame) -> Ranking:
    hits = tuple(
        Hit(
            one["place"],
            one["grade"],
            clean(one["title"], 120),
            clean(one["heading"], 120),
            clean(one["text"], _SNIPPET),
            one["language"],
        )
        for one in rows.filter(pl.col("place") <= _TOP).iter_rows(named=True)
    )
    answers = rows.filter(pl.col("grade") > 0)["place"].to_list()
    return Ranking(system, score, hits, min(answers, default=None))
