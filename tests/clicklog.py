"""Small search logs for the tests of `burnish.clicks`."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import yaml

from burnish.clicks import event_table, searches, staging, ubi
from burnish.clicks.rule import ClickRule, Columns, Log, TableLog, UbiLog
from burnish.clicks.staging import Staged
from conftest import ROOT

FIELDS = ("query", "target", "action", "user", "session", "rank", "timestamp", "dwell")
COLUMNS = Columns(**{name: name for name in FIELDS})
TABLE = TableLog(kind="table", path="log.jsonl", columns=COLUMNS, language="en")
UBI = UbiLog(kind="ubi", queries="queries.ndjson", events="events.ndjson", language="en")
DAY = 1_700_000_000  # a time, in seconds


def rule(**changes: Any) -> ClickRule:
    """The shipped rule, but for one person and one showing being enough, and `changes`."""
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["collect"]["clicks"]
    small = {"memory_gb": 0.5, "min_users": 1, "min_impressions": 1, "min_clicks": 1, "max_malformed_share": 0.0}
    return ClickRule.model_validate(shipped | small | changes)


def event(query: str, target: str, action: str = "click", user: Any = "u", **fields: Any) -> dict[str, Any]:
    """A row of an event table; the session is the user's only one."""
    row = {"query": query, "target": target, "action": action, "user": user, "session": f"of {user}", "rank": 1}
    return row | {"timestamp": None, "dwell": None} | fields


def search(query: str, user: Any, results: Sequence[str], clicked: Iterable[str] = (), **fields: Any) -> list[dict[str, Any]]:
    """The rows of one search: its results in order, and the clicks."""
    shown = [event(query, one, "impression", user, rank=at, **fields) for at, one in enumerate(results, 1)]
    return shown + [event(query, one, "click", user, rank=results.index(one) + 1, **fields) for one in clicked]


def lines(path: Path, rows: Iterable[Any]) -> Path:
    """Write rows as JSON lines; a string as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def staged(folder: Path, chosen: ClickRule, log: Log = TABLE, number: int = 0) -> Staged:
    """The log in `folder`, read."""
    with staging.connected(chosen) as connection:
        if isinstance(log, UbiLog):
            return ubi.staged(connection, log, number, folder, folder, chosen)
        return event_table.staged(connection, log, number, folder, folder, chosen)


def rows(part: Path, columns: str, where: str = "fault is null") -> list[tuple[Any, ...]]:
    """Columns of a staged Parquet file, sorted."""
    with duckdb.connect() as connection:
        return connection.execute(f"select {columns} from read_parquet('{part}') where {where} order by all").fetchall()


def loaded(folder: Path, chosen: ClickRule, logs: Sequence[Staged]) -> duckdb.DuckDBPyConnection:
    """A database with the tables of `searches`."""
    connection = searches.connected(chosen, folder / "spill")
    searches.load(connection, logs)
    searches.keep(connection, chosen)
    return connection
