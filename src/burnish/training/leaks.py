"""The leak report: which training or dev query is like which held-out one, how alike, and which of the two was left out."""

from collections.abc import Sequence
from typing import Literal

import polars as pl

from burnish.tables import LEAKS
from burnish.writing import normalised

KINDS = ("exact", "normalised", "near-duplicate")  # the worst first, as the audit names them


def leaks(
    queries: pl.DataFrame,
    held: pl.DataFrame,
    pairs: Sequence[tuple[int, int, float]],
    *,
    left_out: Literal["training", "dev", "held-out"],
) -> pl.DataFrame:
    """The table `leaks` of the pairs that were found.

    Args:
        queries: that may be trained on, or dev queries.
        held: held-out queries; test queries where `queries` are dev queries.
        pairs: row of `queries`, row of `held` and their similarity, as `near_duplicates` gives them.
        left_out: which query of each pair is left out.

    >>> asked = pl.DataFrame({"query_id": ["a", "b"], "text": ["Pin it", "pin it?"], "origin": "general", "split": "test"})
    >>> leaks(asked[:1], asked[1:], [(0, 0, 1.0)], left_out="training").select("query_id", "held_id", "kind").row(0)
    ('a', 'b', 'normalised')
    """
    rows, others, similarities = zip(*pairs, strict=True) if pairs else ((), (), ())
    left = _rows(queries.select("query_id", "text", "origin"), rows)
    right = _rows(held.select(held_id="query_id", held_text="text", held_origin="origin", held_split="split"), others)
    found = pl.concat([left, right], how="horizontal").with_columns(
        similarity=pl.Series(similarities, dtype=pl.Float32), left_out=pl.lit(left_out), kind=_kind()
    )
    return found.select(*LEAKS.columns)


def worst(found: pl.DataFrame, most: int) -> pl.DataFrame:
    """The first `most` pairs: exact ones before normalised ones before others, the most alike first."""
    severity = pl.col("kind").replace_strict({kind: at for at, kind in enumerate(KINDS)}, return_dtype=pl.Int8)
    return found.sort(severity, -pl.col("similarity"), "query_id", "held_id").head(most)


def _rows(frame: pl.DataFrame, rows: Sequence[int]) -> pl.DataFrame:
    return frame.select(pl.all().gather(pl.Series(rows, dtype=pl.UInt32)))


def _kind() -> pl.Expr:
    plain = [pl.col(name).map_elements(normalised, return_dtype=pl.String) for name in ("text", "held_text")]
    exact, normal, near = (pl.lit(kind) for kind in KINDS)
    return pl.when(pl.col("text") == pl.col("held_text")).then(exact).when(plain[0] == plain[1]).then(normal).otherwise(near)
