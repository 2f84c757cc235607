"""Logs in the UBI schema, of each version, whole and broken."""

import json
from pathlib import Path
from typing import Any

import pytest

import clicklog
from burnish.clicks.rule import UbiLog
from burnish.errors import InputError

QUERY = {
    "application": "shop",
    "query_id": "q1",
    "client_id": "c1",
    "user_query": "brew  tea",
    "timestamp": "2025-01-23T13:18:22.274+0000",
    "query_response_hit_ids": ["d1", "d2", 3],
    "query_attributes": {},
}
EVENT: dict[str, Any] = {
    "action_name": "click",
    "query_id": "q1",
    "client_id": "c1",
    "timestamp": "2025-01-23T13:18:25Z",
    "event_attributes": {"object": {"object_id": "d2"}, "position": {"ordinal": 2}},
}
# What Solr's component writes of a search, and a query by 1.3's schema; neither names anybody.
SOLR = {
    "query_id": "q1",
    "timestamp": "2025-01-23T13:18:22.274Z",
    "application": "primary_search",
    "user_query": "brew tea",
    "doc_ids": "d3,d2,d1",
    "query_attributes": '{"page":1,"filter":"inStock:true"}',
}
LEAST = {
    "query_id": "q1",
    "user_query": "brew tea",
    "timestamp": "2025-01-23T13:18:22",
    "query_response_hit_ids": ["d3", "d2", "d1"],
}
SAID = {name: value for name, value in EVENT.items() if name != "client_id"}
C1, C2 = {"client_id": "c1"}, {"client_id": "c2"}
S1, S2 = {"session_id": "s1"}, {"session_id": "s2"}
U1 = {"user_id": "u1"}


def at(ordinal: Any, **fields: Any) -> dict[str, Any]:
    """An event at this position."""
    return EVENT | {"event_attributes": {"object": {"object_id": "d2"}, "position": {"ordinal": ordinal}}} | fields


def written(folder: Path, queries: list[Any], events: list[Any]) -> Path:
    """The folder, with a log in it."""
    clicklog.lines(folder / "queries.ndjson", queries)
    clicklog.lines(folder / "events.ndjson", events)
    return folder


def test_queries_and_events_are_read(tmp_path: Path) -> None:
    """Text, results in order, and the click with its place and time, in microseconds."""
    found = clicklog.staged(written(tmp_path, [QUERY], [EVENT]), clicklog.rule(), clicklog.UBI)
    assert found.searches is not None
    assert clicklog.rows(found.searches, "text, targets, time") == [("brew tea", ["d1", "d2", "3"], 1737638302274000)]
    assert clicklog.rows(found.events, "target, rank, time, clicked") == [("d2", 2, 1737638305000000, True)]
    search = clicklog.rows(found.searches, "search")
    assert search == clicklog.rows(found.events, "search")
    assert found.records == {"queries": {"used": 1}, "events": {"used": 1}}


@pytest.mark.parametrize(
    ("event", "row"),
    [
        (at({"index": 4}), ("d2", 4, True)),
        (at(4, action_name="click_through"), ("d2", 4, True)),
        (at(4, action_name="impression"), ("d2", 4, False)),
        (at(-1), ("d2", None, True)),
        (EVENT | {"event_attributes": {"object": {"object_id": 7}}}, ("7", None, True)),
        ({"_index": "ubi_events", "_source": at(4)}, ("d2", 4, True)),
        (EVENT | {"event_attributes": json.dumps(at({"index": 4})["event_attributes"])}, ("d2", 4, True)),
    ],
    ids=["1.0's ordinal", "1.1's", "impression", "no place", "a number for an id", "a dump's wrapping", "in a string"],
)
def test_each_version_of_an_event_is_read(tmp_path: Path, event: dict[str, Any], row: tuple[Any, ...]) -> None:
    """What an event says, and null where it says nothing."""
    found = clicklog.staged(written(tmp_path, [QUERY], [event]), clicklog.rule(), clicklog.UBI)
    assert clicklog.rows(found.events, "target, rank, clicked") == [row]


def test_attributes_in_a_string_that_is_no_json_hold_no_target(tmp_path: Path) -> None:
    """The event is counted as any without a target, and its line is no worse."""
    events = [EVENT, EVENT | {"event_attributes": "{'object': "}, EVENT | {"event_attributes": "d2"}]
    found = clicklog.staged(written(tmp_path, [QUERY], events), clicklog.rule(), clicklog.UBI)
    assert found.records["events"] == {"no_target": 2, "used": 1}


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"doc_ids": "d1, d2"}, ["d1", "d2"]),
        ({"query_response_hit_ids": '["d1","d2", 3]'}, ["d1", "d2", "3"]),
        ({"query_response_hit_ids": ' ["d1 ", null, " d2"] '}, ["d1", None, "d2"]),
        ({"query_response_hit_ids": [" d1", "d2 "]}, ["d1", "d2"]),
        ({"query_response_hit_ids": "[d1"}, ["[d1"]),
        ({"query_response_hit_ids": None, "doc_ids": "d1,d2"}, ["d1", "d2"]),
        ({"query_response_hit_ids": "", "query_response_objects_ids": None, "doc_ids": ["d1"]}, ["d1"]),
        ({"query_response_hit_ids": None}, None),
        ({"query_response_hit_ids": []}, []),
    ],
)
def test_hit_ids_are_read_however_they_are_written(tmp_path: Path, fields: dict[str, Any], shown: list[str] | None) -> None:
    """In a list or a string, with spaces or without; the first field that tells any."""
    query = {name: value for name, value in QUERY.items() if name != "query_response_hit_ids"} | fields
    found = clicklog.staged(written(tmp_path, [query], [EVENT]), clicklog.rule(), clicklog.UBI)
    assert found.searches is not None
    assert clicklog.rows(found.searches, "targets") == [(shown,)]


@pytest.mark.parametrize("asked", [{"text": "tea"}, ["tea"]])
def test_a_query_whose_text_is_no_text_is_malformed(tmp_path: Path, asked: Any) -> None:
    """Nobody typed its JSON; but somebody may type a bracket."""
    queries = [QUERY | {"user_query": asked}, QUERY | {"user_query": "[1, 2] in a loop"}, QUERY | {"user_query": "{}"}]
    found = clicklog.staged(written(tmp_path, queries, [EVENT]), clicklog.rule(max_malformed_share=0.5), clicklog.UBI)
    assert found.records["queries"] == {"malformed": 1, "used": 2}
    assert found.searches is not None
    assert clicklog.rows(found.searches, "text") == [("[1, 2] in a loop",), ("{}",)]


@pytest.mark.parametrize(
    ("stamp", "microseconds"),
    [
        ("20250123131822", 1_737_638_302_000_000),
        (20250123131822, 1_737_638_302_000_000),
        ("20250123131822.274", 1_737_638_302_274_000),
        ("20251323131822", 20_251_323_131_822_000),  # of no month
        ("17376383022740", 17_376_383_022_740_000),
        ("1737638302274", 1_737_638_302_274_000),
    ],
)
def test_a_time_may_be_written_without_signs(tmp_path: Path, stamp: str | int, microseconds: int) -> None:
    """Fourteen digits are a date where they make one, else milliseconds."""
    found = clicklog.staged(written(tmp_path, [QUERY | {"timestamp": stamp}], [EVENT]), clicklog.rule(), clicklog.UBI)
    assert found.searches is not None
    assert clicklog.rows(found.searches, "time") == [(microseconds,)]


@pytest.mark.parametrize("query", [SOLR, LEAST], ids=["Solr's", "1.3's"])
def test_a_query_that_names_nobody_is_read(tmp_path: Path, query: dict[str, Any]) -> None:
    """Its results in order, and as its asker whom its events name."""
    found = clicklog.staged(written(tmp_path, [query], [EVENT]), clicklog.rule(), clicklog.UBI)
    assert found.records == {"queries": {"used": 1}, "events": {"used": 1}}
    assert found.searches is not None
    assert clicklog.rows(found.searches, "text, targets") == [("brew tea", ["d3", "d2", "d1"])]
    with clicklog.loaded(tmp_path, clicklog.rule(), [found]) as connection:
        assert connection.execute("select rank from impressions order by 1").fetchall() == [(1,), (2,), (3,)]
        assert connection.execute("select rank from clicks").fetchall() == [(2,)]


@pytest.mark.parametrize(
    ("query", "events", "asker"),
    [
        (C1 | S1, [C2 | S2], C1 | S1),
        ({}, [C1 | S1 | U1], C1 | S1),
        ({}, [S1, C1, {}], C1 | S1),
        (C1, [S1], C1 | S1),
        ({}, [U1], {"client_id": "u1"}),
        ({}, [{"event_attributes": U1 | S1}], {"client_id": "u1"} | S1),
        ({}, [C1 | {"action_name": "on_search"}], C1),
        ({}, [C1 | S1, C1 | S2], C1),
        ({"client_id": ""}, [S1], S1),
    ],
    ids=["own", "event's", "of several", "session", "user", "attributes", "any action", "two sessions", "session alone"],
)
def test_who_asked_is_told_by_the_query_or_its_events(
    tmp_path: Path, query: dict[str, str], events: list[dict[str, Any]], asker: dict[str, str]
) -> None:
    """The same person and session as of a query with these ids, whatever the order of the lines."""
    queries = [LEAST | query, LEAST | {"query_id": "like"} | asker]
    for said in (events, events[::-1]):
        log = written(tmp_path, queries, [SAID | {"query_id": "like"}, *(SAID | one for one in said)])
        found = clicklog.staged(log, clicklog.rule(), clicklog.UBI)
        assert found.searches is not None
        mine, like = clicklog.rows(found.searches, "person, session")
        assert mine == like


def test_a_query_of_nobody_or_of_two_is_left_out(tmp_path: Path) -> None:
    """With nothing of it but the reason, and its clicks are counted as without a query."""
    queries = [QUERY, *(SOLR | {"query_id": name} for name in ("none", "two"))]
    events = [EVENT, SAID | {"query_id": "none"}, *(SAID | {"query_id": "two", "client_id": one} for one in ("c1", "c2"))]
    found = clicklog.staged(written(tmp_path, queries, events), clicklog.rule(), clicklog.UBI)
    assert found.records["queries"] == {"no_user": 2, "used": 1}
    assert found.searches is not None
    left = clicklog.rows(found.searches, "* exclude fault", "fault = 'no_user'")
    assert {value for row in left for value in row} == {None}
    with clicklog.loaded(tmp_path, clicklog.rule(), [found]) as connection:
        assert connection.execute("select count(*) from lost_clicks").fetchall() == [(3,)]


@pytest.mark.parametrize(("sessions", "times"), [(["s1", "s1"], 1), (["s1", "s2"], 2), ([None, None], 1)])
def test_sessions_of_events_count_once(tmp_path: Path, sessions: list[str | None], times: int) -> None:
    """Two askings are one search where the events name one session, or none: then it is the person's day."""
    queries = [LEAST | {"query_id": f"q{at}"} for at in range(2)]
    events = [EVENT | {"query_id": f"q{at}", "session_id": name} for at, name in enumerate(sessions)]
    found = clicklog.staged(written(tmp_path, queries, events), clicklog.rule(), clicklog.UBI)
    with clicklog.loaded(tmp_path, clicklog.rule(), [found]) as connection:
        assert connection.execute("select count(*) from searches").fetchall() == [(times,)]


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    """As a bulk request does, its own lines passed over."""
    action = {"index": {"_index": "ubi_queries"}}
    clicklog.lines(tmp_path / "all.ndjson", [action, QUERY, action, EVENT])
    log = UbiLog(kind="ubi", queries="*.ndjson", events="*.ndjson", language="en")
    found = clicklog.staged(tmp_path, clicklog.rule(), log)
    assert found.records == {"queries": {"other_record": 3, "used": 1}, "events": {"other_record": 3, "used": 1}}


def test_every_record_that_cannot_be_used_is_counted(tmp_path: Path) -> None:
    """By reason, and it leaves nothing but the reason."""
    queries = [
        QUERY,
        "{broken",
        "[1]",
        QUERY | {"timestamp": "soon"},
        QUERY | {"query_response_hit_ids": 7},
        {key: value for key, value in QUERY.items() if key != "query_id"},
        QUERY | {"user_query": " "},
        QUERY | {"user_query": "tea " * 99},
        LEAST | {"query_id": "q2"},
    ]
    events = [
        EVENT,
        at("second"),
        at(1, action_name="hover"),
        EVENT | {"query_id": None},
        EVENT | {"event_attributes": {}},
    ]
    chosen = clicklog.rule(max_malformed_share=0.5)
    found = clicklog.staged(written(tmp_path, queries, events), chosen, clicklog.UBI)
    assert found.records == {
        "queries": {"malformed": 4, "no_query": 1, "no_query_id": 1, "no_user": 1, "too_long": 1, "used": 1},
        "events": {"malformed": 1, "no_query_id": 1, "no_target": 1, "other_action": 1, "used": 1},
    }
    assert found.searches is not None
    left = clicklog.rows(found.searches, "search, session, person, text, kinds, time, targets", "fault is not null")
    assert {value for row in left for value in row} == {None}


@pytest.mark.parametrize(
    ("queries", "events", "told"),
    [
        ([QUERY, "{broken"], [EVENT], "queries.ndjson (`collect.logs[0].queries`): 1 of 2 records are malformed"),
        ([], [EVENT], "queries.ndjson (`collect.logs[0].queries`): expected records, found none"),
        (
            [{"query": "tea", "id": 1}],
            [EVENT],
            "expected records with query_id, user_query and, there or in an event, client_id, user_id or session_id; found 1 and",
        ),
        ([LEAST], [SAID], "client_id, user_id or session_id; found 1 and none of use: {'no_user': 1}"),
        (
            [QUERY],
            [{"clicked": "d1"}],
            "expected records with query_id, object_id and one of the actions; found 1 and none of use",
        ),
    ],
)
def test_a_log_that_is_none_is_told(tmp_path: Path, queries: list[Any], events: list[Any], told: str) -> None:
    """By file and knob."""
    with pytest.raises(InputError) as caught:
        clicklog.staged(written(tmp_path, queries, events), clicklog.rule(), clicklog.UBI)
    assert told in str(caught.value)


def test_a_log_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The knob may be mended or emptied."""
    with pytest.raises(
        InputError, match=r"queries\.ndjson: expected a search log, found no file; mend `collect\.logs\[0\]\.queries`"
    ):
        clicklog.staged(tmp_path, clicklog.rule(), clicklog.UBI)
