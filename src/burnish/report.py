"""What people read of a run: one page, and one summary for a pull request.

Every query, passage, label and folder name in them was written by others. In HTML the template escapes all text. In
Markdown such text is a `Given` and stands in a code span, where no HTML, link or @mention has a meaning.
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from burnish import measures
from burnish.errors import InputError
from burnish.measures import MAIN, MEASURES

ALLOWED_FALL = 0.01  # of the general set's nDCG@10; DESIGN.md's bound for "general language was kept"
LISTED = 10  # queries in each of the page's two lists
_SUMMARISED = 5  # of them in the summary
_TOP = 5  # results shown of each ranking
_SUMMARY_SLICES = 24  # keeps the summary below 100 lines
_SUMMARY_WIDTHS = 12
_SNIPPET = 240  # characters
_SMALL_P = 0.001  # below it a p is not told more exactly
_FILES = ("retrieval", "widths", "slices", "corpus", "training_set", "mining", "training", "synthesis")
_CURVES = {"learning_curve": ("step", "loss", "dev", "general_dev"), "recall_curve": ("system", "k", "recall")}
_NAMES = {name: name.replace("ndcg", "nDCG").replace("mrr", "MRR").replace("map", "MAP") for name in MEASURES}
_ORIGINS = {
    "curated": "curated test",
    "clicks": "click-log test",
    "synthetic": "synthetic test",
    "extractive": "synthetic test (extractive)",
    "general": "general set",
}
_WRITTEN = {
    "synthetic": ", written by a language model and not by users",
    "extractive": ", cut from the documents themselves and not asked by users",
}


class Given(str):
    """Text that others wrote."""

    __slots__ = ()


def clean(text: str, most: int = 10_000) -> str:
    r"""`text` on one line, without control and direction characters, cut to `most` characters.

    Joiners stay, since Persian, Indic scripts and emoji need them.

    >>> clean("a\n b\x1b[0m\u202ec")
    'a b[0mc'
    >>> clean("abcdef", 4)
    'abc…'
    """
    shown = "".join(
        one for one in " ".join(text.split()) if one in "\u200c\u200d" or unicodedata.category(one) not in {"Cc", "Cf"}
    )
    return shown if len(shown) <= most else shown[: most - 1].rstrip() + "…"


def code_span(text: str) -> str:
    r"""`text` as Markdown code within a table cell: no HTML, link, reference or @mention in it is one.

    The fence is longer than any run of backticks inside; a pipe is escaped, which GitHub's tables undo within code too.

    >>> print(code_span("<b> @all `x` | [y](z)"))
    ``<b> @all `x` \| [y](z)``
    """
    shown = clean(text) or "(empty)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{pad}{shown}{pad}{fence}".replace("|", r"\|")


def number(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` decimals, or a dash where there is none.

    >>> number(0.42549), number(None)
    ('0.425', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """`value` as a difference: its sign always shown, none for what rounds to 0.

    >>> signed(0.11), signed(-0.0104, 4), signed(-0.0001)
    ('+0.110', '−0.0104', '0.000')
    """
    shown = number(value, digits)
    if not any(one in "123456789" for one in shown):
        return shown.removeprefix("−")
    return shown if shown.startswith("−") else f"+{shown}"


# ---- what was measured ----


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
        return any(one in _WRITTEN for one in self.origin.split(", "))


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


# ---- the verdict ----


@dataclass(frozen=True)
class Verdict:
    """Did it help, was general language kept, what to do next; and systems that are better than tuned, with nDCG@10."""

    outcome: str  # better, worse, open: the page's colour and mark
    helped: str
    general: str
    following: str
    ahead: tuple[tuple[str, str], ...]


def verdict(test: Comparison, general: Comparison | None) -> Verdict:
    """What the numbers allow to say, by the 95 % interval of tuned minus base and the bound on the general fall."""
    main = test.main
    outcome = "better" if (main.low or 0) > 0 else "worse" if (main.high or 0) < 0 else "open"
    kept = None if general is None else _kept(general)
    return Verdict(outcome, _helped(test, outcome), _general(general), _following(test, outcome, kept=kept), _ahead(test))


def _helped(test: Comparison, outcome: str) -> str:
    row = test.main
    said = {
        "better": f"Fine-tuning helped: {row.measure} rose from",
        "worse": f"Fine-tuning did harm: {row.measure} fell from",
        "open": f"No effect of fine-tuning is shown: {row.measure} went from",
    }[outcome]
    relative = "" if test.relative is None else f"{test.relative:+.0%} relative; ".replace("-", "−").replace("%", " %")
    queries = f"{test.queries} queries of the {test.label}{_WRITTEN.get(test.origin, '')}"
    ends = f"{number(row.values['base'])} to {number(row.values['tuned'])}"
    apart = f"{signed(row.difference)} ({relative}95 % interval {_interval(row.low, row.high)})"
    return f"{said} {ends}, {apart}, on {queries}."


def _kept(general: Comparison) -> bool:
    return general.main.difference >= -ALLOWED_FALL


def _general(general: Comparison | None) -> str:
    if general is None:
        return "Whether general language was kept was not tested: there are no general test queries."
    row = general.main
    interval = _interval(row.low, row.high, 4)
    change = f"{row.measure} {signed(row.difference, 4)} (95 % interval {interval}) on {general.queries} general queries"
    if not _kept(general):
        return f"General language was not kept: {change}, more than the allowed fall of {ALLOWED_FALL}."
    if (row.low or 0) < -ALLOWED_FALL:
        return f"General language was kept as far as these queries show: {change}; the allowed fall is {ALLOWED_FALL}."
    return f"General language was kept: {change}; the allowed fall is {ALLOWED_FALL}."


def _following(test: Comparison, outcome: str, *, kept: bool | None) -> str:
    if outcome == "worse":
        return (
            "Next: do not deploy; read the most damaged queries below, then check the passages, the share of false "
            "negatives and the learning rate."
        )
    if kept is False:
        return "Next: do not deploy; raise `mix.general_share` or lower `train.interpolation`, and train again."
    if outcome == "open":
        shown = "no difference" if test.detectable is None else f"only a difference of {number(test.detectable)} or more"
        return f"Next: more judgments before any decision; {test.queries} queries can show {shown}."
    if test.synthetic:
        return (
            "Next: judge real queries before deploying (`burnish doctor` says how many); a synthetic test cannot stand "
            "for users."
        )
    if kept is None:
        return "Next: add general test queries before deploying, or deploy where only domain queries come."
    return "Next: deploy."


def _ahead(test: Comparison) -> tuple[tuple[str, str], ...]:
    values = test.main.values
    return tuple((clean(one, 40), number(values[one])) for one in test.systems if values[one] > values["tuned"])


def _interval(low: float | None, high: float | None, digits: int = 3) -> str:
    return "" if low is None or high is None else f"{signed(low, digits)} to {signed(high, digits)}"


def _p(value: float | None) -> str:
    return "" if value is None else f"< {_SMALL_P}" if value < _SMALL_P else number(value)


# ---- queries that changed most ----


@dataclass(frozen=True)
class Hit:
    """One result as it is shown; `grade` is None where nobody judged it."""

    rank: int
    grade: int | None
    title: str
    heading: str
    snippet: str


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


def changes(runs: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, passages: pl.DataFrame) -> Changes:
    """The domain's test queries whose nDCG@10 fine-tuning changed most; equal changes stand by query_id.

    Where judgments name documents, rankings are over documents, each shown by its best passage.

    Raises:
        InputError: the runs lack the system base or tuned.
    """
    test = queries.filter(pl.col("split") == "test", pl.col("origin") != "general")
    judged = qrels.join(test, on="query_id", how="semi")
    by_document = measures.judged_by_document(judged)
    truth = measures.of_unit(judged, passages, by_document=by_document)
    ranked, scored = {}, []
    for system in ("base", "tuned"):
        run = runs.filter(pl.col("system") == system).join(test, on="query_id", how="semi")
        if not run.height:
            raise InputError(f"runs: expected rows of the system {system!r} for test queries, found none; run retrieve again")
        targets = measures.of_targets(run, passages, by_document=by_document)
        scored.append(measures.by_query(targets, truth, (MAIN,)).rename({MAIN: system}))
        ranked[system] = _ranked(run, passages, truth, by_document=by_document)
    both = scored[0].join(scored[1], on="query_id").with_columns((pl.col("tuned") - pl.col("base")).round(9).alias("apart"))
    risen = both.filter(pl.col("apart") > 0).sort(["apart", "query_id"], descending=[True, False])
    fallen = both.filter(pl.col("apart") < 0).sort("apart", "query_id")
    texts = dict(test.select("query_id", "text").iter_rows())
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
    whole = best.sort(["query_id", "score", "target_id"], descending=[False, True, False])
    whole = whole.select("query_id", "target_id", "passage_id", pl.int_range(1, pl.len() + 1).over("query_id").alias("place"))
    whole = whole.join(truth, on=["query_id", "target_id"], how="left").filter(
        (pl.col("place") <= _TOP) | (pl.col("grade") > 0)
    )
    texts = passages.select("passage_id", "title", "heading", "text")
    return whole.join(texts, on="passage_id").sort("query_id", "place")


def _shown(part: pl.DataFrame, texts: Mapping[str, str], ranked: Mapping[str, pl.DataFrame]) -> tuple[Change, ...]:
    made = []
    for row in part.iter_rows(named=True):
        rankings = [
            _ranking(system, row[system], frame.filter(pl.col("query_id") == row["query_id"]))
            for system, frame in ranked.items()
        ]
        made.append(Change(clean(texts[row["query_id"]], 400), *rankings))
    return tuple(made)


def _ranking(system: str, score: float, rows: pl.DataFrame) -> Ranking:
    hits = tuple(
        Hit(
            one["place"],
            one["grade"],
            clean(one["title"], 120),
            clean(one["heading"], 120),
            clean(one["text"], _SNIPPET),
        )
        for one in rows.filter(pl.col("place") <= _TOP).iter_rows(named=True)
    )
    answers = rows.filter(pl.col("grade") > 0)["place"].to_list()
    return Ranking(system, score, hits, min(answers, default=None))


# ---- tables ----


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
                _interval(row.low, row.high),
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
            for width, found in _by_width(widths)
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
                _interval(found.get("low"), found.get("high")),
            )
            for name, label, found in _slices(slices)
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


def _by_width(widths: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    return sorted(((int(width), found) for width, found in widths.items()), key=lambda one: -one[0])


def _slices(slices: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [(name, label, slices[name][label]) for name in sorted(slices) for label in sorted(slices[name])]


# ---- charts ----

_WIDE, _HIGH = 460, 280  # of a chart, in the units of its viewBox: small, so that its text stays readable on a phone
_LEFT, _RIGHT, _ABOVE, _BELOW = 48, 88, 14, 42
_APART = 15  # between two labels
_POINTS = 150  # of a line; more are averaged


@dataclass(frozen=True)
class Line:
    """One line of a chart; `look` is the CSS class of its colour and dashes."""

    name: str
    look: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Axis:
    """An axis: what it shows, whether it is logarithmic, and the values it marks (nice ones where none are given)."""

    label: str
    log: bool = False
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """A line in viewBox units, with the place of its label at the right edge."""

    name: str
    look: str
    path: str
    dots: tuple[tuple[float, float], ...]
    label_y: float


@dataclass(frozen=True)
class Chart:
    """What the template draws, and the values again as a table for those who cannot see it."""

    title: str
    description: str
    x: Axis
    y: Axis
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Drawn, ...]
    table: Grid


def chart(title: str, lines: Sequence[Line], x: Axis, y: Axis) -> Chart | None:
    """A line chart, or None where no line has two points."""
    kept = [Line(clean(one.name, 14), one.look, _thinned(one.points)) for one in lines if len(one.points) > 1]
    if not kept:
        return None
    across, along = [[point[at] for one in kept for point in one.points] for at in (0, 1)]
    y_marks = y.ticks or nice_ticks(min(along), max(along))
    x_marks = x.ticks or nice_ticks(min(across), max(across))
    x_place = _scale(x, (min(across), max(across)), (_LEFT, _WIDE - _RIGHT))
    y_place = _scale(y, (y_marks[0], y_marks[-1]), (_HIGH - _BELOW, _ABOVE))
    placed = [[(round(x_place(a), 1), round(y_place(b), 1)) for a, b in one.points] for one in kept]
    labels = _spread([tuple(b for _, b in points) for points in placed])
    return Chart(
        title,
        "; ".join(_course(one) for one in kept),
        x,
        y,
        _clear([(round(x_place(one), 1), f"{one:g}") for one in x_marks if min(across) <= one <= max(across)]),
        tuple((round(y_place(one), 1), f"{one:g}") for one in y_marks),
        tuple(
            Drawn(one.name, one.look, " ".join(f"{a},{b}" for a, b in points), tuple(points), label)
            for one, points, label in zip(kept, placed, labels, strict=True)
        ),
        _values(kept, x.label),
    )


def _course(line: Line) -> str:
    (first, start), (last, end) = line.points[0], line.points[-1]
    return f"{line.name}: {number(start)} at {first:g} to {number(end)} at {last:g}"


def nice_ticks(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """Round values a human would mark, from at or below `low` to at or above `high`.

    >>> nice_ticks(0.42, 0.54)
    (0.4, 0.45, 0.5, 0.55)
    """
    span = max(high - low, 1e-3)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(size * power for size in (1, 2, 2.5, 5, 10, 20) if span / (size * power) <= most - 1)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(at * step, 10) for at in range(first, max(last, first + 1) + 1))


def _scale(axis: Axis, values: tuple[float, float], places: tuple[float, float]) -> Callable[[float], float]:
    def bent(value: float) -> float:
        return math.log(value) if axis.log else value

    low, span = bent(values[0]), (bent(values[1]) - bent(values[0])) or 1.0
    return lambda value: places[0] + (bent(value) - low) / span * (places[1] - places[0])


def _thinned(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """At most _POINTS points: means of as many neighbours as it takes."""
    size = math.ceil(len(points) / _POINTS)
    bins = [points[at : at + size] for at in range(0, len(points), size)]
    return tuple((sum(a for a, _ in one) / len(one), sum(b for _, b in one) / len(one)) for one in bins)


def _spread(courses: Sequence[tuple[float, ...]]) -> list[float]:
    """Heights of labels: where each line ends, moved apart until readable; of equal ends the higher line's is above."""
    heights = [course[-1] for course in courses]
    order = sorted(range(len(heights)), key=lambda at: (heights[at], sum(courses[at]) / len(courses[at]), at))
    placed = dict.fromkeys(order, 0.0)
    floor = 0.0
    for at in order:
        floor = placed[at] = max(heights[at], floor)
        floor += _APART
    ceiling = float(_HIGH - _BELOW)
    for at in reversed(order):
        ceiling = placed[at] = min(placed[at], ceiling)
        ceiling -= _APART
    return [round(placed[at], 1) for at in range(len(heights))]


def _clear(ticks: Sequence[tuple[float, str]]) -> tuple[tuple[float, str], ...]:
    """Ticks without those whose labels would touch the one before."""
    kept: list[tuple[float, str]] = []
    for place, label in sorted(ticks):
        if not kept or place - kept[-1][0] >= 7 * (len(label) + len(kept[-1][1])) / 2 + 6:
            kept.append((place, label))
    return tuple(kept)


def _values(lines: Sequence[Line], x_label: str) -> Grid:
    known = [dict(one.points) for one in lines]
    across = sorted({a for one in known for a in one})
    rows = tuple((f"{a:g}", *(number(one.get(a)) for one in known)) for a in across)
    return Grid((x_label, *(Given(one.name) for one in lines)), rows)


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
    rows = _by_width(widths)[::-1]
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
    found: list[list[Any]] = [[one.get(part) for part in ("low", "delta", "high")] for _, _, one in _slices(slices)]
    ends: list[float] = [0.0, *(value for one in found if None not in one for value in one)]
    place = _scale(Axis(""), (min(ends), max(ends)), (4, 96))
    return tuple(None if None in one else Whisker(*(round(place(value), 1) for value in (*one, 0.0))) for one in found)


# ---- the two files ----


def summary(metrics: Metrics, changed: Changes) -> str:
    """The Markdown summary, fewer than 100 lines; what stands before its first heading is the verdict and the table."""
    test, general = _comparisons(metrics)
    said = verdict(test, general)
    slices = slice_table(metrics.values["slices"])
    left = len(slices.rows) - _SUMMARY_SLICES
    widths = width_table(metrics.values["widths"])
    listed = (("Most improved", changed.improved, changed.better), ("Most damaged", changed.damaged, changed.worse))
    parts = [
        f"**{said.helped}** {said.general} **{said.following}**",
        *(f"{code_span(name)} is above the tuned model: nDCG@10 {value}." for name, value in said.ahead),
        f"Before and after: {test.label}, {test.queries} queries",
        markdown_table(before_after(test, general)),
        f"## Widths: {test.label}",
        markdown_table(Grid(widths.head, widths.rows[:_SUMMARY_WIDTHS], widths.names)),
        f"## Slices: nDCG@10, {test.label}",
        markdown_table(Grid(slices.head, slices.rows[:_SUMMARY_SLICES], slices.names)),
        *([f"{left} more slices stand in the page."] if left > 0 else []),
    ]
    for title, part, count in listed:
        heading = f"## {title}: nDCG@10, {test.label}, {min(len(part), _SUMMARISED)} of {count}"
        parts += [heading, markdown_table(change_table(part[:_SUMMARISED])) if part else "None."]
    return "\n\n".join(parts) + "\n"


def page(metrics: Metrics, changed: Changes) -> str:
    """The page: HTML that loads nothing and runs nothing; the template escapes every text."""
    test, general = _comparisons(metrics)
    values = metrics.values
    loss, dev = learning_charts(metrics.curves["learning_curve"])
    here = Path(__file__).parent
    templates = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"number": number, "signed": signed}
    return templates.get_template("report.html.j2").render(
        test=test,
        general=general,
        verdict=verdict(test, general),
        before_after=before_after(test),
        general_table=None if general is None else before_after(general),
        recall=recall_chart(metrics.curves["recall_curve"]),
        widths=width_table(values["widths"]),
        width_chart=width_chart(values["widths"]),
        slices=slice_table(values["slices"]),
        whiskers=whiskers(values["slices"]),
        learning=(loss, dev),
        best_step=values["training"].get("best_step"),
        changed=changed,
        training_table=training_table(values["training_set"]),
        counts=_counted(values),
        allowed_fall=ALLOWED_FALL,
        size={"wide": _WIDE, "high": _HIGH, "left": _LEFT, "right": _RIGHT, "above": _ABOVE, "below": _BELOW},
    )


def _counted(values: Mapping[str, Any]) -> list[tuple[str, Grid]]:
    by_origin = {"offered", "used", "dropped"}  # these stand in `training_table`
    return [
        ("Corpus", count_table(values["corpus"])),
        ("Synthetic queries", count_table(values["synthesis"])),
        (
            "Training set",
            count_table({key: one for key, one in values["training_set"].items() if key not in by_origin}),
        ),
        ("Hard negatives", count_table(values["mining"])),
        ("Training", count_table(values["training"])),
    ]


def _comparisons(metrics: Metrics) -> tuple[Comparison, Comparison | None]:
    found = metrics.values["retrieval"]
    if "test" not in found:
        raise InputError("retrieval.json: expected a part `test`, found none; run the stage score again")
    return comparison(found["test"]), comparison(found["general"]) if found.get("general") else None
