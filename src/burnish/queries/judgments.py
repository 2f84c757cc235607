"""Judgments: curated queries and grades, and the general set, from the formats that people have them in."""

import csv
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from burnish import tables
from burnish.documents import duplicates
from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.languages import language_code
from burnish.records import Language, json_lines
from burnish.tables import PASSAGES, QRELS, QUERIES, SLICE, SPLITS

_QUERY_ID = ("query_id", "_id", "qid", "id")
_QUERY_TEXT = ("text", "query", "question")
_TARGET_ID = ("target_id", "corpus-id", "passage_id", "document_id", "docid", "pid")
_QREL_QUERY = ("query_id", "query-id", "qid")
_GRADE = ("grade", "score", "relevance", "label")
_KNOWN = {*_QUERY_ID, *_QUERY_TEXT, "language", "split", "metadata"}


class JudgmentFiles(Knobs):
    """One set of judged queries: a file of queries and the files of their grades, below the judgments folder."""

    queries: Annotated[str, Field(min_length=1)]
    qrels: Annotated[str, Field(min_length=1)]  # a glob; train.tsv, dev.tsv and test.tsv give their queries' split
    language: Language


class Shares(Knobs):
    """Which shares of the queries that no file assigns to a split become test and dev."""

    test: Annotated[float, Field(ge=0, lt=1)]
    dev: Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class Judged:
    """Queries with their grades."""

    queries: pl.DataFrame
    qrels: pl.DataFrame


def curated(
    files: JudgmentFiles, root: Path, *, passage_ids: frozenset[str], document_ids: frozenset[str], shares: Shares
) -> Judged:
    """The judged queries of one set; queries without any grade are left out.

    Args:
        files: what to read.
        root: the folder that the files' names are relative to.
        passage_ids: the ids that a grade may name as a passage.
        document_ids: the ids that a grade may name as a document.
        shares: for queries whose split neither the query's own field nor a file's name tells. A BEIR folder with train and
            test alone gets its dev queries from the training queries.

    Raises:
        InputError: a file is missing or malformed, or a grade names an id that the corpus does not have.
    """
    whole = root / files.qrels  # the right side wins where it is absolute
    try:
        paths = [whole] if whole.is_file() else sorted(root.glob(files.qrels))
    except (NotImplementedError, ValueError):  # an absolute glob, or `**` inside a name
        paths = []
    if not paths:
        raise InputError(f"{root / files.qrels}: expected judgments, found no file; mend `collect.judgments` or empty it")
    records = pl.DataFrame(
        [(*row, _split_of(path)) for path in paths for row in _grades(path)],
        schema={"query_id": pl.String, "target_id": pl.String, "grade": pl.Int8, "file_split": pl.String},
        orient="row",
    )
    unknown = records.filter(~pl.col("target_id").is_in([*passage_ids, *document_ids]))
    if unknown.height:
        first = unknown.row(0, named=True)
        raise InputError(
            f"{root / files.qrels}: {unknown.height} of {records.height} judgments name an id that is neither a document nor a "
            f"passage of the corpus, the first: {first['target_id']!r} (query {first['query_id']!r}); mend the ids, or `sources`"
        )
    queries = _queries(root / files.queries, files.language)
    absent = records.filter(~pl.col("query_id").is_in(queries["query_id"].to_list()))
    if absent.height:
        raise InputError(
            f"{root / files.queries}: judged query {absent['query_id'][0]!r} is not there; add it or drop its grades"
        )
    by_file = records.filter(pl.col("file_split") != "").unique(["query_id", "file_split"])
    queries = _with_splits(queries.filter(pl.col("query_id").is_in(records["query_id"].to_list())), by_file, shares)
    qrels = records.unique(["query_id", "target_id"], keep="first", maintain_order=True).select(
        "query_id",
        "target_id",
        pl.when(pl.col("target_id").is_in(list(passage_ids)))
        .then(pl.lit("passage"))
        .otherwise(pl.lit("document"))
        .alias("unit"),
        "grade",
        pl.lit(1.0, dtype=pl.Float32).alias("weight"),
        pl.lit("curated").alias("origin"),
    )
    return Judged(queries, tables.checked(qrels, QRELS, str(root / files.qrels)))


def general(root: Path, *, most: dict[str, int]) -> tuple[pl.DataFrame, Judged]:
    """(passages, judged queries) of a general set in MS MARCO's files.

    collection.tsv holds passage id and text; queries.SPLIT.tsv query id and text; qrels.SPLIT.tsv TREC's four columns.
    Queries beyond `most` are left out by a hash of their id, so that a larger number keeps the smaller number's choice;
    the passages of left-out queries stay, as distractors.

    Args:
        root: the folder of the files.
        most: at most so many queries of each split.
    """
    passages = pl.DataFrame(
        [(f"general:{name}", f"general:{name}", 0, "", "", text, 0) for name, text in _tsv(root / "collection.tsv", 2)],
        schema=PASSAGES.columns,
        orient="row",
    )
    queries, qrels = [], []
    for split in SPLITS:
        graded = [row for row in _grades(root / f"qrels.{split}.tsv") if row[2] > 0]
        texts = {fields[0]: fields[1] for fields in _tsv(root / f"queries.{split}.tsv", 2)}
        kept = set(sorted({row[0] for row in graded}, key=_hash)[: most[split]])
        if missing := kept - texts.keys():
            raise InputError(f"{root}/queries.{split}.tsv: judged query {min(missing)!r} is not there")
        queries += [(f"general:{name}", texts[name], "en", "general", split) for name in sorted(kept)]
        qrels += [
            (f"general:{query}", f"general:{target}", "passage", grade, 1.0, "general")
            for query, target, grade in graded
            if query in kept
        ]
    frame = pl.DataFrame(qrels, schema=QRELS.columns, orient="row")
    unknown = frame.filter(~pl.col("target_id").is_in(passages["passage_id"].to_list()))
    if unknown.height:
        raise InputError(f"{root}: judgments name passage {unknown['target_id'][0]!r}, which collection.tsv does not hold")
    return tables.checked(passages, PASSAGES, str(root)), Judged(
        pl.DataFrame(queries, schema=QUERIES.columns, orient="row"), frame
    )


def held_out_split(cluster: str, shares: Shares) -> str:
    """The split of a near-duplicate cluster, by a hash of its name: a new query moves no other one.

    >>> held_out_split("how to pin", Shares(test=0.0, dev=0.0))
    'train'
    """
    at = int(_hash(cluster)[:8], 16) / 16**8
    return "test" if at < shares.test else "dev" if at < shares.test + shares.dev else "train"


def _with_splits(queries: pl.DataFrame, by_file: pl.DataFrame, shares: Shares) -> pl.DataFrame:
    """Own field first, then the file's name, then the hash; where files give no dev, some of train becomes dev."""
    files = dict(by_file.select("query_id", "file_split").iter_rows())
    if len(files) < by_file.height:
        twice = by_file.filter(pl.col("query_id").is_duplicated())["query_id"].min()
        raise InputError(f"collect.judgments: query {twice!r} stands in the judgment files of two splits; leave it in one")
    lacks_dev = bool(files) and "dev" not in files.values() and "dev" not in queries["split"].to_list()
    names = duplicates.clusters(queries["text"].to_list(), 0.7)
    only_dev = Shares(test=0.0, dev=shares.dev)
    splits = []
    for query_id, own, cluster in zip(queries["query_id"], queries["split"], names, strict=True):
        split = own or files.get(query_id) or held_out_split(cluster, shares)
        from_train = split == "train" and query_id in files and lacks_dev
        splits.append(held_out_split(cluster, only_dev) if from_train else split)
    return queries.with_columns(pl.Series("split", splits, dtype=pl.String))


def _queries(path: Path, language: str) -> pl.DataFrame:
    rows = []
    for number, record in enumerate(_records(path), 1):
        where = f"{path}, record {number}"
        split = str(record.get("split") or "")
        if split and split not in SPLITS:
            raise InputError(f"{where}: split {split!r}; expected one of {', '.join(SPLITS)}")
        slices = {
            SLICE + name.removeprefix(SLICE): str(value)
            for name, value in record.items()
            if name not in _KNOWN and isinstance(value, str)
        }
        row = {
            "query_id": _field(record, _QUERY_ID, where),
            "text": _field(record, _QUERY_TEXT, where),
            "language": _language(record, language, where),
            "origin": "curated",
            "split": split,
        }
        rows.append(row | slices)
    if not rows:
        raise InputError(f"{path}: expected queries, found none; add some, or empty `collect.judgments`")
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.starts_with(SLICE).fill_null("none"))


def _language(record: dict[str, object], default: str, where: str) -> str:
    try:
        return language_code(str(record.get("language") or default))
    except ValueError as error:
        raise InputError(f"{where}: language: {error}") from error


def _grades(path: Path) -> Iterator[tuple[str, str, int]]:
    """(query id, target id, grade) of each judgment of a file in TREC's, BEIR's or a table's format."""
    for number, record in enumerate(_trec(path) if _is_trec(path) else _records(path), 1):
        where = f"{path}, record {number}"
        text = _field(record, _GRADE, where)
        try:
            grade = float(text)
        except ValueError:
            grade = math.nan
        if not (0 <= grade <= 127 and grade.is_integer()):
            raise InputError(f"{where}: grade {text!r}; expected a whole number from 0 (no answer) to 127")
        yield _field(record, _QREL_QUERY, where), _field(record, _TARGET_ID, where), int(grade)


def _is_trec(path: Path) -> bool:
    """Whether the first line has TREC's four columns: query, 0, document, grade."""
    if path.suffix in {".jsonl", ".csv"} or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        parts = file.readline().split()
    return len(parts) == 4 and parts[3].lstrip("-").isdigit()


def _trec(path: Path) -> Iterator[dict[str, object]]:
    for query, _, target, grade in _tsv(path, 4):
        yield {"query_id": query, "target_id": target, "grade": grade}


def _records(path: Path) -> Iterator[dict[str, object]]:
    if path.suffix == ".jsonl":
        yield from json_lines(path)
        return
    if not path.is_file():
        raise InputError(f"{path}: expected a .jsonl, .csv or .tsv file, found none")
    comma = path.suffix == ".csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(
                file, delimiter="," if comma else "\t", quoting=csv.QUOTE_MINIMAL if comma else csv.QUOTE_NONE
            )
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as a table in UTF-8 with a header line: {error}") from error


def _tsv(path: Path, columns: int) -> Iterator[tuple[str, ...]]:
    """The fields of each line of a file without a header; white space other than tabs counts where tabs are too few."""
    if not path.is_file():
        raise InputError(f"{path}: expected a file of {columns} tab-separated columns, found none")
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode().rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(f"{path}, line {number}: not UTF-8: {error}") from error
            if not text:
                continue
            fields = text.split("\t") if text.count("\t") == columns - 1 else text.split(None, columns - 1)
            if len(fields) != columns:
                raise InputError(f"{path}, line {number}: expected {columns} columns, found {len(fields)}")
            yield tuple(fields)


def _field(record: dict[str, object], names: tuple[str, ...], where: str) -> str:
    for name in names:
        if record.get(name) not in (None, ""):
            return str(record[name])
    raise InputError(f"{where}: expected a field named {' or '.join(names)}, found {sorted(map(str, record))}")


def _split_of(path: Path) -> Literal["train", "dev", "test", ""]:
    for split in SPLITS:
        if split in path.stem.split("."):
            return split  # type: ignore[return-value]
    return ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
