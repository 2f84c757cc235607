"""A general set from files in MS MARCO's formats: the passage collection, queries, judgments, triples; plain or .gz."""

from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.queries import formats, general, tsv
from burnish.queries.general import Chosen, General, GeneralSet, Row
from burnish.queries.sampling import Smallest

Name = Annotated[str, Field(min_length=1)]


class SplitFiles(Knobs):
    """The files of a split: query id and text; TREC's query id, 0, passage id, grade."""

    queries: Name
    qrels: Name


class Splits(Knobs):
    """The files of each split; two splits may name the same ones."""

    train: SplitFiles
    dev: SplitFiles
    test: SplitFiles


class Triples(Knobs):
    """A file of query, positive, negative, as ids or as texts."""

    file: str
    holds: Literal["ids", "texts"]


class GeneralFiles(GeneralSet):
    """A general set in MS MARCO's files, below the general folder."""

    kind: Literal["files"]
    collection: Name
    splits: Splits
    triples: Triples


def read(files: GeneralFiles, root: Path) -> General:
    """The general set of `files` below the folder `root`.

    Raises:
        InputError: a file is missing, damaged or malformed, or one names an id that another lacks.
    """
    sources = {
        split: (one.queries, one.qrels)
        for split, one in (("train", files.splits.train), ("dev", files.splits.dev), ("test", files.splits.test))
    }
    below_zero: Counter[str] = Counter()
    found = general.chosen(
        sources, lambda names: _graded(root / names[1], below_zero), most=files.most, negatives=files.negatives
    )
    found.left_out["grades_below_0"] += below_zero.total()
    queries: dict[str, str] = {}
    for split, entries in found.splits.items():
        queries |= _texts(root / sources[split][0], set(entries))
    collection = root / files.collection
    if files.triples.file and files.negatives and found.splits.get("train"):
        triples = root / files.triples.file
        if files.triples.holds == "ids":
            _add_by_id(found, triples)
        else:
            _add_by_text(found, triples, collection, queries, files.negatives)
    passages = general.texts(_pairs(collection), found.passages(), files.distractors, str(collection))
    return general.tables_of(
        found, queries=queries, passages=passages, name=str, language=files.language, where=str(collection)
    )


def _graded(path: Path, below_zero: Counter[str]) -> Iterator[Row]:
    """A row for each judgment above 0; MS MARCO judges nothing else."""
    for query, passage, grade in formats.trec(path, below_zero):
        if grade:
            yield Row(query, {passage: grade})


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    return ((key, text) for key, text in tsv.fields(path, 2))


def _texts(path: Path, wanted: set[str]) -> dict[str, str]:
    found = {query: text for query, text in _pairs(path) if query in wanted}
    if missing := wanted - found.keys():
        raise InputError(f"{path}: {len(missing)} judged queries are not there, the first: {min(missing)!r}")
    return found


def _add_by_id(found: Chosen, path: Path) -> None:
    """Give the training queries their negatives from triples of ids."""
    train = found.splits["train"]
    for query, negative in _negatives(path, train, f"holds: ids, so expected query ids such as {min(train)!r}"):
        train[query].negatives.offer(negative)


def _add_by_text(found: Chosen, path: Path, collection: Path, queries: dict[str, str], most: int) -> None:
    """The same from triples of texts: a negative is the passage of that very text; one without any is counted."""
    named: dict[str, list[str]] = {}
    for key in found.splits["train"]:
        named.setdefault(queries[key], []).append(key)
    by_query: dict[str, Smallest[None]] = {text: general.names(most, salt=text) for text in named}
    for query, negative in _negatives(path, by_query, f"holds: texts, so expected queries such as {min(by_query)!r}"):
        by_query[query].offer(negative)
    wanted = {text for sample in by_query.values() for text in sample.values}
    ids: dict[str, str] = {}
    for key, text in _pairs(collection):
        if text in wanted:
            ids.setdefault(text, key)
    for query, sample in by_query.items():
        for text in sample.values:
            if text not in ids:
                found.left_out["negatives_not_in_the_collection"] += 1
                continue
            for key in named[query]:
                found.splits["train"][key].negatives.offer(ids[text])


def _negatives(path: Path, asked: Container[str], expected: str) -> Iterator[tuple[str, str]]:
    """Query and negative of each triple of a query that is asked for.

    Raises:
        InputError: there is none, most likely since the file holds the other of ids and texts.
    """
    count, first, matched = 0, "", False
    for query, _, negative in tsv.fields(path, 3):
        count, first = count + 1, first or query
        if query in asked:
            matched = True
            yield query, negative
    if not matched:
        raise InputError(
            f"{path}: none of its {count} triples is of a chosen training query; collect.general.triples has {expected}, found "
            f'{first!r:.80} in the first of three columns; mend `holds`, or `file` ("" for none)'
        )
