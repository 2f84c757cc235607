"""Several people's grades of one pair: the one grade that counts, and how far the people agree."""

import hashlib
import re
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from burnish.errors import InputError

# One row for each grade that an annotator gave; `place` is the file and record it was read from, `split` the file's.
GRADES: dict[str, type[pl.DataType]] = {
    "query_id": pl.String,
    "target_id": pl.String,
    "grade": pl.Int8,
    "annotator": pl.String,
    "place": pl.String,
    "split": pl.String,
}
_CODE = re.compile(r"a-[0-9a-f]{12}")
_MOST_PAIRS = 20  # of annotators whose kappa is told


def annotator(name: str) -> str:
    """The code under which a person's grades are kept; a code stays as it is.

    It stands in for the name in every table and file. Whoever guesses a name can check the guess: give a pseudonym where
    that matters.

    >>> annotator(annotator("Ada")) == annotator("Ada") != annotator("Bob")
    True
    """
    return name if _CODE.fullmatch(name) else f"a-{hashlib.sha256(f'annotator {name}'.encode()).hexdigest()[:12]}"


def settled(grades: pl.DataFrame) -> pl.DataFrame:
    """One grade for each query and target, by the median of its annotators' grades, of two middle ones the lower.

    The lower one, since a wrong answer in training or test does more harm than one that is missed. Rows keep the order in
    which their pairs first stand in `grades`.

    Args:
        grades: GRADES.

    Raises:
        InputError: one annotator gave a pair two different grades.
    """
    own = grades.unique(["query_id", "target_id", "annotator", "grade"], keep="first", maintain_order=True)
    twice = own.filter(pl.struct("query_id", "target_id", "annotator").is_duplicated())
    if twice.height:
        first = twice.row(0, named=True)
        pair = (pl.col(name) == first[name] for name in ("query_id", "target_id", "annotator"))
        one, other = twice.filter(*pair).head(2).rows(named=True)
        raise InputError(
            f"{one['place']}: grade {one['grade']} for query {one['query_id']!r}, target {one['target_id']!r}, but "
            f"{other['grade']} by the same annotator in {other['place']}; keep the right one"
        )
    return own.group_by("query_id", "target_id", maintain_order=True).agg(
        pl.col("grade").quantile(0.5, interpolation="lower").cast(pl.Int8)
    )


def agreement(grades: pl.DataFrame) -> dict[str, Any]:
    """How far annotators agree: Krippendorff's alpha over all, and Cohen's kappa of each two, both for ordered grades.

    Only pairs that several people graded count. Annotators are numbered, the one with the most such grades first.

    Args:
        grades: GRADES, without contradictions.

    Returns:
        pairs: how many pairs several people graded.
        annotators: how many people graded any of them.
        alpha: 1 is perfect agreement, 0 what chance gives; None where there is none to measure.
        kappa: by "1-2" and so on, quadratically weighted (Cohen, 1968), with the number of pairs that both graded; the twenty
            with the most pairs.
    """
    own = grades.unique(["query_id", "target_id", "annotator"])
    shared = own.filter(pl.len().over("query_id", "target_id") > 1)
    if not shared.height:
        return {"pairs": 0, "annotators": 0, "alpha": None, "kappa": {}}
    order = shared.group_by("annotator").len().sort(["len", "annotator"], descending=[True, False])
    numbers = {name: at for at, name in enumerate(order["annotator"], 1)}
    units = shared.select(
        pl.struct("query_id", "target_id").rank("dense").alias("unit"),
        pl.col("annotator").replace_strict(numbers, return_dtype=pl.Int64).alias("by"),
        pl.col("grade").cast(pl.Int64),
    )
    counts = np.zeros((int(units["unit"].n_unique()), int(units["grade"].max()) + 1))  # type: ignore[arg-type]
    np.add.at(counts, (units["unit"].to_numpy() - 1, units["grade"].to_numpy()), 1)
    return {
        "pairs": len(counts),
        "annotators": len(numbers),
        "alpha": alpha(counts),
        "kappa": _kappas(units),
    }


def alpha(counts: NDArray[np.float64]) -> float | None:
    """Krippendorff's alpha for ordered values, from how many people gave each unit each value.

    After "Computing Krippendorff's Alpha-Reliability" (2011), sections D and E, where it is shown by hand. Of the libraries
    that compute it, the kept one is under the GPL.

    Args:
        counts: shape (units, values); units with fewer than two values do not count.

    Returns:
        1 for perfect agreement, 0 for chance; None where only one value was given, so that chance cannot be told.

    >>> alpha(np.array([[2.0, 0.0], [0.0, 2.0]]))
    1.0
    """
    counts = counts[counts.sum(axis=1) > 1]
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)
    coincidences = counts.T @ weighted - np.diag(weighted.sum(axis=0))  # (values, values)
    totals = coincidences.sum(axis=1)
    below = np.cumsum(totals) - totals / 2  # the middle of each value's ranks
    apart = (below[:, None] - below[None, :]) ** 2
    expected = float((np.outer(totals, totals) * apart).sum())
    if expected == 0:
        return None
    return 1.0 - float((coincidences * apart).sum()) * (float(totals.sum()) - 1) / expected


def _kappas(units: pl.DataFrame) -> dict[str, dict[str, float | int | None]]:
    both = units.join(units, on="unit").filter(pl.col("by") < pl.col("by_right"))
    sizes = both.group_by("by", "by_right").len().sort(["len", "by", "by_right"], descending=[True, False, False])
    found: dict[str, dict[str, float | int | None]] = {}
    for one, other, size in sizes.head(_MOST_PAIRS).iter_rows():
        pair = both.filter(pl.col("by") == one, pl.col("by_right") == other)
        grades, others = pair["grade"].to_list(), pair["grade_right"].to_list()
        scale = list(range(max(*grades, *others) + 1))  # else grades 0 and 3 alone would be neighbours
        constant = len({*grades, *others}) == 1  # nothing to weigh: kappa is 0 / 0
        value = None if constant else float(cohen_kappa_score(grades, others, labels=scale, weights="quadratic"))
        found[f"{one}-{other}"] = {"kappa": value, "pairs": size}
    return found
