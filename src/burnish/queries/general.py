"""The general set: everyday questions and their passages, which keep a tuned model's general language and measure its loss.

Wherever a set comes from, it is rows: a query, passages that answer it and, in some sets, passages that do not. Queries and
passages go by keys, which are ids, or the texts themselves where a set has none.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import polars as pl
from pydantic import Field

from burnish import tables
from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.queries.judgments import Judged
from burnish.queries.sampling import Smallest
from burnish.records import Language
from burnish.tables import PASSAGES, QRELS, QUERIES

_STRICTEST_FIRST = ("test", "dev", "train")
S = TypeVar("S", bound=Hashable)


class Most(Knobs):
    """At most so many queries of each split."""

    train: Annotated[int, Field(ge=0)]
    dev: Annotated[int, Field(ge=0)]
    test: Annotated[int, Field(ge=0)]


class GeneralSet(Knobs):
    """What every kind of general set has."""

    licence: Annotated[str, Field(min_length=1)]
    language: Language
    most: Most
    distractors: Annotated[int, Field(ge=0)]
    negatives: Annotated[int, Field(ge=0, le=32)]


@dataclass(frozen=True)
class Row:
    """A query with passages of known grade, from 1, and passages that are no answers."""

    query: str
    positives: Mapping[str, int]
    negatives: Iterable[str] = ()


@dataclass(frozen=True)
class Entry:
    """What was gathered of a chosen query: its passages' grades, and a sample of its negatives."""

    negatives: Smallest[None]
    positives: dict[str, int] = field(default_factory=dict)  # the best grade of each


@dataclass(frozen=True)
class Chosen:
    """The chosen queries of each split with what was gathered of them, and counts of what was left out."""

    splits: dict[str, dict[str, Entry]]
    left_out: Counter[str]

    def passages(self) -> set[str]:
        """The keys of every passage that a chosen query names."""
        entries = [entry for split in self.splits.values() for entry in split.values()]
        return {key for entry in entries for key in (*entry.positives, *entry.negatives.values)}


@dataclass(frozen=True)
class General:
    """A general set as the pipeline's tables, and counts of what was left out."""

    passages: pl.DataFrame  # PASSAGES
    judged: Judged
    left_out: dict[str, int]


def digest(found: General) -> str:
    """The sha256 of every row of a set's tables: passages, queries and judgments, each in the order of its ids."""
    total = hashlib.sha256()
    for table in (found.passages, found.judged.queries, found.judged.qrels):
        for row in table.sort(table.columns).iter_rows():
            total.update(json.dumps(row).encode() + b"\n")
    return total.hexdigest()


def names(most: int, salt: str = "") -> Smallest[None]:
    """A sample of keys with nothing beside them."""
    return Smallest(most, lambda _: None, salt)


def chosen(sources: Mapping[str, S], rows: Callable[[S], Iterable[Row]], *, most: Most, negatives: int) -> Chosen:
    """The queries of each split, by a hash of their keys, in the memory of what is chosen.

    No query is in two splits: what test takes is neither in dev nor in train, and what dev takes is not in train.

    Args:
        sources: what each split is drawn from; splits may share one, which is read once.
        rows: the rows of a source; one query may have many, in any order. Rows without a positive count only for queries that
            an earlier row has answered.
        most: how many queries of each split; none reads nothing.
        negatives: how many negatives of each query are kept.
    """
    wanted = most.model_dump()
    shared: dict[S, list[str]] = {}
    for split in _STRICTEST_FIRST:
        if wanted[split]:
            shared.setdefault(sources[split], []).append(split)
    found: dict[str, dict[str, Entry]] = {}
    taken: set[str] = set()
    repeated: set[str] = set()
    left_out: Counter[str] = Counter()
    for source, splits in shared.items():
        sample = Smallest(sum(wanted[split] for split in splits), lambda query: Entry(names(negatives, salt=query)))
        for row in rows(source):
            if row.query in taken:
                repeated.add(row.query)
                continue
            entry = sample.offer(row.query) if row.positives else sample.values.get(row.query)
            left_out["rows_without_answer"] += not row.positives and entry is None
            if entry is not None:
                for key, grade in row.positives.items():
                    entry.positives[key] = max(grade, entry.positives.get(key, 0))
                for key in row.negatives:
                    entry.negatives.offer(key)
        keys = sample.keys()
        for split in splits:
            own, keys = keys[: wanted[split]], keys[wanted[split] :]
            found[split] = {key: sample.values[key] for key in own}
            taken.update(own)
    left_out["queries_of_a_stricter_split"] = len(repeated)
    return Chosen(found, left_out)


def texts(stream: Iterable[tuple[str, str]], needed: set[str], distractors: int, where: str) -> dict[str, list[str]]:
    """By key the texts that are needed, and of `distractors` others by a hash of their keys, in the memory of those.

    A key that stands twice has two texts, which a table will refuse.

    Raises:
        InputError: a needed key is not in the stream.
    """
    held: dict[str, list[str]] = {}
    sample: Smallest[list[str]] = Smallest(distractors, lambda _: [])
    for key, text in stream:
        if key in needed:
            held.setdefault(key, []).append(text)
        elif (kept := sample.offer(key)) is not None:
            kept.append(text)
    if missing := needed - held.keys():
        raise InputError(f"{where}: {len(missing)} ids that judgments name are not there, the first: {min(missing)!r}")
    return held | sample.values


def tables_of(
    found: Chosen,
    *,
    queries: Mapping[str, str],
    passages: Mapping[str, list[str]],
    name: Callable[[str], str],
    language: str,
    where: str,
) -> General:
    """The tables of a set. A chosen training query's negatives are judgments of grade 0: they are mined first.

    Args:
        found: the chosen queries.
        queries: their texts.
        passages: the texts of every passage to be kept.
        name: the id of a key, without the prefix that keeps general ids apart from the domain's.
        language: of the queries.
        where: what a message calls the set.
    """
    asked, grades = [], []
    for split, entries in found.splits.items():
        for key, entry in entries.items():
            query_id = f"general:{name(key)}"
            asked.append((query_id, queries[key], language, "general", split))
            others = [(key, 0) for key in entry.negatives.values if key not in entry.positives and split == "train"]
            grades += [
                (query_id, f"general:{name(passage)}", "passage", grade, 1.0, "general")
                for passage, grade in (*entry.positives.items(), *others)
            ]
    rows = [
        (f"general:{name(key)}", f"general:{name(key)}", 0, "", "", text, 0) for key, own in passages.items() for text in own
    ]
    return General(
        tables.checked(pl.DataFrame(rows, schema=PASSAGES.columns, orient="row"), PASSAGES, where),
        Judged(
            pl.DataFrame(asked, schema=QUERIES.columns, orient="row"),
            tables.checked(pl.DataFrame(grades, schema=QRELS.columns, orient="row"), QRELS, where),
        ),
        {reason: number for reason, number in sorted(found.left_out.items()) if number},
    )
