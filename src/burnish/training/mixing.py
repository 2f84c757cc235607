"""The training set: which queries are trained on, which are held out, and why any was dropped."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from burnish.arrays import Vectors
from burnish.documents import duplicates
from burnish.errors import InputError
from burnish.queries.judgments import Judged, with_experts_word
from burnish.search.nearest import exact
from burnish.tables import QRELS
from burnish.training import answers
from burnish.training.held_out import MADE
from burnish.training.leaks import leaks
from burnish.writing import normalised


@dataclass(frozen=True)
class Corpus:
    """What the pairs refer to: passages with their documents' duplicate groups, and the base model's vectors."""

    passages: pl.DataFrame  # PASSAGES, and duplicate_group
    vectors: Vectors  # shape (passages, dimensions)
    query_vectors: dict[str, Vectors]  # by query id, shape (dimensions,)

    def rows_of_documents(self) -> dict[str, list[int]]:
        """The row numbers of each document's passages."""
        grouped = self.passages.with_row_index("row").group_by("document_id", maintain_order=True).agg("row")
        return dict(grouped.iter_rows())


@dataclass(frozen=True)
class MixRule:
    """How pairs are chosen; each field is a knob that params.yaml explains."""

    leak_threshold: float
    hold_out: str
    round_trip_rank: int
    round_trip_min_passages: int
    passages_per_document: int
    general_share: float
    weights: Mapping[str, float]  # by origin; 0 leaves it out
    several_answers: str
    several_answers_margin: float


@dataclass(frozen=True)
class Mixed:
    """All queries with their final split, all their judgments, the leaks that were left out, and counts by origin and reason."""

    queries: pl.DataFrame
    qrels: pl.DataFrame
    leaks: pl.DataFrame  # LEAKS
    counts: dict[str, Any]


def by_use(found: Mixed) -> dict[str, Judged]:
    """What training reads ("training": train and dev) and what only judging reads ("test")."""
    test = pl.col("split") == "test"
    parts = {"training": found.queries.filter(~test), "test": found.queries.filter(test)}
    return {
        name: Judged(queries, found.qrels.filter(pl.col("query_id").is_in(queries["query_id"].to_list())))
        for name, queries in parts.items()
    }


def mixed(queries: pl.DataFrame, qrels: pl.DataFrame, general_passages: pl.DataFrame, corpus: Corpus, rule: MixRule) -> Mixed:
    """The training set and the held-out sets, each dropped training query counted by its reason, and each dropped dev query.

    Args:
        queries: every query of every origin, with its split.
        qrels: every judgment; experts' may be of queries of any origin, and count before what made the query says.
        general_passages: the general set's passages.
        corpus: the domain's passages and the base's vectors.
        rule: how to choose.
    """
    known = qrels.filter(pl.col("query_id").is_in(queries["query_id"].to_list()))
    strays = qrels.height - known.height
    train = queries.filter(pl.col("split") == "train")
    left_out = [origin for origin, weight in rule.weights.items() if weight == 0]
    unheard = pl.col("origin").is_in(left_out) & pl.col("query_id").is_in(train["query_id"].to_list())
    qrels = with_experts_word(known.filter(~unheard))
    held = queries.filter(pl.col("split") != "train")
    pairs = _training_pairs(train, qrels, corpus, rule)
    drops: dict[str, dict[str, int]] = {}

    def drop(reason: str, query_ids: set[str]) -> None:
        nonlocal train, pairs
        gone = train.filter(pl.col("query_id").is_in(list(query_ids)))
        drops[reason] = dict(sorted(gone.group_by("origin").len().iter_rows()))
        train = train.filter(~pl.col("query_id").is_in(list(query_ids)))
        pairs = pairs.filter(pl.col("query_id").is_in(train["query_id"].to_list()))

    offered = dict(sorted(train.group_by("origin").len().iter_rows()))
    drop("origin_left_out", set(train.filter(pl.col("origin").is_in(left_out))["query_id"]))
    drop("no_positive", set(train["query_id"]) - set(pairs["query_id"]))
    drop("repeated", _repeated(train, pairs))
    boilerplate = _asked_of_others(held, train, rule.leak_threshold)
    held = held.filter(~pl.col("query_id").is_in(boilerplate["held_id"].to_list()))
    repeating = _dev_like_test(held, rule.leak_threshold)
    held = held.filter(~pl.col("query_id").is_in(repeating["query_id"].to_list()))
    _check_dev(held, before=queries, repeating=repeating)
    leaking = _leaking(train, held, rule.leak_threshold, "training")
    drop("near_duplicate_of_held_out", set(leaking["query_id"]))
    if rule.several_answers != "keep":
        further, vague = _several_answers(pairs, qrels, corpus, rule)
        pairs = pl.concat([pairs, further])
        drop("several_answers", vague)
    if rule.hold_out == "documents":
        drop("held_out_document", _of_held_out_documents(pairs, qrels, held, corpus))
    if rule.round_trip_rank and corpus.passages.height >= rule.round_trip_min_passages:
        drop("failed_round_trip", _beyond_rank(pairs, corpus, rule.round_trip_rank))
    asked = _general_asked(train, rule)
    drop("beyond_general_share", _surplus_general(train, asked))
    held_qrels = qrels.filter(pl.col("query_id").is_in(held["query_id"].to_list()))
    judged_no = qrels.filter(pl.col("grade") == 0, pl.col("query_id").is_in(train["query_id"].to_list()))
    used = dict(sorted(train.group_by("origin").len().iter_rows()))
    counts = {
        "offered": offered,
        "used": used,
        "pairs": pairs.height,
        "passages": pairs["target_id"].n_unique(),
        **({} if rule.several_answers == "keep" else {"further_answers": further.height}),
        "dropped": {reason: by_origin for reason, by_origin in drops.items() if by_origin},
        "held_out_dropped": boilerplate["held_id"].n_unique(),
        "dev_near_duplicate_of_test": repeating["query_id"].n_unique(),
        "held_out": {f"{o} {s}": n for o, s, n in held.group_by("origin", "split").len().sort("origin", "split").iter_rows()},
        "round_trip": bool(rule.round_trip_rank and corpus.passages.height >= rule.round_trip_min_passages),
        "general_queries": {"asked": asked, "got": used.get("general", 0)},
        "general_passages": general_passages.height,
        "judgments_of_no_query": strays,
    }
    if boilerplate.height and not held.filter(pl.col("split") == "test").height:
        raise InputError(
            "mix: every synthetic test query asks what a training query of another document asks too (boilerplate); write "
            "judgments for a real test, or raise mix.leak_threshold"
        )
    if not any(origin != "general" for origin in used):
        raise InputError(f"mix: no domain query is left to train on; offered {offered}, dropped {counts['dropped']}")
    judged = pl.concat([pairs, judged_no, held_qrels]).unique(["query_id", "target_id", "unit"])
    return Mixed(pl.concat([train, held]), judged, pl.concat([boilerplate, repeating, leaking]), counts)


def _training_pairs(train: pl.DataFrame, qrels: pl.DataFrame, corpus: Corpus, rule: MixRule) -> pl.DataFrame:
    """Positive pairs of passages, weighted by their judgment's origin.

    Of a judged document only the passages that the base ranks best, never all of it.
    """
    positive = qrels.filter(
        pl.col("grade") > 0,
        pl.col("query_id").is_in(train["query_id"].to_list()),
    ).with_columns(pl.col("weight") * pl.col("origin").replace_strict(dict(rule.weights), return_dtype=pl.Float32))
    direct = positive.filter(pl.col("unit") == "passage")
    rows = corpus.rows_of_documents()
    ids = corpus.passages["passage_id"].to_list()
    no_answer = set(qrels.filter(pl.col("grade") == 0).select("query_id", "target_id").iter_rows())
    found = []
    for row in positive.filter(pl.col("unit") == "document").iter_rows(named=True):
        mine = [at for at in rows[row["target_id"]] if (row["query_id"], ids[at]) not in no_answer]
        if not mine:
            continue
        scores = corpus.vectors[mine] @ corpus.query_vectors[row["query_id"]]
        best = sorted(range(len(mine)), key=lambda at: (-scores[at], at))[: rule.passages_per_document]
        found += [row | {"target_id": ids[mine[at]], "unit": "passage"} for at in best]
    chosen = pl.concat([direct, pl.DataFrame(found, schema=QRELS.columns)])
    return chosen.unique(["query_id", "target_id"], keep="first").sort("query_id", "target_id")


def _repeated(train: pl.DataFrame, pairs: pl.DataFrame) -> set[str]:
    """Queries whose normalised text and positives another query of a smaller id has too."""
    targets = pairs.sort("target_id").group_by("query_id").agg(pl.col("target_id").str.join("\0").alias("targets"))
    texts = train.select("query_id", pl.col("text").map_elements(normalised, return_dtype=pl.String))
    both = texts.join(targets, on="query_id").sort("query_id")
    return set(both.filter(~pl.struct("text", "targets").is_first_distinct())["query_id"])


def _check_dev(held: pl.DataFrame, *, before: pl.DataFrame, repeating: pl.DataFrame) -> None:
    """Refuse that no dev query of the domain is left in `held` where there were some before."""
    dev = (pl.col("origin") != "general") & (pl.col("split") == "dev")
    if before.filter(dev).is_empty() or not held.filter(dev).is_empty():
        return
    lost = repeating.filter(pl.col("origin") != "general")
    if lost.is_empty():
        raise InputError(
            "mix: every dev query asks what a training query of another document asks too (boilerplate); judge queries for dev, "
            "or raise mix.leak_threshold or mix.synthetic_shares.dev"
        )
    raise InputError(
        f"mix: each dev query repeats a test query, as {lost['query_id'][0]} does {lost['held_id'][0]}, so training "
        "could only be judged by the test itself; judge other queries for dev"
    )


def _asked_of_others(held: pl.DataFrame, train: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Held-out synthetic queries that nearly repeat a synthetic one of another document: boilerplate, which tests nothing."""
    made = pl.col("origin").is_in(MADE)
    return _leaking(train.filter(made), held.filter(made), threshold, "held-out")


def _dev_like_test(held: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Dev queries that repeat a test query of any origin, as the table `leaks`.

    Early stopping and the choice of weights go by dev: with such queries in it they would be chosen for the test. The test stays.
    """
    dev, test = (held.filter(pl.col("split") == split) for split in ("dev", "test"))
    return _leaking(dev, test, threshold, "dev")


def _leaking(
    queries: pl.DataFrame, held: pl.DataFrame, threshold: float, left_out: Literal["training", "dev", "held-out"]
) -> pl.DataFrame:
    """The table `leaks` of the queries that are near-duplicates of held-out ones."""
    pairs = duplicates.near_duplicates(queries["text"].to_list(), held["text"].to_list(), threshold)
    return leaks(queries, held, pairs, left_out=left_out)


def _of_held_out_documents(pairs: pl.DataFrame, qrels: pl.DataFrame, held: pl.DataFrame, corpus: Corpus) -> set[str]:
    """Training queries with a positive in a duplicate group that holds a held-out query's answer."""
    groups = corpus.passages.select("passage_id", "document_id", "duplicate_group")
    answers = qrels.filter(pl.col("grade") > 0, pl.col("query_id").is_in(held["query_id"].to_list()))["target_id"].to_list()
    closed = groups.filter(pl.col("passage_id").is_in(answers) | pl.col("document_id").is_in(answers))[
        "duplicate_group"
    ].to_list()
    passages = groups.filter(pl.col("duplicate_group").is_in(closed))["passage_id"].to_list()
    return set(pairs.filter(pl.col("target_id").is_in(passages))["query_id"])


def _several_answers(pairs: pl.DataFrame, qrels: pl.DataFrame, corpus: Corpus, rule: MixRule) -> tuple[pl.DataFrame, set[str]]:
    """(further positive pairs, queries to drop) of the synthetic queries that the base takes other passages to answer too.

    Under `all` they become positives, but for a query that fits more than a few; under `drop` every such query goes.
    """
    place = {name: at for at, name in enumerate(corpus.passages["passage_id"])}
    made = pairs.filter(pl.col("origin").is_in(MADE)).sort("query_id", "target_id")
    experts_too = pairs.filter(pl.col("query_id").is_in(made["query_id"].to_list())).sort("query_id", "target_id")
    known = {query: {place[one] for one in targets} for query, targets in _targets(experts_too).items()}
    no_answer = _targets(qrels.filter(pl.col("grade") == 0, pl.col("target_id").is_in(list(place))))
    barred = [{place[one] for one in no_answer.get(query, ())} for query in known]
    vectors = np.stack([corpus.query_vectors[one] for one in known]) if known else np.empty((0, 0), np.float32)
    margin = rule.several_answers_margin
    found = answers.further_answers(vectors, corpus.vectors, list(known.values()), barred, margin=margin)
    most = answers.MOST if rule.several_answers == "all" else 0
    vague = {query for query, rows in zip(known, found, strict=True) if len(rows) > most}
    ids = corpus.passages["passage_id"].to_list()
    first = {row["query_id"]: row for row in made.unique("query_id", keep="first", maintain_order=True).iter_rows(named=True)}
    further = [
        first[query] | {"target_id": ids[row]}
        for query, rows in zip(known, found, strict=True)
        if query not in vague
        for row in rows
    ]
    return pl.DataFrame(further, schema=QRELS.columns), vague


def _targets(rows: pl.DataFrame) -> dict[str, list[str]]:
    return dict(rows.group_by("query_id", maintain_order=True).agg("target_id").iter_rows())


def _beyond_rank(pairs: pl.DataFrame, corpus: Corpus, most: int) -> set[str]:
    """Synthetic queries none of whose positives is among the base's first `most` passages (Promptagator's round trip).

    A query with an answer that an expert found stays.
    """
    found_good = pairs.filter(~pl.col("origin").is_in(MADE))["query_id"].to_list()
    asked = pairs.filter(pl.col("origin").is_in(MADE), ~pl.col("query_id").is_in(found_good))
    if not asked.height:
        return set()
    grouped = asked.group_by("query_id", maintain_order=True).agg("target_id")
    ids = corpus.passages["passage_id"].to_list()
    vectors = np.stack([corpus.query_vectors[query] for query in grouped["query_id"]])
    best, _ = exact(vectors, corpus.vectors, most)
    return {
        query
        for (query, targets), found in zip(grouped.iter_rows(), best, strict=True)
        if not {ids[at] for at in found} & set(targets)
    }


def _general_asked(train: pl.DataFrame, rule: MixRule) -> int:
    """How many general queries the share of the domain's comes to; there may be fewer."""
    return round(rule.general_share * train.filter(pl.col("origin") != "general").height) if rule.weights["general"] else 0


def _surplus_general(train: pl.DataFrame, asked: int) -> set[str]:
    """General queries beyond the number asked for."""
    general = train.filter(pl.col("origin") == "general")["query_id"].to_list()
    return set(general) - set(general_chosen(general, asked))


def general_chosen(query_ids: Sequence[str], count: int) -> list[str]:
    """The general queries that are trained on: `count` of them, by a hash of their ids, so that more keep the fewer's choice."""
    return sorted(query_ids, key=lambda one: hashlib.sha256(one.encode()).hexdigest())[:count]
