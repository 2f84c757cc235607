"""Search logs, read from end to end."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from tqdm import tqdm

from burnish.clicks import event_table, pairs, position, searches, staging, ubi
from burnish.clicks.rule import ClickRule, Log, UbiLog
from burnish.clicks.staging import Staged
from burnish.errors import InputError
from burnish.queries.judgments import Judged

_SCRATCH = ".logs."  # Git and DVC ignore folders of this prefix


@dataclass(frozen=True)
class Collected:
    """Queries and judgments of origin `clicks`, and what was read and cut on the way, by reason."""

    judged: Judged
    counts: dict[str, Any]


def collected(logs: Sequence[Log], root: Path, scratch: Path, *, units: Mapping[str, str], rule: ClickRule) -> Collected:
    """The queries that people asked, with the answers that their clicks prove.

    Args:
        logs: at least one.
        root: the folder that their files are relative to.
        scratch: a folder on a disk with room for hashed and masked events, some 30 bytes each; what is put there is deleted.
        units: "passage" or "document" by the ids of the corpus.
        rule: how events become graded pairs.

    Raises:
        InputError: a file or knob is wrong, a limit is exceeded, or no query is left.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    for left in scratch.glob(f"{_SCRATCH}*"):  # of a run that was killed: it holds queries that privacy may drop
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=_SCRATCH) as name:
        folder = Path(name)
        try:
            staged = _staged(logs, root, folder, rule)
            with searches.connected(rule, folder / "spill") as connection:
                return _counted(connection, staged, units, rule)
        except duckdb.OutOfMemoryException as error:
            raise InputError(
                f"collect.logs: more than collect.clicks.memory_gb ({rule.memory_gb}) and the disk hold; raise it or make room "
                f"({staging.first_line(error)})"
            ) from error


def _staged(logs: Sequence[Log], root: Path, folder: Path, rule: ClickRule) -> list[Staged]:
    found = []
    with staging.connected(rule) as connection:
        for number, log in enumerate(tqdm(logs, desc="read logs", unit="log", disable=None)):
            if isinstance(log, UbiLog):
                found.append(ubi.staged(connection, log, number, root, folder, rule))
            else:
                found.append(event_table.staged(connection, log, number, root, folder, rule))
    return found


def _counted(connection: duckdb.DuckDBPyConnection, logs: list[Staged], units: Mapping[str, str], rule: ClickRule) -> Collected:
    searches.load(connection, logs)
    counts = searches.keep(connection, rule)
    counts["clicks"] |= position.count_cells(connection, rule)
    navigational = position.cut_navigational(connection, rule)
    rates = position.weigh(connection, rule)
    counts["pairs"] = pairs.grade(connection, units, rule)
    judged, ends = pairs.judged(connection, {log.number: log.language for log in logs}, rule)
    asked = counts["queries"]
    cut = asked["empty"] + asked["below_min_users"] + navigational
    counts["queries"] = asked | ends | {"navigational": navigational, "no_answer": asked["found"] - cut - ends["answered"]}
    counts["records"] = {str(log.number): log.records for log in logs}
    counts["click_rates"] = rates
    if not ends["used"]:
        raise InputError(
            f"collect.logs: no query is left; queries: {counts['queries']}, sessions: {counts['sessions']}, clicks: {counts['clicks']}, "
            f"pairs: {counts['pairs']}; "
            "lower what cuts most of `collect.clicks`, or give longer logs"
        )
    return Collected(judged, counts)
