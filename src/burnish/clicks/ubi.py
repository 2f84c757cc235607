"""Logs in the User Behavior Insights schema (https://github.com/o19s/ubi), 1.0 to 1.3, as NDJSON.

What differs between versions and tools is taken either way: `position.ordinal` is a number (1.1 and later) or holds `index`
(1.0); a record may stand in the `_source` that OpenSearch's dumps wrap it in; lines of a bulk request are passed over; and
queries and events may share a file.
"""

from pathlib import Path

import duckdb

from burnish.clicks import staging
from burnish.clicks.rule import ClickRule, UbiLog
from burnish.clicks.staging import Staged

_RECORDS = """select coalesce(json->'$._source', json) as json, coalesce(json_type(json) <> 'OBJECT', true) as bad
              from read_ndjson_objects(?, ignore_errors=true)"""
_WANTED = {"queries": "query_id, user_query and client_id", "events": "query_id, object_id and one of the actions"}


def staged(
    connection: duckdb.DuckDBPyConnection, log: UbiLog, number: int, root: Path, scratch: Path, rule: ClickRule
) -> Staged:
    """The log `collect.logs[number]` as hashed and masked Parquet files in `scratch`.

    Args:
        connection: of `staging.connected`.
        log: where it lies.
        number: its place in the list of logs.
        root: the folder that its files are relative to.
        scratch: a folder for the Parquet files.
        rule: which actions count, and what is personal.
    """
    records, parts = {}, {}
    for name, pattern, query in (("queries", log.queries, _queries(number, rule)), ("events", log.events, _events(rule))):
        knob = f"collect.logs[{number}].{name}"
        paths = staging.files(root, pattern, knob)
        parts[name] = scratch / f"{number}-{name}.parquet"
        records[name] = staging.write(connection, query, paths, parts[name], knob)
        staging.check(records[name], f"{paths[0]} (`{knob}`)", _WANTED[name], rule)
    return Staged(number, log.language, parts["queries"], parts["events"], records)


def _queries(number: int, rule: ClickRule) -> str:
    return f"""
    with fields as (
        select bad, json_extract_string(json, ['$.query_id', '$.client_id', '$.session_id', '$.user_query', '$.timestamp',
                                               '$.action_name']) as f,
               coalesce(json->'$.query_response_hit_ids', json->'$.query_response_objects_ids') as hits
        from ({_RECORDS})),
    typed as (
        select given(f[1]) as query_id, given(f[2]) as client_id, given(f[3]) as session_id, cleaned(f[4]) as asked,
               given(f[5]) as stamp, time_us(given(f[5])) as moment, given(f[6]) as action,
               coalesce(json_type(hits), 'NULL') as kind, json_extract_string(hits, '$[*]')[1:{rule.depth}] as shown, bad
        from fields),
    safe as (select *, masked(asked) as m from typed),
    judged as (
        select *, case when bad then 'malformed'
            when action is not null or (query_id is null and asked is null) then 'other_record'
            when (stamp is not null and moment is null) or kind not in ('ARRAY', 'NULL') then 'malformed'
            when query_id is null then 'no_query_id'
            when text_fault(asked, m) is not null then text_fault(asked, m)
            when client_id is null and session_id is null then 'no_user' end as fault
        from safe)
    select if(fault is null, hashed(query_id), null) as search,
           if(fault is null, session_of({number}, client_id, session_id, moment), null) as session,
           if(fault is null, person_of({number}, client_id, session_id), null) as person,
           if(fault is null, m.text, null) as text, if(fault is null, m.kinds, null) as kinds,
           if(fault is null, moment, null) as time, if(fault is null, shown, null) as targets, fault
    from judged"""


def _events(rule: ClickRule) -> str:
    place = "$.event_attributes.position.ordinal"
    return f"""
    with fields as (
        select bad, json_extract_string(json, ['$.query_id', '$.action_name', '$.event_attributes.object.object_id',
                                               '{place}.index', '{place}', '$.timestamp']) as f
        from ({_RECORDS})),
    typed as (
        select given(f[1]) as query_id, given(f[2]) as action, given(f[3]) as object_id,
               given(coalesce(f[4], f[5])) as place, try_cast(given(coalesce(f[4], f[5])) as integer) as at_rank,
               given(f[6]) as stamp, time_us(given(f[6])) as moment, bad
        from fields),
    judged as (
        select *, case when bad then 'malformed' when action is null then 'other_record'
            when (stamp is not null and moment is null) or (place is not null and at_rank is null) then 'malformed'
            when action not in ({staging.listed([*rule.click_actions, *rule.impression_actions])}) then 'other_action'
            when query_id is null then 'no_query_id' when object_id is null then 'no_target' end as fault
        from typed)
    select if(fault is null, hashed(query_id), null) as search, if(fault is null, object_id, null) as target,
           if(fault is null and at_rank >= 0, at_rank, null) as rank, if(fault is null, moment, null) as time,
           null::double as dwell, if(fault is null, action in ({staging.listed(rule.click_actions)}), null) as clicked, fault
    from judged"""
