"""Who asked what: queries that several people asked, from sessions that people made.

Tables made here, in a database that may spill, since all it reads is hashed and masked (`staging`):

    texts(text, key, words, times)             each spelling with what it is joined by
    asked(text, query)                         its query's number; numbers differ between runs and are never sorted by
    searches(session, query, person, source, first, last, listed)      one for each query of a session, however often asked
    sessions(session, source, robot)
    kept(query, people, sessions)              queries of at least `min_users` people
    clicks, impressions                        the events of kept queries in sessions of people; a table and a view
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from burnish.clicks.privacy import MASK
from burnish.clicks.rule import ClickRule
from burnish.clicks.staging import Staged, quoted, threads
from burnish.spelling import spelling

_BATCH = 100_000  # distinct texts in Python at once
_FEW = 10  # so many queries say something of a session's rate
_NO_SPACES = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def connected(rule: ClickRule, scratch: Path) -> duckdb.DuckDBPyConnection:
    """A database that spills into `scratch` what `memory_gb` does not hold."""
    connection = duckdb.connect()
    connection.execute(f"set temp_directory = '{quoted(scratch)}'; set memory_limit = '{rule.memory_gb}GB'")
    connection.execute(
        f"set enable_progress_bar = false; set preserve_insertion_order = false; set threads = {threads(rule.memory_gb)}"
    )
    return connection


def query_key(text: str) -> str:
    """What spellings of one query share; a masked query never joins one that had nothing to mask.

    >>> query_key(" Brew TEA? ") == query_key("brew tea"), query_key("order […]")
    (True, 'order […]')
    """
    plain = spelling(text)
    if not any(map(str.isalnum, plain)):
        return ""
    return f"{plain} {MASK}" if MASK in text else plain


def words(key: str) -> int:
    """The length of a query in words; where a script has no spaces, two characters are a word.

    >>> words("reset the router"), words("如何重置路由器")
    (3, 4)
    """
    return sum(max(1, (len(_NO_SPACES.findall(one)) + 1) // 2) for one in key.split())


def load(connection: duckdb.DuckDBPyConnection, logs: Sequence[Staged]) -> None:
    """Make the views search_rows, impression_rows, click_rows and lost_clicks over all logs, and the table texts."""
    parts: dict[str, list[str]] = {"search_rows": [], "impression_rows": [], "click_rows": [], "lost_clicks": []}
    for log in logs:
        for name, query in (_of_table(log) if log.searches is None else _of_ubi(connection, log)).items():
            parts[name].append(query)
    for name, queries in parts.items():
        connection.execute(f"create view {name} as {' union all '.join(queries)}")
    connection.execute("create table texts (text varchar, key varchar, words integer, times bigint)")
    with connection.cursor() as other:
        spellings = other.sql("select text, count(*) as times from search_rows group by text").to_arrow_reader(_BATCH)
        for batch in spellings:
            keys = [query_key(text) for text in batch.column(0).to_pylist()]
            columns = [batch.column(0), pa.array(keys, pa.string()), pa.array(map(words, keys), pa.int32()), batch.column(1)]
            connection.register("batch", pa.table(columns, names=["text", "key", "words", "times"]))
            connection.execute("insert into texts select * from batch")
            connection.unregister("batch")


def keep(connection: duckdb.DuckDBPyConnection, rule: ClickRule) -> dict[str, Any]:
    """Make the tables of this module; what was found and what was cut, by reason."""
    robots = rule.robots
    connection.execute(
        f"""
        create table asked as with queries as (select key, row_number() over () as query from (select distinct key from texts))
            select text, query, key from texts join queries using (key);
        create table searches as
            select session, query, any_value(person) as person, any_value(source) as source,
                   min(time) as first, max(time) as last, bool_or(listed) as listed
            from search_rows join asked using (text) group by session, query;
        create table sessions as
            with behaviour as (
                select session, any_value(source) as source, count(*) as queries, max(last) - min(first) as span
                from searches group by session),
            clicking as (select session, count(*) as clicks from click_rows group by session)
            select session, source, queries > {robots.queries} or coalesce(clicks, 0) > {robots.clicks}
                or (queries >= {_FEW} and coalesce(queries * 60e6 > {robots.queries_per_minute} * span, false)) as robot
            from behaviour left join clicking using (session);
        create table kept as
            with askers as (
                select query, count(distinct person) as people, count(*) as sessions
                from searches semi join (from sessions where not robot) using (session) group by query)
            select query, people, sessions from askers
            semi join (from asked where key <> '') using (query) where people >= {rule.min_users};
        create table targets as select target, row_number() over ()::integer as id
            from (select target from impression_rows union select target from click_rows);
        create view impressions as {_of_kept("impression_rows", "rank, time")};
        create table clicks as {_of_kept("click_rows", "rank, time, dwell")};
        """
    )
    return _counts(connection)


def _of_kept(rows: str, columns: str) -> str:
    return f"""select session, query, id as target, {columns} from {rows} join asked using (text) join targets using (target)
               semi join kept using (query) semi join (from sessions where not robot) using (session)"""


def _counts(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    def number(query: str) -> int:
        found = connection.execute(query).fetchone()
        return int(found[0]) if found else 0

    masked = connection.execute(
        "select kind, count(*) from (select unnest(string_split(kinds, ',')) as kind from search_rows where kinds <> '') group by 1"
    ).fetchall()
    queries = number("select count(distinct query) from asked")
    empty = number("select count(distinct query) from asked where key = ''")
    kept = number("select count(*) from kept")
    clicks = {
        "found": number("select count(*) from click_rows"),
        "of_robots": number("select count(*) from click_rows semi join (from sessions where robot) using (session)"),
        "of_kept_queries": number("select count(*) from clicks"),
        "without_query": number("select count(*) from lost_clicks"),
    }
    return {
        "masked": dict(sorted(masked)),
        "sessions": {
            "found": number("select count(*) from sessions"),
            "robots": number("select count(*) from sessions where robot"),
        },
        "searches": number("select count(*) from searches"),
        "clicks": clicks | {"of_cut_queries": clicks["found"] - clicks["of_robots"] - clicks["of_kept_queries"]},
        "queries": {"found": queries, "empty": empty, "below_min_users": queries - empty - kept},
    }


def _of_table(log: Staged) -> dict[str, str]:
    rows = f"from read_parquet('{quoted(log.events)}') where fault is null"
    return {
        "search_rows": f"select {log.number} as source, session, person, text, kinds, time, not clicked as listed {rows}",
        "impression_rows": f"select session, text, target, rank, time {rows} and not clicked",
        "click_rows": f"select session, text, target, rank, time, dwell {rows} and clicked",
        "lost_clicks": f"select target {rows} and false",
    }


def _of_ubi(connection: duckdb.DuckDBPyConnection, log: Staged) -> dict[str, str]:
    """The views' parts of a UBI log; makes ubi_N(search, session, person, text), without ids that two queries share."""
    assert log.searches is not None
    n = log.number
    rows = f"from read_parquet('{quoted(log.searches)}') where fault is null"
    connection.execute(
        f"""create table ubi_{n} as select search, min(session) as session, min(person) as person, min(text) as text {rows}
            group by search having min(session) = max(session) and min(text) = max(text)"""
    )
    events = f"from read_parquet('{quoted(log.events)}') join ubi_{n} using (search) where fault is null"
    lost = f"from read_parquet('{quoted(log.events)}') anti join ubi_{n} using (search) where fault is null"
    return {
        "search_rows": f"select {n} as source, session, person, text, kinds, time, coalesce(len(targets), 0) > 0 as listed {rows} "
        f"union all select {n}, session, person, text, '', time, true {events} and not clicked",
        "impression_rows": "select session, text, target, rank, time from (select session, text, unnest(targets) as target, "
        f"generate_subscripts(targets, 1)::integer as rank, time {rows}) where target <> '' "
        f"union all select session, text, target, rank, time {events} and not clicked",
        "click_rows": f"select session, text, target, rank, time, dwell {events} and clicked",
        "lost_clicks": f"select target {lost} and clicked",
    }
