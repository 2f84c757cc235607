"""Curated queries and their grades: from every file that is named, by every annotator, into one set with its splits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import Discriminator, Field, Tag

from burnish import tables
from burnish.documents import duplicates
from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.languages import language_code
from burnish.queries import agreement, exports, formats
from burnish.queries.agreement import GRADES
from burnish.queries.exports import ExportFiles
from burnish.queries.judgments import Judged, Shares, held_out_split
from burnish.records import Language
from burnish.tables import QRELS, SLICE, SPLITS

_QUERY = {"query_id": pl.String, "text": pl.String, "language": pl.String, "origin": pl.String, "split": pl.String}
_KNOWN = {*formats.QUERY_ID, *formats.QUERY_TEXT, "language", "split", "metadata"}
_KNOB = "collect.judgments"


class JudgmentFiles(Knobs):
    """One set of judged queries: a file of queries and the files of their grades, below the judgments folder."""

    queries: Annotated[str, Field(min_length=1)]
    qrels: Annotated[str, Field(min_length=1)]  # a glob; train.tsv, dev.tsv and test.tsv give their queries' split
    language: Language


def _kind(value: object) -> str:
    return "export" if isinstance(value, ExportFiles) or (isinstance(value, dict) and "kind" in value) else "files"


JudgmentSource = Annotated[Annotated[JudgmentFiles, Tag("files")] | Annotated[ExportFiles, Tag("export")], Discriminator(_kind)]


@dataclass(frozen=True)
class Curated(Judged):
    """The curated queries with one grade for each pair, and what became of the single grades."""

    counts: dict[str, Any]


@dataclass(frozen=True)
class _Read:
    """What stands in one entry's files."""

    queries: pl.DataFrame  # _QUERY and slices; split is "" where the query's own field gives none
    grades: pl.DataFrame  # GRADES
    place: Path
    left_out: Counter[str]


def curated(
    sources: Sequence[JudgmentFiles | ExportFiles],
    root: Path,
    *,
    passage_ids: frozenset[str],
    document_ids: frozenset[str],
    shares: Shares,
    labels: str = "",
) -> Curated:
    """The judged queries of all sources; queries without any grade are left out.

    Where several people graded a pair, `agreement.settled` says what counts. Grades of `labels`, and of exports that hold no
    queries, may be of queries that other stages make: they stay among the qrels, and `mix` joins them to their queries.

    Args:
        sources: what to read.
        root: the folder that the files' names are relative to.
        passage_ids: the ids that a grade may name as a passage.
        document_ids: the ids that a grade may name as a document.
        shares: for queries whose split neither the query's own field nor a file's name tells. BEIR folders with train and
            test alone get their dev queries from the training queries.
        labels: the file that `burnish label` keeps, "" for none; one that is not there yet holds no grade. Its grades of
            passages that the corpus no longer has are left out and counted.

    Raises:
        InputError: a file is missing or malformed, a grade names an id that the corpus does not have, or an annotator
            contradicts himself.
    """
    targets = [*passage_ids, *document_ids]
    below_zero: Counter[str] = Counter()
    read = [_export(one, root) if isinstance(one, ExportFiles) else _files(one, root, below_zero) for one in sources]
    for one in read:
        _check_targets(one, targets)
    added = _labels(root / labels, below_zero) if labels else pl.DataFrame(schema=GRADES)
    known = added.filter(pl.col("target_id").is_in(targets))
    grades = pl.concat([*(one.grades for one in read), known])
    queries = _united([one.queries for one in read])
    queries = queries.filter(pl.col("query_id").is_in(grades["query_id"].to_list()))
    of_files = grades.filter(pl.col("split") != "").unique(["query_id", "split"], maintain_order=True)
    queries = _with_splits(queries, of_files.filter(pl.col("query_id").is_in(queries["query_id"].to_list())), shares)
    qrels = agreement.settled(grades).select(
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
    counts = {
        "agreement": agreement.agreement(grades),
        "left_out": dict(sorted(sum((one.left_out for one in read), Counter[str]()).items())),
        "labels": {"read": added.height, "of_no_passage": added.height - known.height},
        **({"grades_below_0": below_zero.total()} if below_zero.total() else {}),
    }
    return Curated(queries, tables.checked(qrels, QRELS, str(root)), counts)


def _files(files: JudgmentFiles, root: Path, below_zero: Counter[str]) -> _Read:
    rows: list[tuple[str, str, int, str, str, str]] = []
    for path in formats.files(root, files.qrels, _KNOB):
        before = len(rows)
        rows += [
            (query, target, grade, agreement.annotator(by or f"file {_below(path, root)}"), str(path), _split_of(path))
            for query, target, grade, by in formats.grades(path, below_zero)
        ]
        if len(rows) == before:
            raise formats.no_judgment(path)
    grades = pl.DataFrame(rows, schema=GRADES, orient="row")
    queries = _queries(root / files.queries, files.language)
    absent = grades.filter(~pl.col("query_id").is_in(queries["query_id"].to_list()))
    if absent.height:
        raise InputError(
            f"{root / files.queries}: judged query {absent['query_id'][0]!r} is not there; add it or drop its grades"
        )
    return _Read(queries, grades, root / files.qrels, Counter())


def _export(given: ExportFiles, root: Path) -> _Read:
    queries: dict[tuple[str, str], tuple[str, str, str, str, str]] = {}
    rows: list[tuple[str, str, int, str, str, str]] = []
    left_out: Counter[str] = Counter()
    for path in formats.files(root, given.path, _KNOB):
        for item in exports.items(formats.records(path), given, str(path), left_out):
            if item.query:
                queries[item.query_id, item.query] = (item.query_id, item.query, given.language, "curated", "")
            rows += [
                (item.query_id, item.target_id, grade, agreement.annotator(by), str(path), _split_of(path))
                for grade, by in item.answers
            ]
    if not rows:
        raise InputError(
            f"{root / given.path}: no answer to {given.question!r} counts (left out: {dict(left_out)}); mend `question`"
            + (f", which must name a control of {', '.join(exports.READ)}" if given.kind == "label-studio" else "")
        )
    return _Read(
        pl.DataFrame(list(queries.values()), schema=_QUERY, orient="row"),
        pl.DataFrame(rows, schema=GRADES, orient="row"),
        root / given.path,
        left_out,
    )


def _labels(path: Path, below_zero: Counter[str]) -> pl.DataFrame:
    """The grades that `burnish label` took, none if there is no file yet."""
    rows = formats.grades(path, below_zero) if path.exists() else ()
    return pl.DataFrame(
        [(query, target, grade, agreement.annotator(by), str(path), "") for query, target, grade, by in rows],
        schema=GRADES,
        orient="row",
    )


def _check_targets(read: _Read, targets: list[str]) -> None:
    unknown = read.grades.filter(~pl.col("target_id").is_in(targets))
    if unknown.height:
        first = unknown.row(0, named=True)
        raise InputError(
            f"{read.place}: {unknown.height} of {read.grades.height} judgments name an id that is neither a document nor a "
            f"passage of the corpus, the first: {first['target_id']!r} (query {first['query_id']!r}); mend the ids, or `sources`"
        )


def _united(sets: list[pl.DataFrame]) -> pl.DataFrame:
    """The queries of all entries, each once, with the split that any entry gives it."""
    queries = pl.concat([pl.DataFrame(schema=_QUERY), *sets], how="diagonal")
    for column in ("text", "split"):
        distinct = queries.filter(pl.col(column) != "").unique(["query_id", column], maintain_order=True)
        twice = distinct.filter(pl.col("query_id").is_duplicated())
        if twice.height:
            one, other = twice.filter(pl.col("query_id") == twice["query_id"][0])[column].head(2)
            raise InputError(
                f"{_KNOB}: query {twice['query_id'][0]!r} has the {column} {one!r} and the {column} {other!r}; keep the right one"
            )
    queries = queries.sort(pl.col("split") == "", maintain_order=True).unique("query_id", keep="first", maintain_order=True)
    return queries.with_columns(pl.selectors.starts_with(SLICE).fill_null("none"))


def _with_splits(queries: pl.DataFrame, by_file: pl.DataFrame, shares: Shares) -> pl.DataFrame:
    """Own field first, then the file's name, then the hash; where files give no dev, some of train becomes dev."""
    files = dict(by_file.select("query_id", "split").iter_rows())
    if len(files) < by_file.height:
        twice = by_file.filter(pl.col("query_id").is_duplicated())["query_id"].min()
        raise InputError(f"{_KNOB}: query {twice!r} stands in the judgment files of two splits; leave it in one")
    lacks_dev = bool(files) and "dev" not in files.values() and "dev" not in queries["split"].to_list()
    names = duplicates.clusters(queries["text"].to_list(), 0.7)
    only_dev = Shares(test=0.0, dev=shares.dev)
    splits = []
    for query_id, own, cluster in zip(queries["query_id"], queries["split"], names, strict=True):
        split = own or files.get(query_id) or held_out_split(cluster, shares)
        from_train = split == "train" and query_id in files and lacks_dev
        splits.append(held_out_split(cluster, only_dev) if from_train else split)
    return queries.with_columns(pl.Series("split", splits, dtype=pl.String))


def _language(record: Mapping[str, object], default: str, where: str) -> str:
    try:
        return language_code(str(record.get("language") or default))
    except ValueError as error:
        raise InputError(f"{where}: language: {error}") from error


def _queries(path: Path, language: str) -> pl.DataFrame:
    rows = []
    for number, record in enumerate(formats.records(path), 1):
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
            "query_id": formats.field(record, formats.QUERY_ID, where),
            "text": formats.field(record, formats.QUERY_TEXT, where),
            "language": _language(record, language, where),
            "origin": "curated",
            "split": split,
        }
        rows.append(row | slices)
    if not rows:
        raise InputError(f"{path}: expected queries, found none; add some, or empty `{_KNOB}`")
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.starts_with(SLICE).fill_null("none"))


def _below(path: Path, root: Path) -> str:
    """The path without the machine's folders, where it lies below `root`."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _split_of(path: Path) -> str:
    return next((split for split in SPLITS if split in path.stem.split(".")), "")
