"""Line charts: places in an SVG's viewBox, worked out here so that the template only draws."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from burnish.report.formatting import Given, clean, number
from burnish.report.grids import Grid

WIDE, HIGH = 460, 280  # of a chart, in the units of its viewBox: small, so that its text stays readable on a phone
LEFT, RIGHT, ABOVE, BELOW = 48, 88, 14, 42
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
    x_place = scale(x, (min(across), max(across)), (LEFT, WIDE - RIGHT))
    y_place = scale(y, (y_marks[0], y_marks[-1]), (HIGH - BELOW, ABOVE))
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


def scale(axis: Axis, values: tuple[float, float], places: tuple[float, float]) -> Callable[[float], float]:
    """Where a value of the axis stands, for `values` that stand at `places`."""

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
    ceiling = float(HIGH - BELOW)
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
