"""From queries to tables: one query for each text, with all passages that it was made for, and what it copied of them."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from burnish import tables, writing
from burnish.spelling import spelling
from burnish.synthesis.subjects import Subject
from burnish.tables import QRELS, QUERIES, SLICE

Made = Sequence[tuple[Subject, Sequence[str]]]  # the queries that were made for each subject, in the subjects' order


def query_tables(made: Made, *, origin: str, max_passages: int) -> tuple[pl.DataFrame, pl.DataFrame, Counter[str]]:
    """(queries, qrels, dropped): a text that was made for several passages is one query with several answers, or dropped.

    Texts that differ only in case, accents, punctuation or white space are one (`spelling`); the first is kept. Where kinds are
    asked for, queries carry theirs in `slice_kind`, so that results can be read by kind.

    Args:
        made: the queries by subject.
        origin: synthetic or extractive.
        max_passages: a query with more answers says too little and is dropped.
    """
    dropped: Counter[str] = Counter()
    groups: dict[str, tuple[Subject, str, dict[str, None]]] = {}
    for subject, texts in made:
        for text in texts:
            _, _, answers = groups.setdefault(spelling(text), (subject, text, {}))
            dropped["repeated"] += set(subject.passage_ids) <= answers.keys()
            answers.update(dict.fromkeys(subject.passage_ids))
    queries: list[tuple[Any, ...]] = []
    qrels: list[tuple[Any, ...]] = []
    for subject, text, answers in groups.values():
        if len(answers) > max_passages:
            dropped["too_many_passages"] += 1
            continue
        query_id = query_name(subject, text)
        queries.append((query_id, text, subject.language, origin, "train", str(subject.ways.get("kind", ""))))
        qrels += [(query_id, passage_id, "passage", 1, 1.0, origin) for passage_id in answers]
    kind = f"{SLICE}kind"
    frame = _frame(queries, QUERIES, {kind: pl.String})
    return (frame if (frame[kind] != "").any() else frame.drop(kind)), _frame(qrels, QRELS, {}), dropped


def query_name(subject: Subject, text: str) -> str:
    """The id of a query that was made for `subject`."""
    place = f"{subject.first.document_id}\0{subject.first.ordinal}\0{text}"
    return "syn-" + hashlib.sha256(place.encode()).hexdigest()[:16]


def lexical_copy_rate(queries: pl.DataFrame, qrels: pl.DataFrame, passages: pl.DataFrame) -> float:
    """The mean share, 0 to 1, of a query's words that stand in the passage judged to answer it.

    At 1 the queries teach nothing that BM25 does not know.
    """
    pairs = qrels.join(queries.select("query_id", "text"), on="query_id", maintain_order="left")
    answering = passages.filter(pl.col("passage_id").is_in(pairs["target_id"].unique().to_list()))
    texts = zip(answering["passage_id"], tables.embedded_text(answering), strict=True)
    words = {passage_id: _words(text) for passage_id, text in texts}
    shares = [
        len(asked & words[passage_id]) / len(asked)
        for passage_id, text in pairs.select("target_id", "text").iter_rows()
        if (asked := _words(text))
    ]
    return sum(shares) / len(shares) if shares else 0.0


def _frame(rows: list[tuple[Any, ...]], table: tables.Table, extra: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    return pl.DataFrame(rows, {**table.columns, **extra}, orient="row").sort(table.key)


def _words(text: str) -> set[str]:
    return set(writing.terms(writing.folded(text)))
