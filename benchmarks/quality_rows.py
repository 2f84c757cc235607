"""What quality.py prints: the results of the systems as rows, as a Markdown table and as lines of JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.evaluation import measures
from burnish.evaluation.measures import MAIN

NARROWED = ("documented", "burnish")  # the systems that are made for narrower widths


@dataclass(frozen=True)
class Result:
    """How a system does on a folder.

    Attributes:
        values: nDCG@10 of each test query, in the queries' order.
        seconds: what its making took.
        kept: for each narrower width the share of the full width's mean nDCG@10.
        general: nDCG@10 of each test query of the general folder; None where it was not judged on one.
    """

    values: NDArray[np.float64]
    seconds: float
    kept: Mapping[int, float]
    general: NDArray[np.float64] | None = None


def records(
    name: str, results: Mapping[str, Result], seed: int, *, before: NDArray[np.float64] | None = None
) -> list[dict[str, Any]]:
    """One row a system: its mean, its seconds and, where plain is there too, its difference to plain with interval and p.

    Further, each where it is known: its difference to the documented recipe; for systems that are made for narrower widths, the share
    of the full width's nDCG@10 that each keeps; nDCG@10 on the general folder, and how far it moved from the base's, `before`.
    """
    rows = []
    for system, found in results.items():
        row: dict[str, Any] = {"data": name, "system": system, MAIN: _rounded(found.values.mean())}
        row["seconds"] = round(found.seconds, 1)
        for rival, names in (
            ("plain", {"mean": "mean", "low": "low", "high": "high", "p": "p"}),
            ("documented", {"mean": "minus_documented", "low": "minus_documented_low", "high": "minus_documented_high"}),
        ):
            if rival in results and system != rival:
                row |= _apart(found.values, results[rival].values, names, seed)
        if system in NARROWED:
            row |= {f"kept@{width}": _rounded(share) for width, share in sorted(found.kept.items())}
        if before is not None:
            general = before if found.general is None else found.general
            row[f"general_{MAIN}"] = _rounded(general.mean())
            if system != "base":
                names = {"mean": "general_change", "low": "general_low", "high": "general_high"}
                row |= _apart(general, before, names, seed)
        rows.append(row | {"queries": len(found.values)})
    return rows


def _apart(values: NDArray[np.float64], other: NDArray[np.float64], names: Mapping[str, str], seed: int) -> dict[str, float]:
    """The parts of the paired difference, under their names in a row."""
    found = measures.difference(values, other, seed=seed)
    return {name: _rounded(getattr(found, part)) for part, name in names.items()}


def _rounded(value: float) -> float:
    return round(float(value), 4)


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Lines of cells, the first of them titles, as a Markdown table."""
    title, *lines = ("".join(f"| {cell} " if cell else "| " for cell in line) + "|" for line in cells)
    return "\n".join([title, "|" + "---|" * len(cells[0]), *lines])


def interval(row: Mapping[str, Any], mean: str, low: str, high: str) -> str:
    """The cell of a difference, empty where the row has none."""
    return f"{row[mean]:+.4f} ({row[low]:+.4f} to {row[high]:+.4f})" if mean in row else ""


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table; a column that no row fills is left out but for those of the difference to plain."""
    widths = sorted({int(name.removeprefix("kept@")) for row in rows for name in row if name.startswith("kept@")})
    has_documented, has_general = (any(name in row for row in rows) for name in ("minus_documented", f"general_{MAIN}"))
    titles = ["data", "system", "nDCG@10", "minus plain (95 % interval)", "p", "seconds", "test queries"]
    titles += ["minus documented (95 % interval)"] * has_documented
    titles += [f"kept at {width}" for width in widths]
    titles += ["general nDCG@10", "general minus base (95 % interval)"] * has_general
    cells = [titles]
    for row in rows:
        cells.append([row["data"], row["system"], f"{row[MAIN]:.4f}", interval(row, "mean", "low", "high")])
        cells[-1] += [f"{row['p']:.4f}" if "p" in row else "", f"{row['seconds']:.1f}", str(row["queries"])]
        if has_documented:
            cells[-1].append(interval(row, "minus_documented", "minus_documented_low", "minus_documented_high"))
        cells[-1] += [f"{row[f'kept@{width}']:.1%}" if f"kept@{width}" in row else "" for width in widths]
        if has_general:
            cells[-1] += [f"{row[f'general_{MAIN}']:.4f}", interval(row, "general_change", "general_low", "general_high")]
    return markdown(cells)


def as_json(row: Mapping[str, Any]) -> str:
    """The row as a line of JSON; differences to plain and to the documented recipe stand with burnish alone.

    low and high are those of the difference to plain.
    """
    names = ["data", "system", MAIN, "seconds"]
    if row["system"] == "burnish":
        names += ["low", "high", "minus_documented", "minus_documented_low", "minus_documented_high"]
    names += [name for name in row if name.startswith(("kept@", "general_"))]
    return json.dumps({name: row[name] for name in names if name in row})
