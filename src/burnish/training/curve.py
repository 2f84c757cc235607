"""The learning curve, and what became of a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from burnish import atomic


def learning_curve(points: list[dict[str, float]], history: list[dict[str, float]]) -> list[dict[str, float]]:
    """The trainer's log and the dev measures as rows of one table, by step; absent values are left out."""
    rows: dict[float, dict[str, float]] = {}
    logged: list[dict[str, float]] = [
        {name: entry[name] for name in ("step", "loss", "learning_rate") if name in entry} for entry in history
    ]
    for entry in [*logged, *points]:
        rows.setdefault(entry["step"], {}).update(entry)
    return [rows[step] for step in sorted(rows) if len(rows[step]) > 1]


def write_curve(path: Path, points: Sequence[Mapping[str, float]]) -> None:
    """Write the learning curve as CSV, empty where a step has no such value."""
    names = ["step", "loss", "learning_rate", "dev", "general_dev", "score"]
    frame = pl.DataFrame(
        [{name: point.get(name) for name in names} for point in points], schema=dict.fromkeys(names, pl.Float64)
    )
    with atomic.file(path) as temporary:
        frame.with_columns(pl.col("step").cast(pl.Int64)).write_csv(temporary, float_precision=6)
