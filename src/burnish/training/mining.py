"""Hard negatives: passages that the base model ranks high for a query and that are not, most likely, its answer."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from tqdm import tqdm

from burnish.embedding.vectors import Vectors
from burnish.search.nearest import SEARCHES, Indices


@dataclass(frozen=True)
class Rule:
    """Which passages may be negatives.

    Attributes:
        per_query: how many each query gets.
        first_rank: the best rank, from 1, that a negative may have among the candidates.
        last_rank: the worst rank; the search goes no deeper.
        pool: the negatives are drawn out of the first so many that pass, by a hash of query and passage.
        max_share: a candidate scoring above this share of the query's positive is taken for an unjudged answer and left out
            (NV-Retriever's TopK-PercPos, arXiv:2407.15831, which found 0.95 best).
        search: "exact" or "approximate".
    """

    per_query: int
    first_rank: int
    last_rank: int
    pool: int
    max_share: float
    search: str


@dataclass(frozen=True)
class Mined:
    """Negatives, one row each, and what became of the candidates."""

    rows: pl.DataFrame  # query, passage (row numbers), rank, score, margin, miner
    candidates: int
    likely_answers: int
    queries_short: int


def hard_negatives(
    queries: Vectors,
    passages: Vectors,
    *,
    positives: Sequence[frozenset[int]],
    excluded: Sequence[frozenset[int]],
    judged: Mapping[int, Sequence[int]],
    names: tuple[Sequence[str], Sequence[str]],
    rule: Rule,
) -> Mined:
    """The negatives of each query, judged non-answers first, then by the rule from the base model's ranking.

    Args:
        queries: the base model's vectors, shape (queries, dimensions).
        passages: the base model's vectors, shape (passages, dimensions).
        positives: for each query the passages that answer it; the lowest of their scores counts for the rule.
        excluded: for each query what must not be a negative: its positives, their duplicates, other judged answers.
        judged: for some queries the passages that an expert graded 0.
        names: the ids of queries and passages; draws go by them, so that one more row changes no other's.
        rule: what a negative must be.
    """
    indices, scores = SEARCHES[rule.search](queries, passages, rule.last_rank)
    found: list[tuple[int, int, int, float, float, str]] = []
    candidates = likely = short = 0
    for query in tqdm(range(len(queries)), desc="mine", unit="query", disable=None):
        own = min(float(queries[query] @ passages[one]) for one in positives[query])
        given = list(judged.get(query, ()))[: rule.per_query]
        chosen = [
            (query, one, 0, score, own - score, "judged")
            for one, score in zip(given, passages[given] @ queries[query], strict=True)
        ]
        ranked, passed_over = _ranked(indices[query], scores[query], excluded[query], own, rule)
        candidates += len(ranked) + passed_over
        likely += passed_over
        taken = {row[1] for row in chosen}
        pool = [one for one in ranked if one[0] not in taken][: rule.pool]
        pool.sort(key=lambda one: _draw(names[0][query], names[1][one[0]]))
        chosen += [
            (query, one, rank, score, own - score, rule.search) for one, rank, score in pool[: rule.per_query - len(chosen)]
        ]
        short += len(chosen) < rule.per_query
        found += chosen
    columns = {
        "query": pl.Int64,
        "passage": pl.Int64,
        "rank": pl.Int32,
        "score": pl.Float32,
        "margin": pl.Float32,
        "miner": pl.String,
    }
    return Mined(pl.DataFrame(found, schema=columns, orient="row"), candidates, likely, short)


def _ranked(
    indices: Indices, scores: Vectors, excluded: frozenset[int], own: float, rule: Rule
) -> tuple[list[tuple[int, int, float]], int]:
    """(passage, rank, score) of the candidates that pass, best first, and how many were left out as likely answers."""
    passed: list[tuple[int, int, float]] = []
    likely = 0
    for rank, (one, score) in enumerate(zip(indices.tolist(), scores.tolist(), strict=True), 1):
        if rank < rule.first_rank or one in excluded:
            continue
        if score > rule.max_share * own:
            likely += 1
        else:
            passed.append((one, rank, score))
    return passed, likely


def _draw(query: str, passage: str) -> bytes:
    return hashlib.sha256(f"{query}\0{passage}".encode()).digest()


def from_tables(
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    qrels: pl.DataFrame,
    *,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    rule: Rule,
) -> Mined:
    """`hard_negatives` of the tables' queries, its rows with ids in place of row numbers (NEGATIVES).

    Passages that an expert graded 0 come first. Never a negative: a passage or document of any grade above 0, and every
    passage with the very text of one. A judged document counts with all its passages.
    """
    place = {name: at for at, name in enumerate(passages["passage_id"])}
    of_document = dict(passages.with_row_index("row").group_by("document_id").agg("row").iter_rows())
    text_of = passages["text"].to_list()
    same_text = dict(passages.with_row_index("row").group_by("text").agg("row").iter_rows())
    answers: dict[str, set[int]] = {}
    positives: dict[str, set[int]] = {}
    judged: dict[str, list[int]] = {}
    for query_id, target_id, unit, grade in qrels.select("query_id", "target_id", "unit", "grade").iter_rows():
        rows = [place[target_id]] if target_id in place else of_document.get(target_id, []) if unit == "document" else []
        if grade > 0:
            answers.setdefault(query_id, set()).update(one for row in rows for one in same_text[text_of[row]])
            if unit == "passage":
                positives.setdefault(query_id, set()).update(rows)
        else:
            judged.setdefault(query_id, []).extend(sorted(rows))
    ids = queries["query_id"].to_list()
    mined = hard_negatives(
        query_vectors,
        passage_vectors,
        positives=[frozenset(positives[one]) for one in ids],
        excluded=[frozenset(answers[one]) for one in ids],
        judged={
            at: [row for row in dict.fromkeys(judged[one]) if row not in answers[one]]
            for at, one in enumerate(ids)
            if one in judged
        },
        names=(ids, list(place)),
        rule=rule,
    )
    rows = mined.rows.select(
        pl.Series("query_id", ids, dtype=pl.String).gather(mined.rows["query"]),
        passages["passage_id"].gather(mined.rows["passage"]),
        pl.exclude("query", "passage"),
    )
    return replace(mined, rows=rows)
