"""The one place that reads raw logs: ids leave it hashed and texts masked, as Parquet files that all later steps read.

The database here has no temporary folder, so DuckDB cannot spill: no raw line, user id or unmasked text reaches a disk. Its
salt is drawn anew in each run and dies with the process, so nothing that is written may depend on an id: later steps count
ids and compare them, and never sort by one.
"""

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType

from burnish.clicks import privacy
from burnish.clicks.rule import ClickRule
from burnish.errors import InputError


@dataclass(frozen=True)
class Staged:
    """One log, read: every record is a row, those that cannot be used with the reason in `fault` and all else null.

    Attributes:
        number: its place in `collect.logs`, from 0.
        language: of its queries.
        searches: Parquet of `search`, `session`, `person` (UUIDs), `text`, `kinds`, `time` (microseconds), `targets`, `fault`.
            None for an event table, whose rows tell all.
        events: Parquet of `target`, `rank`, `time`, `dwell` (seconds), `clicked`, `fault`; and of `session`, `person`, `text`, `kinds`
            for an event table, or of `search` and whom the event names for UBI (`asker`, `visit`; UUIDs, where the action is
            another or the target is missing too).
        records: by file ("queries", "events") the number of records by fault, "used" for those without.
    """

    number: int
    language: str
    searches: Path | None
    events: Path
    records: dict[str, dict[str, int]]


def threads(memory_gb: float) -> int:
    """Threads that this much memory feeds: some 256 MB each."""
    return max(1, min(os.cpu_count() or 1, int(memory_gb * 4)))


def connected(rule: ClickRule) -> duckdb.DuckDBPyConnection:
    """A database that cannot spill, with the macros of every first projection."""
    connection = duckdb.connect()
    connection.execute(f"set temp_directory = ''; set memory_limit = '{rule.memory_gb}GB'; set TimeZone = 'UTC'")
    connection.execute(
        f"set enable_progress_bar = false; set preserve_insertion_order = false; set threads = {threads(rule.memory_gb)}"
    )
    connection.execute(f"set variable salt = '{secrets.token_hex(16)}'")
    connection.create_function("mask", _mask(rule.max_digits), ["VARCHAR"], _MASKED, type=PythonUDFType.ARROW)
    connection.execute(
        f"""
        create macro hashed(id) as left(sha256(getvariable('salt') || id), 32)::uuid;
        create macro given(x) as nullif(trim(x), '');
        create macro number_us(x) as (case when x < 1e11 then x * 1e6 when x < 1e14 then x * 1e3 else x end)::bigint;
        create macro compact_us(x) as case when regexp_full_match(x, '(19|20)\\d{{12}}(\\.\\d{{1,6}})?')
            then epoch_us(try_strptime(x, ['%Y%m%d%H%M%S', '%Y%m%d%H%M%S.%f'])) end;
        create macro moment_us(x) as coalesce(case when x between 19e12 and 21e12 then compact_us(x::varchar) end,
            number_us(x::double));
        create macro time_us(x) as case when regexp_full_match(x, '\\d{{9,16}}(\\.\\d+)?')
            then coalesce(compact_us(x), number_us(x::double))
            else epoch_us(try_cast(x as timestamptz)) end;
        create macro session_of(number, person, session, time) as hashed(concat_ws(chr(31), number, person,
            coalesce(session, chr(30) || (time // 86400000000)::varchar, '')));
        create macro person_of(number, person, session) as hashed(coalesce(person, number || chr(31) || session));
        create macro cleaned(x) as nullif(case when regexp_matches(x, '[^\\PZ ]|\\p{{Cc}}|^ |  | $')
            then trim(regexp_replace(x, '[\\p{{Z}}\\p{{Cc}}]+', ' ', 'g')) else x end, '');
        create macro masked(x) as case when x is null or length(x) > {rule.max_characters} then {{'text': null, 'kinds': ''}}
            when regexp_matches(x, '{privacy.SUSPECT}') then mask(x) else {{'text': x, 'kinds': ''}} end;
        create macro text_fault(x, m) as case when x is null then 'no_query'
            when length(x) > {rule.max_characters} then 'too_long'
            when m.kinds <> '' and {rule.personal == "drop"} then 'personal' end;
        """
    )
    return connection


def files(root: Path, pattern: str, knob: str) -> list[str]:
    """The files that a glob below `root` names, sorted.

    Raises:
        InputError: there is none.
    """
    whole = root / pattern
    try:
        found = [whole] if whole.is_file() else sorted(path for path in root.glob(pattern) if path.is_file())
    except (NotImplementedError, ValueError):  # an absolute glob, or `**` inside a name
        found = []
    if not found:
        raise InputError(f"{whole}: expected a search log, found no file; mend `{knob}`, or empty `collect.logs`")
    return [str(path) for path in found]


def write(connection: duckdb.DuckDBPyConnection, query: str, paths: Sequence[str], out: Path, knob: str) -> dict[str, int]:
    """Write what `query` makes of the files to `out` as Parquet; the number of records by fault, "used" for none.

    Args:
        connection: of `connected`.
        query: a select with one parameter, the list of files.
        paths: the files.
        out: the Parquet file.
        knob: what named the files, for the message.

    Raises:
        InputError: a file is not what it was taken for, or memory is too small.
    """
    try:
        return counted(connection, query, paths, out)
    except duckdb.OutOfMemoryException as error:
        raise InputError(f"{paths[0]}: too large for collect.clicks.memory_gb; raise it ({first_line(error)})") from error
    except (duckdb.InvalidInputException, duckdb.IOException, duckdb.ConversionException) as error:
        raise InputError(f"{paths[0]} (`{knob}`): not readable: {first_line(error)}") from error


def counted(connection: duckdb.DuckDBPyConnection, query: str, paths: Sequence[str], out: Path) -> dict[str, int]:
    """`write`, of files that were made here: what goes wrong is not theirs."""
    connection.execute(f"copy ({query}) to '{quoted(out)}' (format parquet, compression zstd)", [list(paths)])
    found = connection.execute("select coalesce(fault, 'used'), count(*) from read_parquet(?) group by 1", [str(out)])
    return dict(sorted(found.fetchall()))


def check(faults: dict[str, int], where: str, wanted: str, rule: ClickRule) -> None:
    """Stop where more records than `max_malformed_share` are malformed, or none can be used.

    Args:
        faults: records by fault.
        where: the file and the knob that names it.
        wanted: the fields that a record should have.
        rule: with the share.
    """
    records = sum(faults.values())
    if not records:
        raise InputError(f"{where}: expected records, found none; mend `collect.logs`, or empty it")
    bad = faults.get("malformed", 0)
    if bad > rule.max_malformed_share * records:
        raise InputError(
            f"{where}: {bad} of {records} records are malformed (not of the format, or with a rank, time or dwell that is none), "
            f"more than collect.clicks.max_malformed_share allows ({rule.max_malformed_share:.2%}); mend the file, or raise it"
        )
    if not faults.get("used"):
        raise InputError(f"{where}: expected records with {wanted}; found {records} and none of use: {faults}")


def quoted(path: Path) -> str:
    """A path inside an SQL string."""
    return str(path).replace("'", "''")


def listed(names: Sequence[str]) -> str:
    """Names as an SQL list."""
    return ", ".join("'{}'".format(name.replace("'", "''")) for name in names) or "null"


_MASKED = duckdb.struct_type({"text": "VARCHAR", "kinds": "VARCHAR"})


def _mask(max_digits: int) -> Callable[[pa.Array], pa.Array]:
    def mask(texts: pa.Array) -> pa.Array:
        found = [privacy.masked(text, max_digits) for text in texts.to_pylist()]
        columns = (
            pa.array([" ".join(one.text.split()) for one in found], pa.string()),
            pa.array([",".join(one.kinds) for one in found], pa.string()),
        )
        return pa.StructArray.from_arrays(columns, ["text", "kinds"])

    return mask


def first_line(error: duckdb.Error) -> str:
    """What DuckDB says; further lines of a CSV's error quote the raw line, and nobody should read that."""
    return str(error).split("\n", 1)[0]
