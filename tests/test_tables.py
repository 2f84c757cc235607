"""The contracts of the tables: what is refused, and that the same rows are the same bytes."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burnish import tables
from burnish.errors import InputError
from burnish.tables import PASSAGES, QRELS, QUERIES


def queries(*ids: str) -> pl.DataFrame:
    """A table of queries with these ids."""
    columns = {"text": "how", "language": "en", "origin": "curated", "split": "test"}
    return pl.DataFrame({"query_id": list(ids)}).with_columns(pl.lit(value).alias(name) for name, value in columns.items())


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Values and types survive the file; rows come in the order of the key."""
    tables.write(queries("b", "a"), QUERIES, tmp_path / "q.parquet")
    assert tables.read(QUERIES, tmp_path / "q.parquet").equals(queries("a", "b"))


def test_a_table_without_rows_comes_back(tmp_path: Path) -> None:
    """An empty table keeps its columns and types."""
    tables.write(tables.empty(QRELS), QRELS, tmp_path / "q.parquet")
    assert tables.read(QRELS, tmp_path / "q.parquet").schema == pl.Schema(QRELS.columns)


@given(st.permutations([f"q{number}" for number in range(12)]))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_order_of_rows_changes_no_byte(tmp_path: Path, ids: list[str]) -> None:
    """However the rows and columns come, the file is the same."""
    ordered, shuffled = tmp_path / "one.parquet", tmp_path / "other.parquet"
    frame = queries(*ids)
    tables.write(queries(*sorted(ids)), QUERIES, ordered)
    tables.write(frame.select(reversed(frame.columns)), QUERIES, shuffled)
    assert shuffled.read_bytes() == ordered.read_bytes()


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (queries("a").drop("text"), "lacks column 'text'"),
        (queries("a").with_columns(pl.lit("x").alias("surplus")), "has no column 'surplus'"),
        (queries("a").with_columns(pl.lit(1).alias("text")), "column text of queries: expected String, found Int32"),
        (queries("a").with_columns(pl.lit(None, dtype=pl.String).alias("text")), "column text of queries has 1 empty values"),
        (queries("a", "b", "a"), "1 rows of queries repeat a key ['query_id'], the first: ('a',)"),
        (queries("a").with_columns(pl.lit(None, dtype=pl.String).alias("slice_kind")), "slice_kind of queries has 1 empty"),
    ],
    ids=["missing", "surplus", "type", "null", "repeated", "null slice"],
)
def test_what_breaks_the_contract_is_named(tmp_path: Path, frame: pl.DataFrame, told: str) -> None:
    """The message names the file, the column and what was found, and nothing is written."""
    with pytest.raises(InputError) as caught:
        tables.write(frame, QUERIES, tmp_path / "q.parquet")
    assert told in str(caught.value)
    assert str(tmp_path / "q.parquet") in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_table_on_the_disk_is_checked_too(tmp_path: Path) -> None:
    """A file that something else wrote is held to the contract when it is read."""
    queries("a", "a").write_parquet(tmp_path / "q.parquet")
    with pytest.raises(InputError, match="repeat a key"):
        tables.read(QUERIES, tmp_path / "q.parquet")


def test_queries_alone_carry_slices() -> None:
    """A column that begins with slice_ joins the queries, after the contract's own, and no other table."""
    sliced = pl.lit("x").alias("slice_kind")
    assert tables.checked(queries("a").select(sliced, pl.all()), QUERIES, "here").columns[-1] == "slice_kind"
    with pytest.raises(InputError, match="no column 'slice_kind'"):
        tables.checked(tables.empty(PASSAGES).with_columns(sliced), PASSAGES, "here")


def test_a_key_may_span_columns() -> None:
    """A query may name a target as passage and as document, each once."""
    row = {"query_id": "q", "target_id": "t", "unit": "passage", "grade": 1, "weight": 1.0, "origin": "curated"}
    both = pl.DataFrame([row, row | {"unit": "document"}], schema=QRELS.columns)
    assert tables.checked(both, QRELS, "here")["unit"].to_list() == ["document", "passage"]


@pytest.mark.parametrize("content", [None, b"", b"PAR1 but no more"])
def test_a_file_that_is_no_parquet_is_told(tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or damaged file is named, with what was expected there."""
    path = tmp_path / "passages.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"passages\.parquet: expected the Parquet table passages"):
        tables.read(PASSAGES, path)


def test_a_model_reads_title_heading_and_text_on_lines_of_their_own() -> None:
    """Parts that are empty leave no line."""
    frame = pl.DataFrame({"title": ["T", "", "T"], "heading": ["H", "H", ""], "text": ["a", "b", "c"]})
    assert tables.embedded_text(frame) == ["T\nH\na", "H\nb", "T\nc"]
