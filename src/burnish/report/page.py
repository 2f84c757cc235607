"""What people read of a run: one page, and one summary for a pull request.

Every query, passage, label and folder name in them was written by others. In HTML the template escapes all text. In
Markdown such text is a `Given` and stands in a code span, where no HTML, link or @mention has a meaning.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from burnish.errors import InputError
from burnish.evaluation.slices import DOMAIN_RATIO
from burnish.report import charts, reranking
from burnish.report.changes import Changes
from burnish.report.comparison import Comparison, Metrics, comparison
from burnish.report.curves import learning_charts, recall_chart, whiskers, width_chart
from burnish.report.formatting import code_span, number, signed
from burnish.report.grids import (
    Grid,
    before_after,
    change_table,
    count_table,
    markdown_table,
    slice_table,
    training_table,
    width_table,
)
from burnish.report.training_set import general_sentence, leak_counts, leak_table
from burnish.report.verdict import ALLOWED_FALL, verdict

_SUMMARISED = 5  # of them in the summary
_SUMMARY_SLICES = 24  # keeps the summary below 100 lines
_SUMMARY_WIDTHS = 12


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
        *([again] if (again := reranking.sentence(metrics.values["reranker"], metrics.values["latency"])) else []),
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


def page(metrics: Metrics, changed: Changes, leaks: pl.DataFrame) -> str:
    """The page: HTML that loads nothing and runs nothing; the template escapes every text. `leaks` is LEAKS."""
    test, general = _comparisons(metrics)
    values = metrics.values
    loss, dev = learning_charts(metrics.curves["learning_curve"])
    here = Path(__file__).parent
    templates = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {"number": number, "signed": signed}
    return templates.get_template("page.html.j2").render(
        test=test,
        general=general,
        verdict=verdict(test, general),
        reranker=reranking.sentence(values["reranker"], values["latency"]),
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
        general_sentence=general_sentence(values["training_set"]),
        leak_counts=leak_counts(leaks),
        leak_table=leak_table(leaks),
        counts=_counted(values),
        allowed_fall=ALLOWED_FALL,
        domain_ratio=DOMAIN_RATIO,
        size={
            "wide": charts.WIDE,
            "high": charts.HIGH,
            "left": charts.LEFT,
            "right": charts.RIGHT,
            "above": charts.ABOVE,
            "below": charts.BELOW,
        },
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
