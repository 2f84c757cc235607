"""What was measured, as `score` wrote it: each part of the test as a comparison of systems."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from burnish.errors import InputError
from burnish.evaluation.measures import MAIN, MEASURES

_FILES = ("retrieval", "widths", "slices", "corpus", "training_set", "mining", "training", "synthesis", "reranker", "latency")
_CURVES = {"learning_curve": ("step", "loss", "dev", "general_dev"), "recall_curve": ("system", "k", "recall")}
_NAMES = {name: name.replace("ndcg", "nDCG").replace("mrr", "MRR").replace("map", "MAP") for name in MEASURES}
_ORIGINS = {
    "curated": "curated test",
    "clicks": "click-log test",
    "synthetic": "synthetic test",
    "extractive": "synthetic test (extractive)",
    "general": "general set",
}
WRITTEN = {
    "synthetic": ", written by a language model and not by users",
    "extractive": ", cut from the documents themselves and not asked by users",
}


@dataclass(frozen=True)
class Metrics:
    """The files of the metrics folder: JSON by name, curves as frames."""

    values: Mapping[str, Any]
    curves: Mapping[str, pl.DataFrame]


def read_metrics(folder: Path) -> Metrics:
    """All that `score` wrote.

    Raises:
        InputError: a file is missing or not readable as what its name says.
    """
    values, curves = {}, {}
    for name in _FILES:
        try:
            values[name] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError) as error:
            raise InputError(f"{folder / name}.json: expected metrics as JSON; {error}; run the stage score") from error
    for name, columns in _CURVES.items():
        try:
            frame = pl.read_csv(folder / f"{name}.csv", infer_schema=False)
            curves[name] = frame.select(columns).with_columns(pl.exclude("system").cast(pl.Float64))
        except (FileNotFoundError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{folder / name}.csv: expected a curve as CSV; {error}; run the stage score") from error
    return Metrics(values, curves)


@dataclass(frozen=True)
class Row:
    """One measure of each system, and tuned minus base; low, high and p only where they were computed."""

    measure: str
    values: Mapping[str, float]
    difference: float
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """The systems over one set of test queries."""

    origin: str
    queries: int
    systems: tuple[str, ...]
    rows: Mapping[str, Row]
    relative: float | None
    detectable: float | None

    @property
    def main(self) -> Row:
        """The row of the measure that was fixed beforehand."""
        return self.rows[MAIN]

    @property
    def label(self) -> str:
        """What every heading over these queries says, so that a synthetic test is never taken for users' queries."""
        if self.origin in _ORIGINS:
            return _ORIGINS[self.origin]
        return f"{'partly synthetic' if self.synthetic else 'mixed'} test ({self.origin})"

    @property
    def synthetic(self) -> bool:
        """Whether any of the queries was written by a model or cut from documents."""
        return any(one in WRITTEN for one in self.origin.split(", "))


def comparison(found: Mapping[str, Any]) -> Comparison:
    """One part (test or general) of retrieval.json.

    Systems stand as BM25, other baselines, base, tuned; narrower widths have a table of their own.

    Raises:
        InputError: base, tuned or their difference is missing.
    """
    named = {name for name, value in found.items() if isinstance(value, dict) and name != "delta" and "@" not in name}
    last = [name for name in ("base", "tuned") if name in named]
    first = [name for name in ("bm25",) if name in named]
    systems = (*first, *sorted(named - {*first, *last}), *last)
    try:
        delta = found["delta"]
        rows = {name: _row(name, {one: found[one][name] for one in systems}, delta) for name in _NAMES}
        low, high, queries = delta[f"{MAIN}_low"], delta[f"{MAIN}_high"], delta["queries"]
    except KeyError as error:
        raise InputError(f"retrieval.json: expected {error.args[0]!r}, found none; run the stage score again") from error
    if low is None or high is None:
        raise InputError(f"retrieval.json: delta has no interval for {MAIN}; are there test queries with an answer?")
    origin = found.get("origin", "general")
    if not set(origin.split(", ")) <= set(_ORIGINS):
        raise InputError(f"retrieval.json: origin of the test: expected of {list(_ORIGINS)}, found {origin!r}")
    relative = delta.get("relative") if found["base"][MAIN] else None  # of 0 nothing is a share
    return Comparison(origin, queries, systems, rows, relative, delta.get(f"{MAIN}_detectable"))


def _row(name: str, values: Mapping[str, float], delta: Mapping[str, Any]) -> Row:
    apart = delta.get(name)
    apart = values["tuned"] - values["base"] if apart is None else apart
    return Row(_NAMES[name], values, apart, *(delta.get(f"{name}_{part}") for part in ("low", "high", "p")))
