"""General sets from a hub: MS MARCO in its several shapes, any data set of pairs or triplets, and NanoBEIR for the test.

Data sets are streamed by `datasets`, at a pinned commit, and never run code of their own.
"""

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from datasets import load_dataset
from pydantic import AfterValidator, Field
from tqdm import tqdm

from burnish import hub
from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.queries import general
from burnish.queries.general import Chosen, General, GeneralSet, Most, Row
from burnish.queries.judgments import Judged
from burnish.queries.sampling import Smallest
from burnish.records import Language

_ROWS = 1000  # decoded at once
_RERUN = "a data set is streamed, so its rows are read from the first again"


def _commit(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{40}", text):
        raise ValueError(
            "expected a commit, 40 hexadecimal digits, since a branch moves; it stands on the data set's page under `Files and "
            "versions`, and huggingface_hub.dataset_info(NAME).sha gives the newest"
        )
    return text


Name = Annotated[str, Field(min_length=1)]
Repository = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
Commit = Annotated[str, AfterValidator(_commit)]


class HubTable(Knobs):
    """A configuration of a data set; `max_rows` reads its beginning alone, 0 all."""

    dataset: Repository
    revision: Commit
    config: Name
    max_rows: Annotated[int, Field(ge=0)]


class HubSplits(Knobs):
    """The data set's split that each of ours is drawn from; ours may share one."""

    train: Name
    dev: Name
    test: Name


class HubColumns(Knobs):
    """Which columns hold what: dotted names reach into records, `*` stands for any part of a name."""

    query: Name
    positives: list[Name]
    negatives: list[Name]
    candidates: str
    labels: str


class HubTexts(HubTable):
    """Where the texts of ids stand."""

    split: Name
    id: Name
    text: Name


class HubLookup(Knobs):
    """Texts of queries and passages, for rows of ids."""

    queries: HubTexts
    passages: HubTexts


class GeneralHub(GeneralSet):
    """A general set from a hub; `texts` is null where the rows hold the texts themselves, `sha256` "" where any rows will do."""

    kind: Literal["hub"]
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    rows: HubTable
    splits: HubSplits
    columns: HubColumns
    texts: HubLookup | None


class NanoBeir(Knobs):
    """Sets of NanoBEIR to be added to the general test; none by default."""

    dataset: Repository
    revision: Commit
    sets: list[Name]
    language: Language


def read(given: GeneralHub) -> General:
    """The general set that `given` describes.

    Raises:
        InputError: the data set, a configuration, split or column is not there.
        UnfinishedError: the connection failed.
    """
    if not (given.columns.positives or given.columns.candidates):
        raise InputError(
            "collect.general.columns: name `positives`, or `candidates` and `labels`; without, no query has an answer"
        )
    if bool(given.columns.candidates) != bool(given.columns.labels):
        raise InputError("collect.general.columns: `candidates` and `labels` go together; set both or neither")
    pool = general.names(0 if given.texts else given.distractors)
    found = general.chosen(
        given.splits.model_dump(),
        lambda split: _seen(_rows(given.rows, given.columns, split), pool),
        most=given.most,
        negatives=given.negatives,
    )
    if given.texts is None:
        return _of_texts(found, pool, given)
    wanted = {query for entries in found.splits.values() for query in entries}
    queries = general.texts(_pairs(given.texts.queries), wanted, 0, given.texts.queries.dataset)
    passages = general.texts(_pairs(given.texts.passages), found.passages(), given.distractors, given.texts.passages.dataset)
    first = {key: own[0] for key, own in queries.items()}
    return general.tables_of(
        found, queries=first, passages=passages, name=str, language=given.language, where=given.rows.dataset
    )


def digest(found: General, given: GeneralHub) -> str:
    """The sha256 of what was read, which `general.digest` tells: a commit names bytes that a hub or a mirror may not keep.

    Raises:
        InputError: `given` names another one.
    """
    sha256 = general.digest(found)
    if given.sha256 not in {"", sha256}:
        raise InputError(
            f"{given.rows.dataset} at revision {given.rows.revision}: expected rows with the digest {given.sha256}, which "
            f"collect.general.sha256 names, found {sha256}: either `most` or another knob of collect.general chooses other rows than "
            'then, or the hub gives other bytes for this revision; look at what has changed, then name the new digest, or "" for any'
        )
    return sha256


def _of_texts(found: Chosen, pool: Smallest[None], given: GeneralHub) -> General:
    """The tables of a set without ids: an id is a digest of the text, so that a text that stands twice is one passage."""
    queries = {query: query for entries in found.splits.values() for query in entries}
    passages = {text: [text] for text in (*found.passages(), *pool.values)}
    return general.tables_of(
        found, queries=queries, passages=passages, name=_digest, language=given.language, where=given.rows.dataset
    )


def nanobeir(nano: NanoBeir) -> General:
    """NanoBEIR's passages and, as test queries, its queries; of at least one set."""
    return _together([_nano(nano, name) for name in nano.sets])


def with_nanobeir(found: General, added: General) -> General:
    """`found` with what NanoBEIR adds to the test.

    All sets are searched as one collection, in which a set's passages are distractors of the others: what is measured is the
    change from base to tuned, not NanoBEIR's own figure.
    """
    return _together([found, added])


def _together(parts: Sequence[General]) -> General:
    return General(
        pl.concat([part.passages for part in parts]),
        Judged(pl.concat([part.judged.queries for part in parts]), pl.concat([part.judged.qrels for part in parts])),
        dict(parts[0].left_out),
    )


def _nano(nano: NanoBeir, name: str) -> General:
    def table(config: str) -> HubTable:
        return HubTable(dataset=nano.dataset, revision=nano.revision, config=config, max_rows=0)

    def pairs(config: str) -> dict[str, str]:
        return {str(row["_id"]): str(row["text"]) for row in stream(table(config), name, ["_id", "text"])}

    queries, passages = pairs("queries"), pairs("corpus")
    judged = (
        Row(str(row["query-id"]), {str(row["corpus-id"]): 1}) for row in stream(table("qrels"), name, ["query-id", "corpus-id"])
    )
    most = Most(train=0, dev=0, test=len(queries))
    found = general.chosen({"test": name}, lambda _: judged, most=most, negatives=0)
    where = f"{nano.dataset}, {name}"
    if missing := (found.splits["test"].keys() - queries.keys()) | (found.passages() - passages.keys()):
        raise InputError(f"{where}: {min(missing)!r} is judged and not there; take another revision")
    return general.tables_of(
        found,
        queries=queries,
        passages={key: [text] for key, text in passages.items()},
        name=lambda key: f"{name}:{key}",
        language=nano.language,
        where=where,
    )


def _seen(rows: Iterable[Row], pool: Smallest[None]) -> Iterator[Row]:
    """The rows, their passages offered to the pool of distractors on the way."""
    for row in rows:
        for text in (*row.positives, *row.negatives):
            pool.offer(text)
        yield row


def _rows(table: HubTable, columns: HubColumns, split: str) -> Iterator[Row]:
    """The rows of a split, with a grade for each passage; empty cells are no passages."""
    patterns = [columns.query, *columns.positives, *columns.negatives, columns.candidates, columns.labels]
    for row in stream(table, split, [pattern.split(".")[0] for pattern in patterns if pattern]):
        query = _cells(row, columns.query, table)
        positives = dict.fromkeys((cell for name in columns.positives for cell in _cells(row, name, table)), 1)
        negatives = [cell for name in columns.negatives for cell in _cells(row, name, table)]
        if columns.candidates:
            cells, labels = _cells(row, columns.candidates, table), _cells(row, columns.labels, table)
            if len(cells) != len(labels):
                raise InputError(
                    f"{table.dataset} {table.config} {split}: a row has {len(cells)} cells in {columns.candidates} and "
                    f"{len(labels)} in {columns.labels}; name columns that go together in collect.general.columns"
                )
            grades = [_grade(label, f"{table.dataset} {table.config} {split}, column {columns.labels}") for label in labels]
            positives |= {cell: grade for cell, grade in zip(cells, grades, strict=True) if grade and cell}
            negatives += [cell for cell, grade in zip(cells, grades, strict=True) if not grade]
        if query and query[0]:
            yield Row(query[0], {cell: one for cell, one in positives.items() if cell}, [cell for cell in negatives if cell])


def _grade(label: str, where: str) -> int:
    """A label from 1 is a grade; 0 and below (MS MARCO's hidden test labels are -1) is no answer."""
    try:
        return min(127, max(0, int(float(label))))
    except ValueError as error:
        raise InputError(f"{where}: label {label!r}; expected a number, above 0 for an answer") from error


def _cells(row: Mapping[str, Any], pattern: str, table: HubTable) -> list[str]:
    """What stands in the columns that `pattern` names, as texts; lists are taken apart, in order."""
    found: list[Any] = [row]
    for part in pattern.split("."):
        records = [one for one in found if isinstance(one, Mapping)]
        found = [one[name] for one in records for name in one if fnmatch.fnmatchcase(name, part)]
        if records and not found:
            raise InputError(
                f"{table.dataset} {table.config}: no column {pattern!r}, for {part!r} is none of {sorted(records[0])}; mend "
                "the names of the columns"
            )
        found = [cell for one in found for cell in (one if isinstance(one, Sequence) and not isinstance(one, str) else [one])]
    return ["" if one is None else str(one) for one in found]


def _pairs(table: HubTexts) -> Iterator[tuple[str, str]]:
    for row in stream(table, table.split, [table.id, table.text]):
        yield str(row[table.id]), str(row[table.text])


def stream(table: HubTable, split: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a split, in its own order, `columns` (shell patterns) alone, in the memory of a thousand.

    Raises:
        InputError: the data set, revision, configuration or split is not there or not readable.
        UnfinishedError: the connection failed.
    """
    what = f"{table.dataset} {table.config} {split} at revision {table.revision}"
    if Path(table.dataset).exists():
        raise InputError(f"{what}: a folder of that name is here, which would be read in place of the hub; rename it")
    with hub.telling(what, rerun=_RERUN):
        given = load_dataset(table.dataset, table.config, split=split, revision=table.revision, streaming=True)
        batches = iter(given.iter(_ROWS))
    read = 0
    with tqdm(desc=f"{table.dataset} {split}", unit="row", disable=None, leave=False) as bar:
        while not table.max_rows or read < table.max_rows:
            with hub.telling(what, rerun=_RERUN):
                batch = next(batches, None)
            if batch is None:
                return
            if absent := [column for column in columns if not fnmatch.filter(batch, column)]:
                raise InputError(f"{what}: no column {absent[0]!r}, found {sorted(batch)}; mend the names of the columns")
            names = [name for name in batch if any(fnmatch.fnmatchcase(name, column) for column in columns)]
            rows = zip(*(batch[name] for name in names), strict=True)
            for cells in islice(rows, table.max_rows - read if table.max_rows else None):
                yield dict(zip(names, cells, strict=True))
                read += 1
            bar.update(read - bar.n)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
