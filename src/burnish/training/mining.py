"""Hard negatives: passages that a model or BM25 ranks high for a query and that are not, most likely, its answer."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from tqdm import tqdm

from burnish import atomic, tables
from burnish.arrays import Vectors
from burnish.search import lexical
from burnish.search.nearest import SEARCHES

Found = Sequence[tuple[int, float]]  # (passage, score) of one query's candidates, best first


_FEW_QUERIES = 4000
_CROWDED = 1.5  # queries an answer


def negatives_for(queries: pl.DataFrame, qrels: pl.DataFrame) -> int:
    """How many negatives each training query gets, unless told: one where the small batches of few queries lack answers (LOG.md).

    They do where queries share answers. With an answer each, a batch has as many as it can have.

    Args:
        queries: of any split.
        qrels: all judgments.
    """
    train = queries.filter(pl.col("split") == "train")
    answers = qrels.filter(pl.col("grade") > 0).join(train, on="query_id", how="semi")["target_id"].n_unique()
    return int(train.height <= _FEW_QUERIES and train.height >= _CROWDED * answers)


@dataclass(frozen=True)
class Rule:
    """Which passages may be negatives.

    Attributes:
        per_query: how many mined ones each query gets.
        first_rank: the best rank, from 1, that a negative may have among the candidates.
        last_rank: the worst rank; the search goes no deeper.
        pool: the negatives are drawn out of the first so many that pass, by a hash of query and passage.
        max_share: a candidate scoring above this share of the query's positive is taken for an unjudged answer and left out
            (NV-Retriever's TopK-PercPos, arXiv:2407.15831, which found 0.95 best).
        search: "exact" or "approximate".
        miners: whose rankings candidates come from, dense (the model's) or bm25; by turns where there are two.
        denoise: a cross-encoder that judges the pool (see teachers.teacher); "" none.
        denoise_share: share of the positive's score above which it takes a candidate for an answer (RocketQA, arXiv:2010.08191).
        judged: how many passages graded 0 each query has besides at most, the highest in the model's ranking first.
    """

    per_query: int
    first_rank: int
    last_rank: int
    pool: int
    max_share: float
    search: str
    miners: tuple[str, ...] = ("dense",)
    denoise: str = ""
    denoise_share: float = 1.0
    judged: int = 0

    def write(self, path: Path) -> None:
        """Write the rule beside the negatives that it made."""
        atomic.write_json(path, asdict(self), digits=30)

    @classmethod
    def read(cls, path: Path) -> "Rule":
        """The rule that `write` wrote: later rounds mine by it too."""
        given = json.loads(path.read_text(encoding="utf-8"))
        return cls(**given | {"miners": tuple(given["miners"])})


@dataclass(frozen=True)
class Mined:
    """Negatives, one row each, and what became of the candidates."""

    rows: pl.DataFrame  # query, passage (row numbers), rank, score, margin, miner
    candidates: int
    likely_answers: int
    queries_short: int
    denoised: int = 0
    judged_left_out: int = 0


TextRelevance = Callable[[list[str], list[str]], Vectors]  # (queries, passages) of pairs, as texts -> (pairs,)
Relevance = Callable[[Sequence[int], Sequence[int]], Vectors]  # (queries, passages) of pairs, as row numbers -> (pairs,)


def hard_negatives(
    queries: Vectors,
    passages: Vectors,
    *,
    positives: Sequence[frozenset[int]],
    excluded: Sequence[frozenset[int]],
    judged: Mapping[int, Sequence[int]],
    names: tuple[Sequence[str], Sequence[str]],
    rule: Rule,
    by_words: Sequence[Found] | None = None,
    relevance: Relevance | None = None,
) -> Mined:
    """The negatives of each query: judged non-answers, and besides these what the rule finds in the miners' rankings.

    Args:
        queries: the model's vectors, shape (queries, dimensions).
        passages: the model's vectors, shape (passages, dimensions).
        positives: for each query the passages that answer it; the lowest of their scores counts for the rule.
        excluded: for each query what must not be a negative: its positives, their duplicates, other judged answers.
        judged: for some queries the passages that are judged 0; none of them counts as mined.
        names: the ids of queries and passages; draws go by them, so that one more row changes no other's.
        rule: what a negative must be.
        by_words: BM25's ranking for each query, where the rule asks for it.
        relevance: the denoising cross-encoder's scores, where the rule asks for them.
    """
    dense = SEARCHES[rule.search](queries, passages, rule.last_rank) if "dense" in rule.miners else None
    given: list[list[_Candidate]] = []
    pools: list[list[_Candidate]] = []
    owns: list[float] = []
    candidates = likely = left_out = 0
    for query in tqdm(range(len(queries)), desc="mine", unit="query", disable=None):
        own = min(float(queries[query] @ passages[one]) for one in positives[query])
        said_no = _hardest(judged.get(query, ()), queries[query], passages)
        left_out += max(0, len(said_no) - rule.judged)
        rankings = [(rule.search, [*zip(dense[0][query].tolist(), dense[1][query].tolist(), strict=True)])] if dense else []
        if by_words is not None:  # BM25's scores are of another kind: the model's decide what is a likely answer
            found = [one for one, _ in by_words[query]]
            rankings.append(("bm25", list(zip(found, (passages[found] @ queries[query]).tolist(), strict=True))))
        ranked, passed_over = _ranked(rankings, excluded[query], own, rule)
        candidates += len(ranked) + passed_over
        likely += passed_over
        owns.append(own)
        given.append(said_no[: rule.judged])
        known = {one.passage for one in said_no}
        pools.append([one for one in ranked if one.passage not in known][: rule.pool])
    denoised = _denoise(pools, positives, relevance, rule.denoise_share) if relevance else 0
    rows: list[tuple[int, int, int, float, float, str]] = []
    short = 0
    for query, pool in enumerate(pools):
        pool.sort(key=lambda one: _draw(names[0][query], names[1][one.passage]))
        taken = given[query] + pool[: rule.per_query]
        short += len(pool) < rule.per_query
        rows += [(query, one.passage, one.rank, one.score, owns[query] - one.score, one.miner) for one in taken]
    columns = {
        "query": pl.Int64,
        "passage": pl.Int64,
        "rank": pl.Int32,
        "score": pl.Float32,
        "margin": pl.Float32,
        "miner": pl.String,
    }
    return Mined(pl.DataFrame(rows, schema=columns, orient="row"), candidates, likely, short, denoised, left_out)


class _Candidate(NamedTuple):
    passage: int
    rank: int  # by its miner, from 1; 0 where it is judged
    score: float  # the model's
    miner: str


def _hardest(said_no: Sequence[int], query: Vectors, passages: Vectors) -> list[_Candidate]:
    """The judged non-answers, the highest score first; they are no answers whatever they score."""
    scores = (passages[list(said_no)] @ query).tolist() if said_no else []
    found = [_Candidate(one, 0, score, "judged") for one, score in zip(said_no, scores, strict=True)]
    return sorted(found, key=lambda one: (-one.score, one.passage))


def _ranked(
    rankings: Sequence[tuple[str, Found]], excluded: frozenset[int], own: float, rule: Rule
) -> tuple[list[_Candidate], int]:
    """The candidates that pass, best first, the miners by turns, and how many were left out as likely answers."""
    passed: list[_Candidate] = []
    seen: set[int] = set(excluded)
    likely = 0
    for rank in range(rule.first_rank, rule.last_rank + 1):
        for miner, found in rankings:
            if rank > len(found) or (one := found[rank - 1][0]) in seen:
                continue
            seen.add(one)
            if (score := found[rank - 1][1]) > rule.max_share * own:
                likely += 1
            else:
                passed.append(_Candidate(one, rank, score, miner))
    return passed, likely


def _denoise(pools: list[list[_Candidate]], positives: Sequence[frozenset[int]], relevance: Relevance, share: float) -> int:
    """Take out of each pool what scores above `share` of the query's lowest positive; return how many."""
    answers = [(query, one) for query, own in enumerate(positives) for one in sorted(own)]
    asked = [(query, one.passage) for query, pool in enumerate(pools) for one in pool]
    scores = relevance([query for query, _ in answers + asked], [one for _, one in answers + asked])
    lowest: dict[int, float] = {}
    for (query, _), score in zip(answers, scores.tolist(), strict=False):
        lowest[query] = min(score, lowest.get(query, np.inf))
    kept = {
        pair for pair, score in zip(asked, scores[len(answers) :].tolist(), strict=True) if score <= share * lowest[pair[0]]
    }
    for query, pool in enumerate(pools):
        pool[:] = [one for one in pool if (query, one.passage) in kept]
    return len(asked) - len(kept)


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
    languages: Sequence[str] = (),
    relevance: TextRelevance | None = None,
) -> Mined:
    """`hard_negatives` of the tables' queries, its rows with ids in place of row numbers (NEGATIVES).

    Passages of grade 0 count as `rule.judged` says; not those by clicks, since what was shown and not opened may still answer,
    and such negatives did harm where it was tried (Huang et al. 2020, "Embedding-based Retrieval in Facebook Search"). Never a
    negative: a passage or document of any grade above 0, and every passage with the very text of one. A judged document counts
    with all its passages. `languages` is of the passages, as in Part, and `relevance` of pairs of texts.
    """
    asked, texts = queries["text"].to_list(), tables.embedded_text(passages)
    place = {name: at for at, name in enumerate(passages["passage_id"])}
    of_document = dict(passages.with_row_index("row").group_by("document_id").agg("row").iter_rows())
    text_of = passages["text"].to_list()
    same_text = dict(passages.with_row_index("row").group_by("text").agg("row").iter_rows())
    answers: dict[str, set[int]] = {}
    positives: dict[str, set[int]] = {}
    judged: dict[str, list[int]] = {}
    for query_id, target_id, unit, grade, origin in qrels.select(
        "query_id", "target_id", "unit", "grade", "origin"
    ).iter_rows():
        rows = [place[target_id]] if target_id in place else of_document.get(target_id, []) if unit == "document" else []
        if grade > 0:
            answers.setdefault(query_id, set()).update(one for row in rows for one in same_text[text_of[row]])
            if unit == "passage":
                positives.setdefault(query_id, set()).update(rows)
        elif origin != "clicks":
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
        by_words=_by_words(queries, texts, languages, rule.last_rank) if "bm25" in rule.miners else None,
        relevance=(lambda left, right: relevance([asked[at] for at in left], [texts[at] for at in right]))
        if relevance
        else None,
    )
    rows = mined.rows.select(
        pl.Series("query_id", ids, dtype=pl.String).gather(mined.rows["query"]),
        passages["passage_id"].gather(mined.rows["passage"]),
        pl.exclude("query", "passage"),
    )
    return replace(mined, rows=rows)


def _by_words(queries: pl.DataFrame, texts: list[str], languages: Sequence[str], last_rank: int) -> Sequence[Found]:
    """BM25's ranking for each query; a passage without a word of it is none of its candidates."""
    if not queries.height:
        return []
    spoken = languages or [queries["language"].mode().sort()[0]] * len(texts)
    indices, scores = lexical.bm25(queries["text"].to_list(), texts, last_rank, spoken)
    return [
        [(one, score) for one, score in zip(*both, strict=True) if score > 0]
        for both in zip(indices.tolist(), scores.tolist(), strict=True)
    ]
