"""Measures of retrieval, as trec_eval defines them, and what a difference between two systems is worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray


def _within(depth: int, value: pl.Expr, rank: str = "rank") -> pl.Expr:
    """The value of each answer that stands at a rank up to `depth`, 0 for any other."""
    return pl.when(pl.col(rank) <= depth).then(value).otherwise(0.0)


def _ndcg(depth: int) -> pl.Expr:
    """Gains linear in the grade, as trec_eval's ndcg_cut has them."""
    gained, best = (_within(depth, pl.col("grade") / (pl.col(rank) + 1).log(2), rank).sum() for rank in ("rank", "ideal"))
    return gained / best


# Of one query's answers: `grade`, `rank` (from 1; null where the run lacks it), `ideal` (its rank in a perfect run) and
# `place` (how many answers the run has up to it).
MEASURES: dict[str, pl.Expr] = {
    "ndcg@5": _ndcg(5),
    "ndcg@10": _ndcg(10),
    "recall@1": _within(1, pl.lit(1.0)).mean(),
    "recall@5": _within(5, pl.lit(1.0)).mean(),
    "recall@10": _within(10, pl.lit(1.0)).mean(),
    "recall@100": _within(100, pl.lit(1.0)).mean(),
    "mrr@10": _within(10, 1 / pl.col("rank")).max(),
    "map@100": _within(100, pl.col("place") / pl.col("rank")).mean(),
}
MAIN = "ndcg@10"
RECALL_DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100)
_RESAMPLES = 10_000


def judged_by_document(qrels: pl.DataFrame) -> bool:
    """Whether any judgment names a document; then runs are measured over documents."""
    return "document" in qrels["unit"]


def of_targets(run: pl.DataFrame, passages: pl.DataFrame, *, by_document: bool) -> pl.DataFrame:
    """A run over what the judgments name: passages as they are, or each document at its best passage's score.

    Args:
        run: columns query_id, passage_id, score; of one system.
        passages: columns passage_id, document_id.
        by_document: whether judgments name documents.
    """
    if not by_document:
        return run.select("query_id", pl.col("passage_id").alias("target_id"), "score")
    joined = run.join(passages.select("passage_id", pl.col("document_id").alias("target_id")), on="passage_id")
    return joined.group_by("query_id", "target_id").agg(pl.col("score").max())


def of_unit(qrels: pl.DataFrame, passages: pl.DataFrame, *, by_document: bool) -> pl.DataFrame:
    """Judgments over what runs are measured by: where documents are, a judged passage counts as its document."""
    if not by_document:
        return qrels.select("query_id", "target_id", "grade")
    document = dict(passages.select("passage_id", "document_id").iter_rows())
    named = qrels.with_columns(pl.col("target_id").replace(document))
    return named.group_by("query_id", "target_id", maintain_order=True).agg(pl.col("grade").max())


def by_query(run: pl.DataFrame, qrels: pl.DataFrame, names: Sequence[str] = tuple(MEASURES)) -> pl.DataFrame:
    """Each measure of each query, one column a measure; a judged query that the run lacks scores 0.

    What trec_eval's own code gives (the tests compare them), several times as fast: only the answers are looked at one by one.

    Args:
        run: columns query_id, target_id, score; of one system. Equal scores are ordered by target_id, the last first, as trec_eval
            does, so that a run does not depend on the order of its rows.
        qrels: columns query_id, target_id, grade; queries without a grade above 0 are left out.
        names: keys of MEASURES.
    """
    answers = qrels.filter(pl.col("grade") > 0).select("query_id", "target_id", "grade")
    ranked = answers.join(_ranks(run, answers), on=["query_id", "target_id"], how="left").sort(
        "query_id", "rank", "target_id", nulls_last=True
    )
    ranked = ranked.with_columns(
        pl.col("grade").rank("ordinal", descending=True).over("query_id").alias("ideal"),
        pl.int_range(1, pl.len() + 1).over("query_id").alias("place"),
    )
    return ranked.group_by("query_id", maintain_order=True).agg(MEASURES[name].alias(name) for name in names)


def _ranks(run: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """The rank, from 1, of each answer that the run has: columns query_id, target_id, rank."""
    ordered = _ordered(run)
    found = ordered.with_row_index("row").join(
        answers.select("query_id", "target_id"), on=["query_id", "target_id"], how="semi"
    )
    rank = (pl.col("row") - pl.col("first") + 1).alias("rank")
    return found.join(_blocks(ordered), on="query_id").select("query_id", "target_id", rank)


def _blocks(run: pl.DataFrame) -> pl.DataFrame:
    """Where rows of one query stand together: columns query_id and first, the number of the first row."""
    length = pl.col("len")
    return (
        run["query_id"]
        .rle()
        .struct.unnest()
        .select(pl.col("value").alias("query_id"), (length.cum_sum() - length).alias("first"))
    )


def _ordered(run: pl.DataFrame) -> pl.DataFrame:
    """The run by query, best first, equal scores by target_id from the last: columns query_id and target_id.

    A search's results stand like that already but for equal scores, and only those are sorted then.
    """
    score, blocks = run["score"].to_numpy(), _blocks(run)
    tied, falls = score[1:] == score[:-1], score[1:] < score[:-1]
    begins = blocks["first"].to_numpy()[1:] - 1
    tied[begins], falls[begins] = False, True
    if blocks["query_id"].n_unique() < blocks.height or not (tied | falls).all():
        run = run.sort("query_id", "score", "target_id", descending=[False, True, True])
    elif tied.any():
        rows = np.flatnonzero(np.append(False, tied) | np.append(tied, False))
        place = np.append(0, np.cumsum(~tied))[rows]
        equal = pl.DataFrame({"place": place, "target_id": run["target_id"].gather(rows), "row": rows})
        order = np.arange(run.height)
        order[rows] = equal.sort("place", "target_id", descending=[False, True])["row"]
        run = run[order]
    return run.select("query_id", "target_id")


def recall_curve(run: pl.DataFrame, qrels: pl.DataFrame) -> dict[int, float]:
    """Mean recall at each of RECALL_DEPTHS."""
    answers = qrels.filter(pl.col("grade") > 0).select("query_id", "target_id")
    found = answers.join(_ranks(run, answers), on=["query_id", "target_id"], how="left")
    within = [(pl.col("rank") <= depth).fill_null(value=False).mean().alias(str(depth)) for depth in RECALL_DEPTHS]
    means = found.group_by("query_id").agg(within).mean()
    return {depth: mean_of(means, str(depth)) for depth in RECALL_DEPTHS}


def means(values: pl.DataFrame, run: pl.DataFrame, qrels: pl.DataFrame) -> dict[str, float]:
    """The mean of every measure over the queries of `values`, as `by_query` gives them, and the `judged_share` of the first ten."""
    return {name: mean_of(values, name) for name in MEASURES} | {"judged@10": judged_share(run, qrels, 10)}


def judged_share(run: pl.DataFrame, qrels: pl.DataFrame, depth: int) -> float:
    """The share of each query's first `depth` that somebody judged, whatever the grade, averaged over the judged queries.

    Where it is low, a system may find answers that nobody knows to be some, and its measures are too low.

    >>> run = pl.DataFrame({"query_id": ["q"] * 3, "target_id": ["a", "b", "c"], "score": [0.9, 0.8, 0.7]})
    >>> judged_share(run, pl.DataFrame({"query_id": ["q"], "target_id": ["b"], "grade": [0]}), 2)
    0.5
    """
    first = _ordered(run).group_by("query_id", maintain_order=True).head(depth)
    known = qrels.select("query_id", "target_id", pl.lit(1.0).alias("judged"))
    found = first.join(known, on=["query_id", "target_id"], how="left").with_columns(pl.col("judged").fill_null(0.0))
    asked = qrels["query_id"].unique().implode()
    return mean_of(found.filter(pl.col("query_id").is_in(asked)).group_by("query_id").agg(pl.col("judged").mean()), "judged")


def mean_of(frame: pl.DataFrame, column: str) -> float:
    """The mean of a column of numbers, 0 where there is none."""
    found = frame.select(pl.col(column).mean().fill_null(0.0)).item()
    assert isinstance(found, float)
    return found


@dataclass(frozen=True)
class Difference:
    """A paired difference of two systems over the same queries."""

    mean: float
    low: float  # 95 % bootstrap interval, percentile method
    high: float
    p: float  # two-sided randomisation test
    queries: int
    detectable: float  # the smallest true difference that so many queries show with 80 % power at the 5 % level

    def verdict(self) -> str:
        """One of "better", "worse" and "no difference shown", by whether the interval leaves out 0."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no difference shown"


def difference(system: NDArray[np.float64], other: NDArray[np.float64], *, seed: int = 0) -> Difference:
    """`system` minus `other`, with its uncertainty.

    The interval resamples queries (Sakai, Information Retrieval Experiment, 2018); p is the share of random sign flips whose
    mean is at least as far from 0 (Smucker, Allan and Carterette, CIKM 2007). The detectable difference is
    (1.96 + 0.84) standard errors.

    Args:
        system: one value a query, shape (queries,).
        other: the same queries in the same order, shape (queries,).
        seed: of the resampling.

    >>> found = difference(np.array([0.5, 0.6, 0.7]), np.array([0.5, 0.6, 0.7]))
    >>> (found.mean, found.low, found.high, found.p, found.verdict())
    (0.0, 0.0, 0.0, 1.0, 'no difference shown')
    """
    apart = np.asarray(system, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    random = np.random.default_rng(seed)
    number = len(apart)
    means = np.empty(_RESAMPLES)
    flipped = np.empty(_RESAMPLES)
    for at in range(0, _RESAMPLES, 1000):
        means[at : at + 1000] = apart[random.integers(0, number, (1000, number))].mean(axis=1)
        flipped[at : at + 1000] = (apart * random.choice([-1.0, 1.0], (1000, number))).mean(axis=1)
    p = (1 + np.sum(np.abs(flipped) >= abs(apart.mean()) - 1e-12)) / (1 + _RESAMPLES)
    error = apart.std(ddof=1) / number**0.5 if number > 1 else float("nan")
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(apart.mean()), float(low), float(high), float(p), number, float(2.8 * error))
