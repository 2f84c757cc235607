"""Logs as plain tables of events, with the columns that the knobs name: CSV, TSV, JSON lines, Parquet."""

from dataclasses import dataclass
from pathlib import Path, PurePath

import duckdb

from burnish.clicks import staging
from burnish.clicks.rule import ClickRule, TableLog
from burnish.clicks.staging import Staged
from burnish.errors import InputError

_MOST_REJECTED = 100_000  # malformed lines of a CSV that are counted; DuckDB holds them in memory meanwhile
_JSON = "read_ndjson_objects(?, ignore_errors=true)"
_READERS = {
    ".csv": "read_csv(?, delim=',', quote='\"', escape='\"', header=true, all_varchar=true, ignore_errors=true{rejects})",
    ".tsv": "read_csv(?, delim='\t', quote='', escape='', header=true, all_varchar=true, ignore_errors=true{rejects})",
    ".jsonl": _JSON,
    ".ndjson": _JSON,
    ".parquet": "read_parquet(?)",
}
_REJECTS = f", store_rejects=true, rejects_limit={_MOST_REJECTED}"


_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Source:
    """How to read files of one kind, in SQL: the reader, each field (null if empty), and what tells a record that is none."""

    reader: str
    fields: dict[str, str]
    moment: str  # the timestamp in microseconds, null where it is none
    bad: str = "false"


def staged(
    connection: duckdb.DuckDBPyConnection, log: TableLog, number: int, root: Path, scratch: Path, rule: ClickRule
) -> Staged:
    """The log `collect.logs[number]` as a hashed and masked Parquet file in `scratch`.

    Args:
        connection: of `staging.connected`.
        log: where it lies, and its columns.
        number: its place in the list of logs.
        root: the folder that its files are relative to.
        scratch: a folder for the Parquet file.
        rule: which actions count, and what is personal.
    """
    knob = f"collect.logs[{number}]"
    paths = staging.files(root, log.path, f"{knob}.path")
    where = f"{paths[0]} (`{knob}.path`)"
    suffixes = {PurePath(path.removesuffix(".gz")).suffix for path in paths}
    suffix = min(suffixes)
    if len(suffixes) > 1 or suffix not in _READERS:
        raise InputError(f"{where}: expected files of one kind of {', '.join(_READERS)}, found {sorted(suffixes)}")
    source = _of_json(log) if _READERS[suffix] == _JSON else _of_columns(connection, log, knob, suffix, paths)
    out = scratch / f"{number}-events.parquet"
    records = staging.write(connection, _rows(source, number, rule), paths, out, f"{knob}.path")
    if "rejects" in source.reader and (rejected := _rejected(connection, where)):
        records["malformed"] = records.get("malformed", 0) + rejected
    staging.check(records, where, "a query, a target, a user or session, and one of the actions", rule)
    return Staged(number, log.language, None, out, {"events": records})


def _of_json(log: TableLog) -> Source:
    fields = {}
    for field, name in log.columns.model_dump().items():
        path = (name or "").replace('"', '\\"').replace("'", "''")
        fields[field] = f"""given(json_extract_string(json, '$."{path}"'))""" if name else "null"
    return Source(_JSON, fields, f"time_us({fields['timestamp']})", "coalesce(json_type(json) <> 'OBJECT', true)")


def _of_columns(connection: duckdb.DuckDBPyConnection, log: TableLog, knob: str, suffix: str, paths: list[str]) -> Source:
    sniffed = _READERS[suffix].format(rejects="")
    try:
        types = {row[0]: str(row[1]) for row in connection.execute(f"describe select * from {sniffed}", [paths]).fetchall()}
    except duckdb.Error as error:
        raise InputError(f"{paths[0]} (`{knob}.path`): not readable: {staging.first_line(error)}") from error
    fields, moment = {}, "null::bigint"
    for field, name in log.columns.model_dump().items():
        if name is not None and name not in types:
            raise InputError(f"{paths[0]}: expected a column {name!r} (`{knob}.columns.{field}`), found {list(types)}")
        column = '"{}"'.format((name or "").replace('"', '""'))
        numeric = name is not None and field in {"rank", "timestamp", "dwell"} and types[name] in _NUMBERS
        fields[field] = "null" if name is None else column if numeric else f"given({column}::varchar)"
        if field == "timestamp" and name is not None:
            moment = f"moment_us({column})" if numeric else f"time_us({fields[field]})"
            if types[name].startswith(("TIMESTAMP", "DATE")):
                moment, fields[field] = f"epoch_us({column}::timestamp)", column
    return Source(_READERS[suffix].format(rejects=_REJECTS), fields, moment)


def _rows(source: Source, number: int, rule: ClickRule) -> str:
    value = source.fields
    clicks, known = "true", "true"
    if value["action"] != "null":
        clicks = f"action in ({staging.listed(rule.click_actions)})"
        known = f"coalesce(action in ({staging.listed([*rule.click_actions, *rule.impression_actions])}), false)"
    return f"""
    with fields as (
        select {source.bad} as bad, cleaned({value["query"]}) as asked, {value["target"]} as object_id,
               {value["action"]} as action, {value["user"]} as user_id, {value["session"]} as session_id,
               {value["rank"]} as place, {value["timestamp"]} as stamp, {source.moment} as moment,
               {value["dwell"]} as seconds
        from {source.reader}),
    typed as (
        select *, try_cast(place as integer) as at_rank, try_cast(seconds as double) as stayed, masked(asked) as m from fields),
    judged as (
        select *, case when bad then 'malformed' when not {known} then 'other_action'
            when (stamp is not null and moment is null) or (place is not null and at_rank is null)
                or (seconds is not null and stayed is null) then 'malformed'
            when text_fault(asked, m) is not null then text_fault(asked, m)
            when object_id is null then 'no_target'
            when user_id is null and session_id is null then 'no_user' end as fault
        from typed)
    select if(fault is null, session_of({number}, user_id, session_id, moment), null) as session,
           if(fault is null, person_of({number}, user_id, session_id), null) as person,
           if(fault is null, m.text, null) as text, if(fault is null, m.kinds, null) as kinds,
           if(fault is null, object_id, null) as target, if(fault is null and at_rank >= 0, at_rank, null) as rank,
           if(fault is null, moment, null) as time, if(fault is null and stayed >= 0, stayed, null) as dwell,
           if(fault is null, {clicks}, null) as clicked, fault
    from judged"""


def _rejected(connection: duckdb.DuckDBPyConnection, where: str) -> int:
    """The lines of a CSV that were passed over; DuckDB's memory of them, raw as they are, is thrown away."""
    found = connection.execute("select count(distinct (file_id, line)) from reject_errors").fetchone()
    connection.execute("drop table reject_errors; drop table reject_scans")
    lines = int(found[0]) if found else 0
    if lines >= _MOST_REJECTED:
        raise InputError(f"{where}: {_MOST_REJECTED} lines or more are malformed; expected comma- or tab-separated values")
    return lines
