"""Event tables of each format, whole and broken."""

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import clicklog
from burnish.clicks import position
from burnish.clicks.rule import Columns, TableLog
from burnish.errors import InputError

HEADER = ",".join(clicklog.FIELDS)
CSV = f'{HEADER}\n"tea, green",d1,click,u1,s1,2,2024-01-01T00:00:00Z,7.5\nbrew,d2,impression,u2,s2,1,1704067200,\n'
ROWS = [("brew", "d2", 1, 1704067200000000, None, False), ("tea, green", "d1", 2, 1704067200000000, 7.5, True)]


def table(path: str, **columns: str | None) -> TableLog:
    """A log of this file, its columns named as the fields but for `columns`."""
    return TableLog(kind="table", path=path, columns=Columns(**(COLUMNS | columns)), language="en")


COLUMNS: dict[str, Any] = clicklog.COLUMNS.model_dump()


def parquet(path: Path) -> None:
    """The rows as typed columns."""
    frame = pl.DataFrame(
        {
            "query": ["tea, green", "brew"],
            "target": ["d1", "d2"],
            "action": ["click", "impression"],
            "user": [1, 2],
            "session": [1, 2],
            "rank": [2, 1],
            "timestamp": [1704067200, 1704067200],
            "dwell": [7.5, None],
        }
    ).with_columns(pl.from_epoch("timestamp", time_unit="s"))
    frame.write_parquet(path)


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.tsv", "log.jsonl", "log.ndjson.gz", "log.parquet"])
def test_each_format_is_read(tmp_path: Path, name: str) -> None:
    """The same rows from each, times in microseconds."""
    tabs = CSV.replace('"tea, green"', "tea; green").replace(",", "\t").replace(";", ",")
    jsonl = (
        '{"query": "tea, green", "target": "d1", "action": "click", "user": 1, "session": "x", "rank": 2, '
        '"timestamp": "2024-01-01 00:00:00", "dwell": 7.5}\n'
        '{"query": "brew", "target": "d2", "action": "impression", "user": 2, "rank": "1", "timestamp": 1704067200000}\n'
    )
    if name == "log.parquet":
        parquet(tmp_path / name)
    else:
        content = (jsonl if "json" in name else tabs if "tsv" in name else CSV).encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = clicklog.staged(tmp_path, clicklog.rule(), table(name))
    assert clicklog.rows(found.events, "text, target, rank, time, dwell, clicked") == ROWS
    assert found.records == {"events": {"used": 2}}


@pytest.mark.parametrize("kind", [pl.Int64, pl.Float64, pl.String])
def test_a_date_of_fourteen_digits_is_one_in_a_column_of_any_type(tmp_path: Path, kind: type[pl.DataType]) -> None:
    """Numbers that make no date are seconds, milliseconds or microseconds."""
    frame = pl.DataFrame(clicklog.event("tea", "d1"), schema_overrides={"timestamp": pl.Int64, "dwell": pl.Float64})
    times = pl.DataFrame({"timestamp": [20250123131822, 20251323131822, 1737638302]}).cast(kind)
    frame.drop("timestamp").join(times, how="cross").write_parquet(tmp_path / "log.parquet")
    found = clicklog.staged(tmp_path, clicklog.rule(), table("log.parquet"))
    told = [(1_737_638_302_000_000,), (1_737_638_302_000_000,), (20_251_323_131_822_000,)]
    assert clicklog.rows(found.events, "time") == told


def test_white_space_and_control_characters_are_one_space(tmp_path: Path) -> None:
    """Of every script, and none at the ends."""
    clicklog.lines(tmp_path / "log.jsonl", [clicklog.event("\u3000brew\t \u00a0tea\n", "d1")])
    assert clicklog.rows(clicklog.staged(tmp_path, clicklog.rule()).events, "text") == [("brew tea",)]


def test_a_day_of_a_user_is_a_session_where_none_is_named(tmp_path: Path) -> None:
    """Two days are two; without times the whole log is one."""
    rows = [clicklog.event("tea", "d1", user="u", timestamp=clicklog.DAY + 86400 * day) for day in (0, 0, 1)]
    clicklog.lines(tmp_path / "log.jsonl", rows)
    for columns, sessions in (({"session": None}, 2), ({"session": None, "timestamp": None}, 1), ({"user": None}, 1)):
        found = clicklog.staged(tmp_path, clicklog.rule(), table("log.jsonl", **columns))
        assert clicklog.rows(found.events, "count(distinct session), count(distinct person)") == [(sessions, 1)]


def test_without_actions_every_row_is_a_click(tmp_path: Path) -> None:
    """A table of clicks needs no column that says so."""
    clicklog.lines(tmp_path / "log.jsonl", [clicklog.event("tea", "d1", "whatever")])
    found = clicklog.staged(tmp_path, clicklog.rule(), table("log.jsonl", action=None))
    assert clicklog.rows(found.events, "clicked") == [(True,)]


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
def test_a_log_of_clicks_and_their_places_alone_is_read(tmp_path: Path, name: str) -> None:
    """Query, target, place and user, no action, time or session: every row is a click, and what was shown is inferred."""
    found = [("tea", "d1", 1, "a"), ("tea", "d1", 1, "b"), ("tea", "d2", 3, "b"), ("tea", "d3", 2, "c")]
    rows = [dict(zip(("q", "doc", "pos", "uid"), row, strict=True)) for row in found]
    if name == "log.parquet":
        pl.DataFrame(rows).write_parquet(tmp_path / name)
    else:
        clicklog.lines(tmp_path / name, rows)
    none = dict.fromkeys(("action", "session", "timestamp", "dwell"))
    log = table(name, query="q", target="doc", rank="pos", user="uid", **none)
    chosen = clicklog.rule(depth=2)
    staged = clicklog.staged(tmp_path, chosen, log)
    assert staged.records == {"events": {"used": 4}}
    with clicklog.loaded(tmp_path, chosen, [staged]) as connection:
        counts = position.count_cells(connection, chosen)
        cells = connection.execute(
            "select t.target, rank, showings, clicking, curve % 2 from cells join targets t on t.id = cells.target order by all"
        ).fetchall()
    assert cells == [("d1", 1, 3, 2, 1), ("d3", 2, 2, 1, 1)]  # c passed d1 by, b passed d3 by on the way to the third place
    assert counts["clicked_beyond_depth"] == 1


def test_names_of_columns_may_hold_anything(tmp_path: Path) -> None:
    """Quotes and dots in a name are no SQL and no path."""
    odd = "q'\".x"
    row = clicklog.event("tea", "d1") | {odd: "oolong"}
    clicklog.lines(tmp_path / "log.jsonl", [row])
    pl.DataFrame([row], infer_schema_length=None).with_columns(pl.col("dwell").cast(pl.Float64)).write_parquet(
        tmp_path / "log.parquet"
    )
    for name in ("log.jsonl", "log.parquet"):
        assert clicklog.rows(clicklog.staged(tmp_path, clicklog.rule(), table(name, query=odd)).events, "text") == [("oolong",)]


def test_lines_of_a_csv_that_are_none_are_counted(tmp_path: Path) -> None:
    """Too few fields, too many, not UTF-8, and values of a wrong type."""
    bad = b"x,y\na,b,c,d,e,f,g,h,i\nte\xff,d1,click,u,s,1,,\ntea,d1,click,u,s,first,,\ntea,d1,click,u,s,1,noon,\ntea,d1,click,u,s,1,,long\n"
    (tmp_path / "log.csv").write_bytes(CSV.encode() + bad)
    found = clicklog.staged(tmp_path, clicklog.rule(max_malformed_share=0.75), table("log.csv"))
    assert found.records == {"events": {"malformed": 6, "used": 2}}
    with pytest.raises(InputError, match=r"log\.csv \(`collect\.logs\[0\]\.path`\): 6 of 8 records are malformed"):
        clicklog.staged(tmp_path, clicklog.rule(max_malformed_share=0.7), table("log.csv"))


def test_a_second_csv_counts_its_own_lines(tmp_path: Path) -> None:
    """What DuckDB remembers of the first is thrown away."""
    (tmp_path / "a.csv").write_text(f"{CSV}x,y\n")
    (tmp_path / "b.csv").write_text(CSV)
    chosen = clicklog.rule(max_malformed_share=0.5)
    with clicklog.staging.connected(chosen) as connection:
        for name, faults in (("a.csv", {"malformed": 1, "used": 2}), ("b.csv", {"used": 2})):
            found = clicklog.event_table.staged(connection, table(name), 0, tmp_path, tmp_path, chosen)
            assert found.records == {"events": faults}
        assert connection.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("name", "content", "columns", "told"),
    [
        ("log.csv", CSV, {"query": "q"}, "expected a column 'q' (`collect.logs[0].columns.query`), found ['query', 'target'"),
        ("log.txt", CSV, {}, "expected files of one kind of .csv, .tsv, .jsonl, .ndjson, .parquet, found ['.txt']"),
        ("log.csv", "", {}, "log.csv"),
        ("log.csv", HEADER + "\n", {}, "expected records, found none"),
        ("log.parquet", "PAR1", {}, "log.parquet (`collect.logs[0].path`): not readable: "),
        ("log.csv.gz", "not gzip", {}, "log.csv.gz (`collect.logs[0].path`): not readable: "),
        ("log.jsonl", '{"a": 1}\n', {}, "expected records with a query, a target, a user or session"),
        ("log.csv", CSV.replace("click", "tap"), {"action": "action"}, None),
    ],
)
def test_a_table_that_cannot_be_used_is_told(
    tmp_path: Path, name: str, content: str, columns: dict[str, str], told: str | None
) -> None:
    """By file and knob; a table of other actions is none only if it has none that counts."""
    (tmp_path / name).write_text(content)
    if told is None:
        assert clicklog.staged(tmp_path, clicklog.rule(), table(name)).records == {"events": {"other_action": 1, "used": 1}}
        return
    with pytest.raises(InputError) as caught:
        clicklog.staged(tmp_path, clicklog.rule(), table(name, **columns))
    assert told in str(caught.value)


def test_somebody_must_be_told_apart() -> None:
    """Without users and sessions nobody can say how many people asked."""
    with pytest.raises(ValueError, match="name a column for `user` or for `session`"):
        table("log.csv", user=None, session=None)
