"""From ratios to grades: the queries and judgments of origin `clicks`."""

import hashlib
from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa

from burnish import tables
from burnish.clicks.rule import ClickRule
from burnish.documents import duplicates
from burnish.errors import InputError
from burnish.queries.judgments import Judged, held_out_split
from burnish.tables import QRELS, QUERIES

_SAME = 0.7  # similarity from which two queries go to one split, as for curated queries


def grade(connection: duckdb.DuckDBPyConnection, units: Mapping[str, str], rule: ClickRule) -> dict[str, int]:
    """Make graded(query, target_id, unit, clicking, verdict) of the pairs; the number of pairs by verdict.

    A pair is a full answer (2) or a partial one (1) if its ratio reaches `grades.full` or `grades.partial` and at least
    `min_clicks` sessions clicked, no answer (0) if its ratio is at most `grades.none`, which the prior allows only after many
    showings, and otherwise undecided. Pairs shown in fewer than `min_impressions` sessions are not looked at.

    Args:
        connection: with the tables of `position.weigh`.
        units: "passage" or "document" by the ids of the corpus.
        rule: with the thresholds.

    Raises:
        InputError: more clicks than `max_unknown_share` are on results that the corpus does not have.
    """
    ids = pa.table({"target": pa.array(units, pa.string()), "unit": pa.array(units.values(), pa.string())})
    connection.register("known", ids)
    connection.execute(
        f"""create table graded as
            select query, t.target as target_id, unit, clicking,
                case when unit is null then 'unknown_target' when showings < {rule.min_impressions} then 'few_showings'
                     when ratio >= {rule.grades.full} and clicking >= {rule.min_clicks} then '2'
                     when ratio >= {rule.grades.partial} and clicking >= {rule.min_clicks} then '1'
                     when ratio <= {rule.grades.none} then '0' else 'undecided' end as verdict
            from pairs p join targets t on t.id = p.target left join known k on k.target = t.target"""
    )
    clicked = connection.execute(
        "select coalesce(sum(clicking), 0), coalesce(sum(clicking) filter (unit is null), 0) from graded"
    ).fetchone()
    every, unknown = map(int, clicked or (0, 0))
    if unknown > rule.max_unknown_share * every:
        first = connection.execute(
            "select target_id from graded where unit is null group by 1 order by sum(clicking) desc, 1 limit 1"
        ).fetchone()
        raise InputError(
            f"collect.logs: {unknown} of {every} clicks are on ids that are neither a document nor a passage of the corpus, the most "
            f"clicked: {first[0] if first else ''!r}; mend the ids, or `extract.sources`, or raise collect.clicks.max_unknown_share"
        )
    return dict(sorted(connection.execute("select verdict, count(*) from graded group by 1").fetchall()))


def judged(
    connection: duckdb.DuckDBPyConnection, languages: Mapping[int, str], rule: ClickRule
) -> tuple[Judged, dict[str, int]]:
    """(the queries with an answer and their judgments, counts of what was cut).

    Of more than `max_queries` those of most people are kept. A query's text is its most frequent spelling, its language that
    of the log where most sessions asked it, its split drawn by the hash of its near-duplicate cluster.

    Args:
        connection: with the table of `grade`.
        languages: by the number of a log.
        rule: with the limit and the shares of splits.
    """
    spoken = pa.table({"source": list(languages), "language": list(languages.values())})
    connection.register("spoken", spoken)
    connection.execute(
        f"""create table answered as
            select query, key, people from kept join (select distinct query, key from asked) using (query)
            semi join (from graded where verdict in ('1', '2')) using (query);
            create table chosen as from answered order by people desc, key limit {rule.max_queries}"""
    )
    rows = connection.execute(
        """with spelling as (
               select query, first(text order by times desc, text) as text
               from asked join texts using (text, key) semi join chosen using (query) group by query),
           heard as (
               select query, language, count(*) as n from searches join spoken using (source) semi join chosen using (query)
               group by all),
           language as (select query, first(language order by n desc, language) as language from heard group by query)
           select key, text, language from chosen join spelling using (query) join language using (query) order by key"""
    ).fetchall()
    pairs = connection.execute(
        """select key, target_id, unit, verdict::tinyint as grade from graded join chosen using (query)
           where verdict in ('0', '1', '2') order by key, target_id"""
    ).fetchall()
    answered = connection.execute("select count(*) from answered").fetchone()
    found = int(answered[0]) if answered else 0
    return _tables(rows, pairs, rule), {"answered": found, "beyond_max_queries": found - len(rows), "used": len(rows)}


def _tables(rows: list[tuple[Any, ...]], pairs: list[tuple[Any, ...]], rule: ClickRule) -> Judged:
    names = duplicates.clusters([text for _, text, _ in rows], _SAME)
    queries = pl.DataFrame(
        [
            (_query_id(key), text, language, "clicks", held_out_split(cluster, rule.shares))
            for (key, text, language), cluster in zip(rows, names, strict=True)
        ],
        schema=QUERIES.columns,
        orient="row",
    )
    qrels = pl.DataFrame(
        [(_query_id(key), target, unit, number, 1.0, "clicks") for key, target, unit, number in pairs],
        schema=QRELS.columns,
        orient="row",
    )
    return Judged(tables.checked(queries, QUERIES, "collect.logs"), tables.checked(qrels, QRELS, "collect.logs"))


def _query_id(key: str) -> str:
    return f"clicks:{hashlib.sha256(key.encode()).hexdigest()[:16]}"
