"""Where the judge of synthetic queries disagrees with a model or with search logs, and what experts say of its scores."""

import polars as pl

from burnish.queries.built import Built
from burnish.spelling import spelling

FAR = 100  # rank by the base from which an answer that nobody graded is doubted


def refused_but_first(ranks: pl.DataFrame) -> pl.DataFrame:
    """What the judge refused and a model ranks first of all passages: columns as labels' reasons.

    The more models the more urgent; of equals what the judge scored lower.

    Args:
        ranks: as `ranks.refused_ranks` gives them.
    """
    first = ranks.filter(pl.col("rank") == 1).sort("system")
    found = first.group_by("query_id", "passage_id", maintain_order=True).agg(
        pl.len().alias("models"), pl.col("score").first(), pl.col("system").str.join(", ").alias("systems")
    )
    return found.select(
        "query_id",
        "passage_id",
        (pl.col("models") + (10 - pl.col("score")) / 10).cast(pl.Float64).alias("urgency"),
        pl.format("judge: {} of 10, first of {}", "score", "systems").alias("detail"),
    )


def passed_but_far_down(ranks: pl.DataFrame) -> pl.DataFrame:
    """What the judge passed and the base ranks far down: the higher the score the more urgent, of equals the lower the rank.

    Args:
        ranks: as `ranks.base_ranks` gives them.
    """
    return ranks.filter(pl.col("rank") > FAR, pl.col("score").is_not_null()).select(
        "query_id",
        "passage_id",
        (pl.col("score") + 1 - 1 / pl.col("rank")).cast(pl.Float64).alias("urgency"),
        pl.format("judge: {} of 10, rank {} of base", "score", "rank").alias("detail"),
    )


def judge_against_clicks(known: Built) -> pl.DataFrame:
    """What the judge refused and clicks hold for an answer, or the other way about: the surer the judge the more urgent.

    A query of the logs and a synthetic one are the same in any spelling. Where the logs name a document, the judge speaks of it
    by its passages: it refuses the document where it refused every one of them, and passes it where it passed any.
    """
    spelled = pl.col("text").map_elements(spelling, return_dtype=pl.String).alias("spelling")
    size = known.passages.select("passage_id", "document_id", pl.len().over("document_id").alias("size"))
    judged = known.scored.join(size, on="passage_id").with_columns(spelled)
    whole = (~pl.col("passed")).sum().over("spelling", "document_id") == pl.col("size")
    said = judged.select("spelling", "passage_id", "document_id", "score", "passed", refused_document=whole)
    clicked = known.clicks.select("query_id", "target_id", "unit", "grade")
    clicked = clicked.join(known.queries.select("query_id", spelled), on="query_id")
    parts = []
    for unit, refused in (("passage", ~pl.col("passed")), ("document", pl.col("refused_document"))):
        own = said.with_columns(target_id=pl.col(f"{unit}_id"), refused=refused)
        both = clicked.filter(pl.col("unit") == unit).join(own, on=["spelling", "target_id"])
        parts.append(both.filter(pl.when(pl.col("grade") > 0).then("refused").otherwise("passed")))
    answer = pl.format("judge: {} of 10, an answer by clicks, grade {}", "score", "grade")
    shown = pl.format("judge: {} of 10, shown and hardly clicked", "score")
    found = pl.concat(parts).select(
        "query_id",
        "passage_id",
        pl.when(pl.col("passed")).then(pl.col("score") - 1).otherwise(10 - pl.col("score")).cast(pl.Float64).alias("urgency"),
        pl.when(pl.col("grade") > 0).then(answer).otherwise(shown).alias("detail"),
    )
    return found.sort("query_id", "passage_id", "detail").unique(["query_id", "passage_id"], keep="first", maintain_order=True)


def by_score(scored: pl.DataFrame, labelled: pl.DataFrame) -> dict[str, dict[str, int]]:
    """What experts say of the judge: by each of its scores, how many of its pairs they graded, and how many of these are answers.

    Args:
        scored: as `built.scored` gives it.
        labelled: as `labelling.labelled` gives it.
    """
    both = scored.join(labelled, left_on=["query_id", "passage_id"], right_on=["query_id", "target_id"])
    told = both.group_by("score").agg(pl.len(), (pl.col("grade") > 0).sum().alias("answers")).sort("score")
    return {str(score): {"graded": graded, "answers": answers} for score, graded, answers in told.iter_rows()}
