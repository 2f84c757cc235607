"""A general set from files in MS MARCO's formats: the passage collection, queries, judgments, triples; plain or .gz."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.queries import general, tsv
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
    found = general.chosen(sources, lambda names: _graded(root / names[1]), most=files.most, negatives=files.negatives)
    queries: dict[str, str] = {}
    for split, entries in found.splits.items():
        queries |= _texts(root / sources[split][0], set(entries))
    collection = root / files.collection
    if files.triples.file and files.negatives and "train" in found.splits:
        triples = root / files.triples.file
        if files.triples.holds == "ids":
            _add_by_id(found, triples)
        else:
            _add_by_text(found, triples, collection, queries, files.negatives)
    passages = general.texts(_pairs(collection), found.passages(), files.distractors, str(collection))
    return general.tables_of(
        found, queries=queries, passages=passages, name=str, language=files.language, where=str(collection)
    )


def _graded(path: Path) -> Iterator[Row]:
    """A row for each judgment above 0; MS MARCO judges nothing else."""
    for query, _, passage, grade in tsv.fields(path, 4):
        if not grade.isdecimal() or int(grade) > 127:
            raise InputError(f"{path}: query {query!r}: grade {grade!r}; expected a whole number from 0 (no answer) to 127")
        if int(grade):
            yield Row(query, {passage: int(grade)})


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
    for query, _, negative in tsv.fields(path, 3):
        if (entry := train.get(query)) is not None:
            entry.negatives.offer(negative)


def _add_by_text(found: Chosen, path: Path, collection: Path, queries: dict[str, str], most: int) -> None:
    """The same from triples of texts: a negative is the passage of that very text; one without any is counted."""
    named: dict[str, list[str]] = {}
    for key in found.splits["train"]:
        named.setdefault(queries[key], []).append(key)
    by_query: dict[str, Smallest[None]] = {text: general.names(most, salt=text) for text in named}
    for query, _, negative in tsv.fields(path, 3):
        if (sample := by_query.get(query)) is not None:
            sample.offer(negative)
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
