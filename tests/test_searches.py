"""Who asked what: joined spellings, several people, sessions once, no robots."""

from pathlib import Path
from typing import Any

import pytest

import clicklog
from burnish.clicks import position, searches
from burnish.clicks.rule import ClickRule
from burnish.clicks.staging import Staged


def kept(folder: Path, rows: list[Any], chosen: ClickRule) -> tuple[dict[str, int], dict[str, Any]]:
    """(people by the key of each kept query, the counts) of a table log of these rows."""
    clicklog.lines(folder / "log.jsonl", rows)
    with searches.connected(chosen, folder / "spill") as connection:
        searches.load(connection, [clicklog.staged(folder, chosen)])
        counts = searches.keep(connection, chosen)
        people = connection.execute("select distinct key, people from kept join asked using (query)").fetchall()
    return dict(people), counts


def test_spellings_are_one_query(tmp_path: Path) -> None:
    """Case, punctuation, width and white space do not part them; a mask does."""
    texts = ["Brew TEA?", "brew  tea", "ｂｒｅｗ tea", "brew tea 4111111111111111"]
    rows = [clicklog.event(text, "d1", user=str(at)) for at, text in enumerate(texts)]
    people, counts = kept(tmp_path, rows, clicklog.rule())
    assert people == {"brew tea": 3, "brew tea […]": 1}
    assert counts["masked"] == {"card": 1}


def test_signs_that_make_another_question_part_queries(tmp_path: Path) -> None:
    """C++, C# and C are three languages; clicks of one say nothing of another."""
    parted = ["sort in C", "sort in C++", "sort in C#", "net core", ".net core", "a && b", "a || b"]
    joined = ["Sort in c++?", "ｓｏｒｔ in Ｃ＋＋", "A&&B"]
    people, counts = kept(tmp_path, [clicklog.event(text, "d1", user=text) for text in parted + joined], clicklog.rule())
    assert sorted(people.values()) == [1, 1, 1, 1, 1, 2, 3]
    assert counts["queries"] == {"found": 7, "empty": 0, "below_min_users": 0}


def test_a_query_of_too_few_people_is_cut(tmp_path: Path) -> None:
    """However often they ask, in however many sessions."""
    rows = [clicklog.event("ours", "d1", user=one) for one in "abc"]
    rows += [clicklog.event("mine", "d1", user="a", session=str(at)) for at in range(9)]
    people, counts = kept(tmp_path, rows, clicklog.rule(min_users=3))
    assert people == {"ours": 3}
    assert counts["queries"] == {"found": 2, "empty": 0, "below_min_users": 1}


def test_a_text_without_a_word_is_cut(tmp_path: Path) -> None:
    """Punctuation asks nothing, and what was nothing but a number neither."""
    rows = [clicklog.event(text, "d1") for text in ("???", "&&", "123456789012", "tea")]
    people, counts = kept(tmp_path, rows, clicklog.rule())
    assert set(people) == {"tea"}
    assert counts["queries"] == {"found": 2, "empty": 1, "below_min_users": 0}


@pytest.mark.parametrize(
    ("robots", "seconds", "cut"),
    [
        ({"queries": 11}, 600, True),
        ({"queries": 12}, 600, False),
        ({"clicks": 11}, 600, True),
        ({"queries_per_minute": 60.0}, 5, True),
        ({"queries_per_minute": 60.0}, 600, False),
    ],
)
def test_a_robots_session_is_cut(tmp_path: Path, robots: dict[str, float], seconds: int, *, cut: bool) -> None:
    """By queries, clicks, or queries a minute; other sessions of the same queries stay."""
    limits = {"queries": 100, "clicks": 100, "queries_per_minute": 1000.0} | robots
    texts = [f"tea {'x' * at}" for at in range(12)]
    rows = [
        clicklog.event(text, "d1", user="robot", timestamp=clicklog.DAY + seconds * at / 11) for at, text in enumerate(texts)
    ]
    rows.append(clicklog.event(texts[0], "d1", user="person"))
    people, counts = kept(tmp_path, rows, clicklog.rule(robots=limits))
    assert len(people) == (1 if cut else 12)
    assert counts["sessions"] == {"found": 2, "robots": int(cut)}
    counted = {"found": 13, "of_robots": 12 * cut, "of_kept_queries": 13 - 12 * cut, "of_cut_queries": 0, "without_query": 0}
    assert counts["clicks"] == counted


def test_a_ubi_query_id_of_two_queries_is_no_id(tmp_path: Path) -> None:
    """A click on it may belong to either, so it belongs to none."""
    query = {"query_id": "q", "client_id": "c", "user_query": "tea", "query_response_hit_ids": ["d1", "d2"]}
    event = {"query_id": "q", "action_name": "click", "event_attributes": {"object": {"object_id": "d1"}}}
    clicklog.lines(tmp_path / "events.ndjson", [event])
    for texts, clicks in ((["tea", "tea"], 1), (["tea", "cups"], 0)):
        clicklog.lines(tmp_path / "queries.ndjson", [query | {"user_query": text} for text in texts])
        chosen = clicklog.rule()
        with searches.connected(chosen, tmp_path / "spill") as connection:
            searches.load(connection, [clicklog.staged(tmp_path, chosen, clicklog.UBI)])
            counts = searches.keep(connection, chosen)
            assert (counts["clicks"]["found"], counts["clicks"]["without_query"]) == (clicks, 1 - clicks)
            assert connection.execute("select count(*) from impressions").fetchall() == [(4,)]


@pytest.mark.deep
def test_what_memory_does_not_hold_is_spilled(tmp_path: Path) -> None:
    """The same pairs, to the last bit, within 64 MB as in the gigabytes that hold all; without a disk they do not suffice."""
    with clicklog.duckdb.connect() as connection:
        connection.execute(
            f"""copy (select md5((i // 11)::varchar)::uuid as session, session as person, 'how to find ' || (i // 11 % 5000) as text,
                             '' as kinds, (i // 11 % 5000) || '/' || (i % 11) as target,
                             (i % 11 + i // 55000 % 3 + 1)::integer as rank, i * 1000000 as time, null::double as dwell,
                             i % 7 = 0 as clicked, null::varchar as fault from range(440000) r(i))
                to '{tmp_path}/events.parquet' (format parquet)"""
        )
    log = Staged(0, "en", None, tmp_path / "events.parquet", {})
    chosen = clicklog.rule(memory_gb=4, navigational={"entropy": 0.0, "words": 0, "clicks": 1})

    def pairs(limit: str, *more: str) -> list[tuple[Any, ...]]:
        with searches.connected(chosen, tmp_path / limit) as connection:
            connection.execute("; ".join([f"set memory_limit = '{limit}'; set threads = 1", *more]))
            searches.load(connection, [log])
            searches.keep(connection, chosen)
            position.count_cells(connection, chosen)
            position.weigh(connection, chosen)
            return connection.execute(
                """select key, t.target, showings, clicking, ratio from pairs p join targets t on t.id = p.target
                   join (select distinct query, key from asked) using (query) order by all"""
            ).fetchall()

    with pytest.raises(clicklog.duckdb.OutOfMemoryException):
        pairs("64MB", "set temp_directory = ''")
    ample = pairs("4GB")
    assert len(ample) == 55_000
    assert pairs("64MB") == ample


def test_people_of_two_logs_are_counted_once(tmp_path: Path) -> None:
    """The same client in both is one person, in two sessions."""
    chosen = clicklog.rule()
    clicklog.lines(tmp_path / "log.jsonl", [clicklog.event("tea", "d1", user="a")])
    with clicklog.staging.connected(chosen) as connection:
        logs = [
            clicklog.event_table.staged(connection, clicklog.TABLE, number, tmp_path, tmp_path, chosen) for number in (0, 1)
        ]
    with clicklog.loaded(tmp_path, chosen, logs) as connection:
        assert connection.execute("select people, sessions from kept").fetchall() == [(1, 2)]
