"""The leak audit: proof, from the written tables alone, that no held-out query or a near-duplicate is trained on."""

from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from burnish.errors import InputError
from burnish.spelling import spelling
from burnish.writing import normalised

_SHINGLE = 4
_DENSE = r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Bopomofo}\p{Yi}\p{Hangul}]"  # signs that are syllables or words


@dataclass(frozen=True)
class Leak:
    """A training query that stands, in some form, among the held-out ones."""

    kind: str  # exact, normalised, near-duplicate
    train_id: str
    held_id: str
    held_split: str
    similarity: float


def leaks(queries: pl.DataFrame, threshold: float) -> list[Leak]:
    """Every leak from test, dev or the general held-out queries into training, the worst kind of each pair.

    It shares no code with the stage that drops such queries but the normalisation: DuckDB joins the shingles, which needs no
    matrix and spills to disk. Two queries that differ in signs alone, as C++ and C#, are near-duplicates, not one normalised.

    Args:
        queries: all queries with their final split and origin.
        threshold: Jaccard similarity, 0 to 1, from which two queries are near-duplicates: of shingles of four characters, of
            one and of two where signs are syllables or words.

    >>> frame = pl.DataFrame({"query_id": ["a", "b"], "text": ["Pin a version", "pin a version?"], "split": ["train", "test"]})
    >>> [(leak.kind, leak.train_id) for leak in leaks(frame, 0.7)]
    [('normalised', 'a')]
    """
    texts = queries.select(
        "query_id",
        "split",
        "text",
        pl.col("text").map_elements(normalised, return_dtype=pl.String).alias("plain"),
        pl.col("text").map_elements(spelling, return_dtype=pl.String).alias("spelling"),
    )
    with duckdb.connect() as connection:
        connection.register("texts", texts.to_arrow())
        # Sizes of the shingles that begin at each place: 1 and 2 at a sign that is a syllable or word, 2 at a space before one.
        connection.execute(
            f"""create temp table shingles as
                with padded as (select query_id, split = 'train' as trained, ' ' || plain || ' ' as t from texts),
                     places as (select *, unnest(range(1, len(t) + 1)) as i from padded),
                     signs as (select *, regexp_matches(substr(t, i, 1), '{_DENSE}') as dense,
                                      regexp_matches(substr(t, i, 2), '^ {_DENSE}') as before from places),
                     sized as (select *, unnest(case when dense then [1, 2] when before then [2] else [{_SHINGLE}] end) as n
                               from signs)
                select distinct query_id, trained, substr(t, i, n) as shingle from sized where i + n - 1 <= len(t)
                union select query_id, trained, t from padded where len(t) < {_SHINGLE} and not regexp_matches(t, '{_DENSE}')"""
        )
        rows = connection.execute(
            """with sizes as (select query_id, count(*) as n from shingles group by all),
                 shared as (select t.query_id as train_id, h.query_id as held_id, count(*) as n
                            from shingles t join shingles h using (shingle)
                            where t.trained and not h.trained group by all),
                 scored as (select s.*, s.n / (a.n + b.n - s.n) as similarity from shared s
                            join sizes a on a.query_id = s.train_id join sizes b on b.query_id = s.held_id)
               select case when t.text = h.text then 'exact' when t.plain = h.plain and t.spelling = h.spelling then 'normalised'
                      else 'near-duplicate' end,
                      train_id, held_id, h.split, similarity
               from scored join texts t on t.query_id = train_id join texts h on h.query_id = held_id
               where similarity >= ? or t.plain = h.plain or t.text = h.text
               order by train_id, held_id""",
            [threshold],
        ).fetchall()
    return [Leak(*row) for row in rows]


def check(queries: pl.DataFrame, counts: dict[str, Any], *, threshold: float, max_dropped_share: float) -> dict[str, int]:
    """The number of leaks by kind, all zero; otherwise the pipeline stops here.

    Raises:
        InputError: a leak is left, or `max_dropped_share` of an origin's training queries had to be dropped as leaking: then
            train and test come from one place, and what is left of the test says little.
    """
    found = leaks(queries, threshold)
    if found:
        worst = found[0]
        raise InputError(
            f"mix: {len(found)} training queries leak into held-out ones, the first: {worst.train_id} is {worst.kind} to "
            f"{worst.held_split} query {worst.held_id} (similarity {worst.similarity:.2f}); this is a fault of burnish: report it"
        )
    for origin, dropped in counts["dropped"].get("near_duplicate_of_held_out", {}).items():
        share = dropped / counts["offered"][origin]
        if share > max_dropped_share:
            raise InputError(
                f"mix: {dropped} of {counts['offered'][origin]} {origin} training queries ({share:.0%}) are near-duplicates of "
                f"held-out queries, more than mix.max_leak_share allows ({max_dropped_share:.0%}); hold out other queries, or raise it"
            )
    return {"exact": 0, "normalised": 0, "near-duplicate": 0}


def check_dev(queries: pl.DataFrame, *, threshold: float) -> None:
    """Whether no dev query is left that repeats a test query, exactly, normalised or nearly.

    Args:
        queries: all queries with their final split.
        threshold: as that of `leaks`.

    Raises:
        InputError: one is left.
    """
    held = queries.filter(pl.col("split") != "train")
    found = leaks(held.with_columns(pl.col("split").replace({"dev": "train"})), threshold)
    if found:
        worst = found[0]
        raise InputError(
            f"mix: {len(found)} dev queries repeat test queries, the first: {worst.train_id} is {worst.kind} to test query "
            f"{worst.held_id} (similarity {worst.similarity:.2f}); this is a fault of burnish: report it"
        )
