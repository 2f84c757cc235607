"""The report's charts: recall by depth, nDCG@10 by width, training by step, and the interval of each slice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from burnish.evaluation.measures import MAIN
from burnish.report.charts import Axis, Chart, Line, chart, scale
from burnish.report.grids import by_width, each_slice

_OTHERS = ("other1", "other2", "other3")


def recall_chart(curve: pl.DataFrame) -> Chart | None:
    """Recall by depth, a line for each system at full width."""
    systems = [one for one in curve["system"].unique().sort().to_list() if "@" not in one]
    others = [one for one in systems if one not in {"bm25", "base", "tuned"}]
    looks = {one: one if one in {"bm25", "base", "tuned"} else _OTHERS[others.index(one) % len(_OTHERS)] for one in systems}
    lines = [Line(one, looks[one], _points(curve.filter(pl.col("system") == one), "k", "recall")) for one in systems]
    depths = tuple(curve["k"].unique().sort().to_list())
    return chart(
        "Recall by depth",
        lines,
        Axis("results read (k)", log=True, ticks=depths),
        Axis("recall@k", ticks=(0, 0.25, 0.5, 0.75, 1)),
    )


def width_chart(widths: Mapping[str, Any]) -> Chart | None:
    """nDCG@10 by width, tuned and base."""
    rows = by_width(widths)[::-1]
    lines = [
        Line(name, name, tuple((float(width), float(found[key])) for width, found in rows if found.get(key) is not None))
        for name, key in (("base", f"base_{MAIN}"), ("tuned", MAIN))
    ]
    ticks = tuple(float(width) for width, _ in rows)
    return chart("nDCG@10 by width", lines, Axis("width (dimensions)", log=True, ticks=ticks), Axis("nDCG@10"))


def learning_charts(curve: pl.DataFrame) -> tuple[Chart | None, Chart | None]:
    """Loss by step, and the dev measures by step."""
    step = Axis("step")
    dev = [
        Line(name, look, _points(curve, "step", key))
        for name, look, key in (("domain", "tuned", "dev"), ("general", "other1", "general_dev"))
    ]
    loss = [Line("loss", "tuned", _points(curve, "step", "loss"))]
    return chart("Training loss by step", loss, step, Axis("loss")), chart(
        "nDCG@10 on dev queries by step", dev, step, Axis("nDCG@10")
    )


def _points(frame: pl.DataFrame, x: str, y: str) -> tuple[tuple[float, float], ...]:
    return tuple(frame.select(x, y).drop_nulls().sort(x).iter_rows())


@dataclass(frozen=True)
class Whisker:
    """An interval on a scale of 100 units that all slices share: its ends, its mean, and where 0 lies."""

    low: float
    mean: float
    high: float
    zero: float


def whiskers(slices: Mapping[str, Any]) -> tuple[Whisker | None, ...]:
    """The interval of each slice, in the order of `slice_table`; None where there is none."""
    found: list[list[Any]] = [[one.get(part) for part in ("low", "delta", "high")] for _, _, one in each_slice(slices)]
    ends: list[float] = [0.0, *(value for one in found if None not in one for value in one)]
    place = scale(Axis(""), (min(ends), max(ends)), (4, 96))
    return tuple(None if None in one else Whisker(*(round(place(value), 1) for value in (*one, 0.0))) for one in found)
