"""The queue that is worth an expert's time: which pairs of query and passage to grade next, and why."""

from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from pathlib import Path

import polars as pl

from burnish.queries.borderline import borderline_negative
from burnish.queries.built import Built
from burnish.queries.judge_disputes import FAR, judge_against_clicks, passed_but_far_down, refused_but_first
from burnish.queries.ranks import base_ranks, refused_ranks, tuned_ranks

# Why a pair is asked about, in the order in which the reasons take turns.
REASONS = (
    "unjudged",
    "first-but-no-answer",
    "clicked-but-low",
    "first-but-not-clicked",
    "refused-but-first",
    "passed-but-far-down",
    "judge-against-clicks",
    "answer-far-down",
    "borderline-negative",
)
_DEPTH = 10  # the main measure looks no deeper

# `detail` says for people what the reason saw; `urgency` orders the pairs of one reason.
_PAIRS: dict[str, type[pl.DataType]] = {
    "query_id": pl.String,
    "passage_id": pl.String,
    "urgency": pl.Float64,
    "detail": pl.String,
}


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


def clicked_but_low(ranks: pl.DataFrame) -> pl.DataFrame:
    """What the logs hold for an answer and the tuned model ranks below ten: one of the two is wrong. The lower the more urgent.

    Args:
        ranks: as `ranks.tuned_ranks` gives them.
    """
    return ranks.filter(pl.col("grade") > 0, pl.col("rank") > _DEPTH).select(
        "query_id",
        "passage_id",
        pl.col("rank").cast(pl.Float64).alias("urgency"),
        pl.format("an answer by clicks, grade {}, rank {} of tuned", "grade", "rank").alias("detail"),
    )


def first_but_not_clicked(ranks: pl.DataFrame) -> pl.DataFrame:
    """What the tuned model ranks first and people hardly clicked though it was shown to them: the surer it is the more urgent.

    Args:
        ranks: as `ranks.tuned_ranks` gives them.
    """
    return ranks.filter(pl.col("grade") == 0, pl.col("rank") == 1).select(
        "query_id",
        "passage_id",
        pl.col("score").alias("urgency"),
        pl.format("shown and hardly clicked, first of tuned, score {}", pl.col("score").round(3)).alias("detail"),
    )


def answer_far_down(ranks: pl.DataFrame) -> pl.DataFrame:
    """Answers by clicks or by a model without a judge that the base ranks far down: a bad pair, or one well worth learning.

    Args:
        ranks: as `ranks.base_ranks` gives them.
    """
    return ranks.filter(pl.col("rank") > FAR, pl.col("score").is_null()).select(
        "query_id",
        "passage_id",
        pl.col("rank").cast(pl.Float64).alias("urgency"),
        pl.format("an answer by {}, rank {} of base", "origin", "rank").alias("detail"),
    )


def candidates(root: Path, known: Built, wanted: Collection[str] = REASONS) -> dict[str, pl.DataFrame]:
    """The pairs of each of the `wanted` of REASONS, of which `root` holds the models' vectors."""
    clicked, answers = cache(partial(tuned_ranks, root, known)), cache(partial(base_ranks, root, known))
    found: dict[str, Callable[[], pl.DataFrame]] = {
        "unjudged": lambda: unjudged(known),
        "first-but-no-answer": lambda: first_but_no_answer(known),
        "clicked-but-low": lambda: clicked_but_low(clicked()),
        "first-but-not-clicked": lambda: first_but_not_clicked(clicked()),
        "refused-but-first": lambda: refused_but_first(refused_ranks(root, known)),
        "passed-but-far-down": lambda: passed_but_far_down(answers()),
        "judge-against-clicks": lambda: judge_against_clicks(known),
        "answer-far-down": lambda: answer_far_down(answers()),
        "borderline-negative": lambda: borderline_negative(root, known),
    }
    return {name: found[name]() for name in REASONS if name in wanted}


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
    texts = pl.concat([one.select("query_id", pl.col("text").alias("query")) for one in (known.queries, known.scored)])
    asked = texts.unique("query_id", keep="first", maintain_order=True)
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
