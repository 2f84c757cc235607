"""The report's tables, as cells of text that page and summary draw each in its own way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.evaluation.measures import MAIN
from burnish.report.changes import Change
from burnish.report.comparison import Comparison
from burnish.report.formatting import Given, clean, code_span, interval, number, signed

_SMALL_P = 0.001  # below it a p is not told more exactly


@dataclass(frozen=True)
class Grid:
    """A table of cells as they are read; the first `names` columns name the row, the others are numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1


def markdown_table(grid: Grid) -> str:
    """`grid` in Markdown, padded so that it reads in a terminal too.

    >>> print(markdown_table(Grid(("width", "nDCG@10"), (("384", "0.535"),))))
    | width | nDCG@10 |
    | :---- | ------: |
    | 384   |   0.535 |
    """
    cells = [[code_span(cell) if isinstance(cell, Given) else cell for cell in row] for row in (grid.head, *grid.rows)]
    wide = [max(3, *(len(row[at]) for row in cells)) for at in range(len(grid.head))]
    named = [at < grid.names for at in range(len(wide))]
    rule = [":" + "-" * (size - 1) if left else "-" * (size - 1) + ":" for size, left in zip(wide, named, strict=True)]
    padded = [
        [cell.ljust(size) if left else cell.rjust(size) for cell, size, left in zip(row, wide, named, strict=True)]
        for row in cells
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (padded[0], rule, *padded[1:]))


def before_after(found: Comparison, general: Comparison | None = None) -> Grid:
    """Measures by systems, and tuned minus base; with `general` its main measure as a last row."""
    systems = tuple(name if name in {"bm25", "base", "tuned"} else Given(clean(name, 40)) for name in found.systems)
    rows = [(row.measure, row) for row in sorted(found.rows.values(), key=lambda row: row is not found.main)]
    if general is not None:
        rows.append((f"{general.main.measure}, general", general.main))
    return Grid(
        ("measure", *systems, "tuned − base", "95 % interval", "p"),
        tuple(
            (
                name,
                *(number(row.values.get(one)) for one in found.systems),
                signed(row.difference),
                interval(row.low, row.high),
                _p(row.p),
            )
            for name, row in rows
        ),
    )


def width_table(widths: Mapping[str, Any]) -> Grid:
    """nDCG@10 of tuned and base at each width, widest first, with what a passage's vector takes."""
    return Grid(
        ("width", "tuned nDCG@10", "base nDCG@10", "kept", "bytes per passage"),
        tuple(
            (
                str(width),
                number(found.get(MAIN)),
                number(found.get(f"base_{MAIN}")),
                _share(found.get("kept")),
                _count(found.get("bytes_per_passage")),
            )
            for width, found in by_width(widths)
        ),
    )


def slice_table(slices: Mapping[str, Any]) -> Grid:
    """nDCG@10 of base and tuned in each slice of the test queries."""
    return Grid(
        ("slice", "queries are", "queries", "base", "tuned", "tuned − base", "95 % interval"),
        tuple(
            (
                Given(clean(name, 40)),
                Given(clean(label, 40)),
                _count(found.get("queries")),
                number(found.get("base")),
                number(found.get("tuned")),
                signed(found.get("delta")),
                interval(found.get("low"), found.get("high")),
            )
            for name, label, found in each_slice(slices)
        ),
        names=2,
    )


def change_table(changed: Sequence[Change]) -> Grid:
    """Queries with their nDCG@10 before and after."""
    return Grid(
        ("query", "base", "tuned"),
        tuple((Given(clean(one.query, 120)), number(one.base.score), number(one.tuned.score)) for one in changed),
    )


def training_table(counts: Mapping[str, Any]) -> Grid:
    """Queries offered, dropped for each reason, and used, by origin."""
    dropped: Mapping[str, Any] = counts.get("dropped", {})
    origins = sorted({*counts.get("offered", {}), *counts.get("used", {}), *(one for by in dropped.values() for one in by)})
    columns = [counts.get("offered", {}), *(dropped[reason] for reason in sorted(dropped)), counts.get("used", {})]
    return Grid(
        ("origin", "offered", *(f"dropped: {_words(reason)}" for reason in sorted(dropped)), "used"),
        tuple((origin, *(_count(column.get(origin, 0)) for column in columns)) for origin in origins),
    )


def count_table(counts: Mapping[str, Any]) -> Grid:
    """Nested counts as one flat table: `{"passage_tokens": {"p50": 167}}` is a row "passage tokens: p50"."""
    return Grid(("count", "value"), tuple(_flat(counts)))


def _flat(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [row for key in sorted(value) for row in _flat(value[key], (*path, str(key)))]
    share = any(part.endswith(("share", "rate")) for part in path)
    shown = "none" if value == {} else _share(value) if share else _count(value)
    return [(": ".join(_words(part) for part in path), shown)]


def _words(name: str) -> str:
    return clean(name.replace("_", " "), 60)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{number(100 * value, 1)} %"


def _count(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    if isinstance(value, float) and not value.is_integer():
        return number(value)
    return f"{int(value):,}" if isinstance(value, int | float) else clean(str(value), 60)


def _p(value: float | None) -> str:
    return "" if value is None else f"< {_SMALL_P}" if value < _SMALL_P else number(value)


def by_width(widths: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """What was found at each width, widest first."""
    return sorted(((int(width), found) for width, found in widths.items()), key=lambda one: -one[0])


def each_slice(slices: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """The slices one under the other: what they are made by, their label, what was found."""
    return [(name, label, slices[name][label]) for name in sorted(slices) for label in sorted(slices[name])]
