"""The tables: their columns, keys and promises, and the only way to read or write one.

Unit of observation of each: see the table in ARCHITECTURE.md. Text lives in passages and queries alone.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from burnish import atomic
from burnish.errors import InputError

SLICE = "slice_"  # queries may carry further string columns with this prefix; each becomes a slice of the results
SPLITS = ("train", "dev", "test")
ORIGINS = ("curated", "clicks", "synthetic", "extractive", "general")


@dataclass(frozen=True)
class Table:
    """A contract: `columns` by name and type, the first `keys` of which identify a row."""

    name: str
    columns: dict[str, type[pl.DataType]]
    keys: int = 1
    prefix: str | None = None

    @property
    def key(self) -> list[str]:
        """The names of the key columns."""
        return list(self.columns)[: self.keys]


DOCUMENTS = Table(
    "documents",
    {
        "document_id": pl.String,
        "source": pl.String,
        "uri": pl.String,
        "title": pl.String,
        "language": pl.String,
        "sha256": pl.String,
        "duplicate_group": pl.String,
    },
)
PASSAGES = Table(
    "passages",
    {
        "passage_id": pl.String,
        "document_id": pl.String,
        "ordinal": pl.Int32,
        "title": pl.String,
        "heading": pl.String,
        "text": pl.String,
        "tokens": pl.Int32,
    },
)
QUERIES = Table(
    "queries",
    {"query_id": pl.String, "text": pl.String, "language": pl.String, "origin": pl.String, "split": pl.String},
    prefix=SLICE,
)
QRELS = Table(
    "qrels",
    {
        "query_id": pl.String,
        "target_id": pl.String,
        "unit": pl.String,
        "grade": pl.Int8,
        "weight": pl.Float32,
        "origin": pl.String,
    },
    keys=3,
)
VERDICTS = Table("verdicts", {"query_id": pl.String, "score": pl.Int8})  # a judge's, 1 to 10, of the queries that it passed
LEAKS = Table(  # carries texts: a query that was left out stands in no other table of what is trained on or tested
    "leaks",
    {
        "query_id": pl.String,
        "held_id": pl.String,
        "kind": pl.String,  # exact, normalised, near-duplicate
        "similarity": pl.Float32,
        "left_out": pl.String,  # training, dev or held-out: which query went
        "origin": pl.String,
        "held_origin": pl.String,
        "held_split": pl.String,
        "text": pl.String,
        "held_text": pl.String,
    },
    keys=2,
)
NEGATIVES = Table(
    "negatives",
    {
        "query_id": pl.String,
        "passage_id": pl.String,
        "rank": pl.Int32,
        "score": pl.Float32,
        "margin": pl.Float32,
        "miner": pl.String,
    },
    keys=2,
)
RUNS = Table(
    "runs",
    {"system": pl.String, "query_id": pl.String, "passage_id": pl.String, "rank": pl.Int32, "score": pl.Float32},
    keys=3,
)


def empty(table: Table) -> pl.DataFrame:
    """A frame with the columns of `table` and no row."""
    return pl.DataFrame(schema=table.columns)


def checked(frame: pl.DataFrame, table: Table, where: str) -> pl.DataFrame:
    """`frame` in the contract's column order, sorted by key.

    Raises:
        InputError: a column is missing, surplus, of another type or null, or a key stands twice.
    """
    extra = [name for name in frame.columns if name not in table.columns]
    if surplus := [name for name in extra if table.prefix is None or not name.startswith(table.prefix)]:
        raise InputError(f"{where}: table {table.name} has no column {surplus[0]!r}; expected {list(table.columns)}")
    if missing := [name for name in table.columns if name not in frame.columns]:
        raise InputError(f"{where}: table {table.name} lacks column {missing[0]!r}; found {frame.columns}")
    for name, kind in table.columns.items():
        if frame.schema[name] != kind:
            raise InputError(f"{where}: column {name} of {table.name}: expected {kind}, found {frame.schema[name]}")
    for name, nulls in frame.null_count().row(0, named=True).items() if frame.height else ():
        if nulls:
            raise InputError(f"{where}: column {name} of {table.name} has {nulls} empty values; none is allowed")
    doubles = frame.height - frame.select(table.key).n_unique() if frame.height else 0
    if doubles:
        first = frame.filter(frame.select(table.key).is_duplicated()).select(table.key).row(0)
        raise InputError(f"{where}: {doubles} rows of {table.name} repeat a key {table.key}, the first: {first}")
    return frame.select([*table.columns, *sorted(extra)]).sort(table.key)


def write(frame: pl.DataFrame, table: Table, path: Path) -> None:
    """Check `frame` against `table` and write it to `path`, sorted by key, whole or not at all."""
    ordered = checked(frame, table, str(path))
    with atomic.file(path) as temporary:
        ordered.write_parquet(temporary, compression="zstd")


def read(table: Table, path: Path) -> pl.DataFrame:
    """The table at `path`, checked against `table`."""
    try:
        frame = pl.read_parquet(path)
    except (FileNotFoundError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: expected the Parquet table {table.name}; {error}") from error
    return checked(frame, table, str(path))


def embedded_text(passages: pl.DataFrame) -> list[str]:
    """What a model is given for each passage: its title, its heading and its text.

    One place decides it, for training, evaluation and deployment alike.
    """
    parts = pl.concat_str(
        pl.when(pl.col("title") == "").then(pl.lit("")).otherwise(pl.col("title") + "\n"),
        pl.when(pl.col("heading") == "").then(pl.lit("")).otherwise(pl.col("heading") + "\n"),
        pl.col("text"),
    )
    return passages.select(parts.alias("text"))["text"].to_list()
