"""What the report says of the training set: the leaks that were left out, and whether the general set was large enough."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from burnish.report.formatting import Given, clean, number
from burnish.report.grids import Grid
from burnish.training.leaks import KINDS, worst

_SHOWN = 10  # pairs; the table has all


def general_sentence(counts: Mapping[str, Any]) -> str:
    """How many general training queries mix.general_share asks for and how many there were; nothing where it asks for none.

    >>> general_sentence({"general_queries": {"asked": 5, "got": 5}})
    'mix.general_share asks for 5 general training queries, and there were as many.'
    """
    asked, got = counts["general_queries"]["asked"], counts["general_queries"]["got"]
    if not asked:
        return ""
    wanted = f"mix.general_share asks for {asked:,} general training queries"
    if got == asked:
        return f"{wanted}, and there were as many."
    return f"{wanted}, but the general set had only {got:,} that could be used. A larger set would fill the share."


def leak_counts(leaks: pl.DataFrame) -> Grid:
    """How many pairs of each kind there were, and how many queries were left out for them."""
    rows = []
    for kind in KINDS:
        own = leaks.filter(pl.col("kind") == kind)
        left_out = (
            own.filter(pl.col("left_out") == side)[name].n_unique()
            for side, name in (("training", "query_id"), ("dev", "query_id"), ("held-out", "held_id"))
        )
        rows.append((kind, f"{own.height:,}", *(f"{count:,}" for count in left_out)))
    heads = ("found as", "pairs", "training queries left out", "dev queries left out", "held-out queries left out")
    return Grid(heads, tuple(rows))


def leak_table(leaks: pl.DataFrame) -> Grid:
    """The first pairs: exact ones before normalised ones before others, the most alike first."""
    return Grid(
        ("query", "like held-out query", "found as", "left out", "similarity"),
        tuple(
            (
                Given(f"{clean(row['text'], 80)} ({row['origin']})"),
                Given(f"{clean(row['held_text'], 80)} ({row['held_origin']} {row['held_split']})"),
                row["kind"],
                row["left_out"],
                number(row["similarity"], 2),
            )
            for row in worst(leaks, _SHOWN).iter_rows(named=True)
        ),
        names=4,
    )
