"""Logs in the User Behavior Insights schema (https://github.com/o19s/ubi), 1.0 to 1.3, as NDJSON.

What differs between versions and tools is taken either way: `position.ordinal` is a number or holds `index`; the results are a
list or, as in Solr's `doc_ids`, a string with commas; a list or an event's attributes may stand in a string as JSON; a record may
stand in the `_source` that OpenSearch's dumps wrap it in; lines of a bulk request are passed over; and queries and events may
share a file.

The schema asks of a query for no more than its text, and Solr writes no id of a person. So whoever a query's own line does not
name is looked for in the events of its `query_id`, whatever their action. Where these name several, none is taken: which one a
choice would fall on must depend neither on the order of lines nor on the salt.
"""

from pathlib import Path

import duckdb

from burnish.clicks import searches, staging
from burnish.clicks.rule import ClickRule, UbiLog
from burnish.clicks.staging import Staged, quoted

_RECORDS = """select coalesce(json->'$._source', json) as json, coalesce(json_type(json) <> 'OBJECT', true) as bad
              from read_ndjson_objects(?, ignore_errors=true)"""
# An event whose attributes are JSON in a string gets them as they were meant. The pattern spares all others two more parses.
_UNWRAPPED = r"""case when regexp_matches(json, '"event_attributes"\s*:\s*"') then json_merge_patch(json, json_object(
                 'event_attributes', try_cast(json->>'$.event_attributes' as json))) else json end"""
_WANTED = {
    "queries": "query_id, user_query and, there or in an event, client_id, user_id or session_id",
    "events": "query_id, object_id and one of the actions",
}


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
    records, parts, told = {}, {}, {}
    for name, pattern, query in (("queries", log.queries, _queries(rule)), ("events", log.events, _events(rule))):
        knob = f"collect.logs[{number}].{name}"
        paths = staging.files(root, pattern, knob)
        parts[name], told[name] = scratch / f"{number}-{name}.parquet", f"{paths[0]} (`{knob}`)"
        records[name] = staging.write(connection, query, paths, parts[name], knob)
        staging.check(records[name], told[name], _WANTED[name], rule)
    whole = scratch / f"{number}-searches.parquet"
    with searches.connected(rule, scratch / "spill") as other:
        records["queries"] = staging.counted(other, _with_people(number, parts["events"]), [str(parts["queries"])], whole)
    staging.check(records["queries"], told["queries"], _WANTED["queries"], rule)
    parts["queries"].unlink()
    return Staged(number, log.language, whole, parts["events"], records)


def _queries(rule: ClickRule) -> str:
    return f"""
    with fields as (
        select bad, json_extract_string(json, ['$.query_id', '$.user_query', '$.timestamp', '$.action_name',
                                               '$.client_id', '$.user_id', '$.session_id']) as f,
               coalesce({_told("query_response_hit_ids")}, {_told("query_response_objects_ids")}, {_told("doc_ids")}) as hits,
               case when f[2][1] in ('{{', '[') then json_type(json, '$.user_query') in ('OBJECT', 'ARRAY') else false end as odd
        from ({_RECORDS})),
    typed as (
        select given(f[1]) as query_id, cleaned(f[2]) as asked, given(f[3]) as stamp, time_us(given(f[3])) as moment,
               given(f[4]) as action, coalesce(given(f[5]), given(f[6])) as person, given(f[7]) as session,
               coalesce(json_type(hits), 'NULL') as kind, bad or odd as bad,
               if(kind = 'VARCHAR', given(hits->>'$'), null) as line,
               case when kind = 'ARRAY' then hits->>'$[*]'
                    when line[1] = '[' and json_valid(line) then line->>'$[*]' else string_split(line, ',') end as ids,
               list_transform(ids[1:{rule.depth}], lambda id: trim(id)) as shown
        from fields),
    safe as (select *, masked(asked) as m from typed),
    judged as (
        select *, case when bad then 'malformed'
            when action is not null or (query_id is null and asked is null) then 'other_record'
            when (stamp is not null and moment is null) or kind not in ('ARRAY', 'VARCHAR', 'NULL') then 'malformed'
            when query_id is null then 'no_query_id' else text_fault(asked, m) end as fault
        from safe)
    select if(fault is null, hashed(query_id), null) as search, if(fault is null, hashed(person), null) as asker,
           if(fault is null, hashed(session), null) as visit, if(fault is null, m.text, null) as text,
           if(fault is null, m.kinds, null) as kinds, if(fault is null, moment, null) as time,
           if(fault is null, shown, null) as targets, fault
    from judged"""


def _events(rule: ClickRule) -> str:
    more = "$.event_attributes"
    place = f"{more}.position.ordinal"
    return f"""
    with fields as (
        select bad, json_extract_string(json, ['$.query_id', '$.action_name', '{more}.object.object_id',
                                               '{place}.index', '{place}', '$.timestamp', '$.client_id', '$.user_id',
                                               '{more}.user_id', '$.session_id', '{more}.session_id']) as f
        from (select bad, {_UNWRAPPED} as json from ({_RECORDS}))),
    typed as (
        select given(f[1]) as query_id, given(f[2]) as action, given(f[3]) as object_id,
               given(coalesce(f[4], f[5])) as place, try_cast(given(coalesce(f[4], f[5])) as integer) as at_rank,
               given(f[6]) as stamp, time_us(given(f[6])) as moment,
               coalesce(given(f[7]), given(f[8]), given(f[9])) as person, coalesce(given(f[10]), given(f[11])) as session, bad
        from fields),
    judged as (
        select *, case when bad then 'malformed' when action is null then 'other_record'
            when (stamp is not null and moment is null) or (place is not null and at_rank is null) then 'malformed'
            when action not in ({staging.listed([*rule.click_actions, *rule.impression_actions])}) then 'other_action'
            when query_id is null then 'no_query_id' when object_id is null then 'no_target' end as fault,
            coalesce(fault in ('other_action', 'no_target'), true) as names
        from typed)
    select if(names, hashed(query_id), null) as search, if(names and query_id is not null, hashed(person), null) as asker,
           if(names and query_id is not null, hashed(session), null) as visit, if(fault is null, object_id, null) as target,
           if(fault is null and at_rank >= 0, at_rank, null) as rank, if(fault is null, moment, null) as time,
           null::double as dwell, if(fault is null, action in ({staging.listed(rule.click_actions)}), null) as clicked, fault
    from judged"""


def _told(field: str) -> str:
    return f"""nullif(nullif(json->'$.{field}', 'null'), '""')"""


def _with_people(number: int, events: Path) -> str:
    """The queries with the person and the session that they name, or else their events do; `no_user` without either.

    What is joined here is hashed already, so the hash of a person's session needs no salt.
    """
    return f"""
    with named as (
        select search, {_only("asker")} as asker, {_only("visit")} as visit
        from read_parquet('{quoted(events)}') where coalesce(asker, visit) is not null group by search),
    whole as (
        select q.* replace (coalesce(q.asker, named.asker) as asker, coalesce(q.visit, named.visit) as visit)
        from read_parquet(?) q left join named using (search)),
    judged as (
        select * replace (if(fault is null and coalesce(asker, visit) is null, 'no_user', fault) as fault),
               concat_ws('/', {number}, asker, coalesce(visit::varchar, 'day ' || (time // 86400000000), '')) as session,
               coalesce(asker::varchar, concat_ws('/', {number}, visit)) as person
        from whole)
    select if(fault is null, search, null) as search, if(fault is null, {_uuid("session")}, null) as session,
           if(fault is null, if(asker is null, {_uuid("person")}, asker), null) as person,
           if(fault is null, text, null) as text, if(fault is null, kinds, null) as kinds,
           if(fault is null, time, null) as time, if(fault is null, targets, null) as targets, fault
    from judged"""


def _only(column: str) -> str:
    return f"if(min({column}) = max({column}), min({column}), null)"


def _uuid(name: str) -> str:
    return f"left(sha256({name}), 32)::uuid"
