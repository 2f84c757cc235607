"""Hard negatives: hard, and not the answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from burnish import tables
from burnish.arrays import Vectors
from burnish.tables import NEGATIVES, PASSAGES, QRELS, QUERIES
from burnish.training import mining
from burnish.training.mining import Mined, Rule, hard_negatives

RULE = Rule(per_query=2, first_rank=1, last_rank=100, pool=20, max_share=0.95, search="exact", judged=8)


def at_angles(*cosines: float) -> Vectors:
    """Unit vectors in the plane, each with the given cosine to (1, 0)."""
    return np.array([[cosine, np.sqrt(1 - cosine**2)] for cosine in cosines], dtype=np.float32)


def mined(passages: Vectors, rule: Rule = RULE, **given: Any) -> Mined:
    """The negatives of one query, (1, 0), whose answer is passage 0."""
    names = (["q"], [str(at) for at in range(len(passages))])
    known: dict[str, Any] = {"names": names, "positives": [frozenset({0})], "excluded": [frozenset({0})], "judged": {}}
    return hard_negatives(at_angles(1.0), passages, **known | given, rule=rule)


def found(mined_: Mined) -> set[int]:
    """The passages of the rows."""
    return set(mined_.rows["passage"])


def test_what_scores_nearly_as_the_answer_is_left_out() -> None:
    """NV-Retriever's rule: with a positive at 0.80, 0.77 is too near (0.9625 of it), 0.75 is not (0.9375)."""
    one = mined(at_angles(0.80, 0.77, 0.75, 0.70, 0.9))
    assert (found(one), one.likely_answers, one.candidates) == ({2, 3}, 2, 4)


def test_the_weakest_of_several_positives_decides() -> None:
    """A query answered at 0.9 and at 0.6 takes nothing above 0.57."""
    one = mined(at_angles(0.9, 0.6, 0.58, 0.5, 0.4), positives=[frozenset({0, 1})], excluded=[frozenset({0, 1})])
    assert found(one) == {3, 4}


def test_each_row_tells_rank_score_margin_and_miner() -> None:
    """Rank counts the answer too; margin is what the answer scores more."""
    row = mined(at_angles(0.8, 0.5, 0.1), replace(RULE, per_query=1, pool=1)).rows.row(0, named=True)
    assert row == {
        "query": 0,
        "passage": 1,
        "rank": 2,
        "score": pytest.approx(0.5),
        "margin": pytest.approx(0.3),
        "miner": "exact",
    }


@pytest.mark.parametrize("per_query", [0, 1, 2])
def test_judged_non_answers_come_besides_whatever_they_score(per_query: int) -> None:
    """A passage that an expert graded 0 is known to be no answer, even where the base ranks it above the answer."""
    one = mined(at_angles(0.8, 0.5, 0.79, 0.1), replace(RULE, per_query=per_query), judged={0: [2]})
    assert one.rows["miner"].to_list() == ["judged"] + ["exact"] * per_query
    assert one.rows["passage"].to_list()[0] == 2
    assert one.rows["passage"].n_unique() == 1 + per_query
    assert (one.queries_short, one.judged_left_out) == (0, 0)


def test_the_hardest_of_many_judged_ones_are_kept() -> None:
    """The others are counted, and are not mined either."""
    rule = replace(RULE, judged=2, per_query=5)
    one = mined(at_angles(0.8, 0.1, 0.5, 0.7, 0.3), rule, judged={0: [1, 2, 3]})
    rows = one.rows.select("passage", "miner", "rank").rows()
    assert rows == [(3, "judged", 0), (2, "judged", 0), (4, "exact", 4)]
    assert (one.judged_left_out, one.queries_short) == (1, 1)
    assert mined(at_angles(0.8, 0.5), replace(RULE, judged=0, per_query=0), judged={0: [1]}).judged_left_out == 1


def test_the_pool_bounds_how_easy_a_negative_may_be() -> None:
    """Out of a pool of three only the three hardest that pass are drawn."""
    passages = at_angles(0.9, *np.linspace(0.8, 0.1, 30))
    assert found(mined(passages, replace(RULE, pool=3, per_query=3))) == {1, 2, 3}


def test_ranks_before_the_first_and_after_the_last_are_left_out() -> None:
    """The window is of ranks in the base's list, the answer's own counted."""
    passages = at_angles(0.9, *np.linspace(0.8, 0.1, 8))
    assert found(mined(passages, replace(RULE, first_rank=4, last_rank=6, per_query=10))) == {3, 4, 5}


def test_a_query_with_too_few_candidates_is_counted_short() -> None:
    """Fewer negatives than asked for is a number in the metrics, not a silence."""
    one = mined(at_angles(0.8, 0.5), replace(RULE, per_query=2))
    assert (one.rows.height, one.queries_short) == (1, 1)


def test_no_negatives_asked_for_gives_none() -> None:
    """per_query 0 turns mining off."""
    one = mined(at_angles(0.8, 0.5), replace(RULE, per_query=0))
    assert (one.rows.height, one.queries_short) == (0, 0)


def unit(count: int, seed: int) -> Vectors:
    """Random unit vectors near one another."""
    made = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32) + 0.5
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_random_corpora_obey_the_rule() -> None:
    """Over 50 queries and 300 passages: no positive, no score above the share, no passage twice, window kept."""
    queries = unit(50, 0)
    passages = np.concatenate([0.9 * queries + 0.1 * unit(50, 1), 0.8 * queries + 0.2 * unit(50, 2), unit(200, 3)])
    passages /= np.linalg.norm(passages, axis=1, keepdims=True)
    names = ([str(at) for at in range(50)], [str(at) for at in range(300)])
    positives = [frozenset({at, at + 50}) for at in range(50)]
    rule = replace(RULE, per_query=4, first_rank=2, last_rank=60)
    made = hard_negatives(queries, passages, positives=positives, excluded=positives, judged={}, names=names, rule=rule)
    rows = made.rows
    assert rows.height > 100
    assert rows.select("query", "passage").n_unique() == rows.height
    for row in rows.iter_rows(named=True):
        own = min(float(queries[row["query"]] @ passages[one]) for one in positives[row["query"]])
        assert row["passage"] not in positives[row["query"]]
        assert row["score"] <= 0.95 * own + 1e-6
        assert row["margin"] == pytest.approx(own - row["score"], abs=1e-6)
        assert 2 <= row["rank"] <= 60


def test_two_miners_come_by_turns() -> None:
    """Ranks 1 of both, then ranks 2 and 3, answers left out and none twice, until the pool of three is full."""
    passages = at_angles(0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    by_words = [[(5, 9.0), (0, 8.0), (4, 7.0), (1, 6.0)]]
    rule = replace(RULE, per_query=3, pool=3, miners=("dense", "bm25"))
    rows = mined(passages, rule, by_words=by_words).rows.sort("passage")
    assert rows["passage"].to_list() == [1, 2, 5]  # the model's 0 (the answer), 1, 2; BM25's 5, 0
    assert rows["miner"].to_list() == ["exact", "exact", "bm25"]
    assert rows["rank"].to_list() == [2, 3, 1]


def test_the_models_score_tells_bm25s_likely_answers() -> None:
    """Whatever BM25 scored: a candidate near the answer is left out, and rows carry the model's score."""
    passages = at_angles(0.8, 0.79, 0.5, 0.4)
    rule = replace(RULE, miners=("bm25",))
    one = mined(passages, rule, by_words=[[(1, 50.0), (2, 40.0), (3, 1.0)]])
    assert (found(one), one.likely_answers, one.candidates) == ({2, 3}, 1, 3)
    assert one.rows.sort("passage")["score"].to_list() == pytest.approx([0.5, 0.4])
    assert set(one.rows["miner"]) == {"bm25"}


def test_a_judge_takes_answers_out_of_the_pool() -> None:
    """Above its share of the answer's probability a candidate is no negative, and is counted; the next ones are not asked for."""
    probability = np.array([0.8, 0.75, 0.3, 0.74, 0.1, 0.0], np.float32)
    asked: list[tuple[int, int]] = []

    def relevance(queries: Any, passages: Any) -> Vectors:
        asked.extend(zip(queries, passages, strict=True))
        return probability[list(passages)]

    passages = at_angles(0.9, 0.6, 0.5, 0.4, 0.3, 0.2)
    one = mined(passages, replace(RULE, per_query=4, pool=4, denoise="judge", denoise_share=0.9), relevance=relevance)
    assert (found(one), one.denoised, one.queries_short) == ({2, 4}, 2, 1)
    assert asked == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]


def test_a_rule_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Later rounds mine by the very same."""
    rule = replace(RULE, max_share=0.123456789, miners=("dense", "bm25"), denoise="judge", denoise_share=0.7)
    rule.write(tmp_path / "rule.json")
    assert Rule.read(tmp_path / "rule.json") == rule


# Tables


def corpus(*texts: str) -> pl.DataFrame:
    """One passage a text, two passages a document: d0#0, d0#1, d1#0 and so on."""
    rows = [(f"d{at // 2}#{at % 2}", f"d{at // 2}", at % 2, "", "", text, 5) for at, text in enumerate(texts)]
    return pl.DataFrame(rows, schema=PASSAGES.columns, orient="row")


def asked(*ids: str) -> pl.DataFrame:
    """Training queries."""
    return pl.DataFrame([(one, one, "en", "curated", "train") for one in ids], schema=QUERIES.columns, orient="row")


def one_query() -> pl.DataFrame:
    """Query q, whose text is not its id."""
    return pl.DataFrame([("q", "which one?", "en", "curated", "train")], schema=QUERIES.columns, orient="row")


def judged(*rows: tuple[str, str, str, int]) -> pl.DataFrame:
    """Rows of query, target, unit, grade."""
    return pl.DataFrame([(*row, 1.0, "curated") for row in rows], schema=QRELS.columns, orient="row")


def from_tables(texts: list[str], cosines: list[float], qrels: pl.DataFrame, rule: Rule = RULE) -> pl.DataFrame:
    """The negatives of query q over passages with the given cosines."""
    return mining.from_tables(
        asked("q"),
        corpus(*texts),
        qrels,
        query_vectors=at_angles(1.0),
        passage_vectors=at_angles(*cosines),
        rule=rule,
    ).rows


def test_a_duplicate_text_of_an_answer_is_never_a_negative() -> None:
    """d1#0 has the answer's very words, and a rule that lets every score pass would take it."""
    rows = from_tables(
        ["answer", "b", "answer", "c"],
        [0.8, 0.5, 0.8, 0.4],
        judged(("q", "d0#0", "passage", 1)),
        replace(RULE, max_share=2.0, per_query=10),
    )
    assert set(rows["passage_id"]) == {"d0#1", "d1#1"}
    tables.checked(rows, NEGATIVES, "mined")


def test_no_passage_of_a_judged_document_is_a_negative() -> None:
    """A document of grade 1 counts with all its passages, though one of them was made the positive."""
    rows = from_tables(
        ["a", "b", "c", "e"],
        [0.8, 0.7, 0.5, 0.4],
        judged(("q", "d0", "document", 1), ("q", "d0#0", "passage", 1)),
        replace(RULE, per_query=10),
    )
    assert set(rows["passage_id"]) == {"d1#0", "d1#1"}


def test_a_passage_judged_no_answer_twice_comes_once() -> None:
    """Graded 0 by itself and with its document: one row a passage, as the table's key demands."""
    rows = from_tables(
        ["a", "b", "c", "e"],
        [0.8, 0.7, 0.5, 0.4],
        judged(("q", "d0#0", "passage", 1), ("q", "d1#0", "passage", 0), ("q", "d1", "document", 0)),
        replace(RULE, per_query=0),
    )
    assert set(tables.checked(rows, NEGATIVES, "mined")["passage_id"]) == {"d1#0", "d1#1"}


def test_what_nobody_clicked_trains_nothing() -> None:
    """A grade 0 by clicks is no expert's; beside it one by an expert counts."""
    found = judged(("q", "d0#0", "passage", 1), ("q", "d0#1", "passage", 0), ("q", "d1#0", "passage", 0))
    found = found.with_columns(origin=pl.Series(["curated", "clicks", "curated"]))
    rows = from_tables(["a", "b", "c"], [0.8, 0.7, 0.5], found, replace(RULE, per_query=0))
    assert rows["passage_id"].to_list() == ["d1#0"]


def test_a_judged_non_answer_with_an_answers_text_is_left_out() -> None:
    """Judgments that contradict each other teach nothing."""
    rows = from_tables(
        ["answer", "b", "answer", "c"],
        [0.8, 0.5, 0.8, 0.4],
        judged(("q", "d0#0", "passage", 1), ("q", "d1#0", "passage", 0)),
    )
    assert "d1#0" not in set(rows["passage_id"])


def test_bm25_shares_a_word_with_the_query() -> None:
    """By the tables' texts and the queries' language; a passage without a word of the query is no candidate."""
    texts = ["an answer of stone", "stones by the sea", "a lamp", "stone", "iron", "bread"]
    queries = pl.DataFrame([("q", "which stone", "en", "curated", "train")], schema=QUERIES.columns, orient="row")
    rows = mining.from_tables(
        queries,
        corpus(*texts),
        judged(("q", "d0#0", "passage", 1)),
        query_vectors=at_angles(1.0),
        passage_vectors=at_angles(0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
        rule=replace(RULE, per_query=10, miners=("bm25",)),
    ).rows
    assert set(rows["passage_id"]) == {"d0#1", "d1#1"}
    assert set(tables.checked(rows, NEGATIVES, "mined")["miner"]) == {"bm25"}


def test_bm25_cuts_each_passage_in_its_own_language() -> None:
    """A German plural is found by its singular where the passage is known as German, and not where it passes for English."""
    texts = ["an answer", "zwei Häuser am Fluss", "a lamp", "b", "c", "d"]
    queries = pl.DataFrame([("q", "Haus", "en", "curated", "train")], schema=QUERIES.columns, orient="row")
    found = {
        named: mining.from_tables(
            queries,
            corpus(*texts),
            judged(("q", "d0#0", "passage", 1)),
            query_vectors=at_angles(1.0),
            passage_vectors=at_angles(0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
            rule=replace(RULE, miners=("bm25",)),
            languages=["en", named, "en", "en", "en", "en"],
        )
        .rows["passage_id"]
        .to_list()
        for named in ("de", "en")
    }
    assert found == {"de": ["d0#1"], "en": []}


def test_a_judge_is_asked_for_texts() -> None:
    """The query's and the passage's, title and heading included, as a model would see them."""
    asked: list[tuple[str, str]] = []

    def relevance(queries: list[str], passages: list[str]) -> Vectors:
        asked.extend(zip(queries, passages, strict=True))
        return np.array([1.0 if text == "answer" else 0.0 for text in passages], np.float32)

    mining.from_tables(
        asked_for := one_query(),
        corpus("answer", "b"),
        judged(("q", "d0#0", "passage", 1)),
        query_vectors=at_angles(1.0),
        passage_vectors=at_angles(0.8, 0.5),
        rule=replace(RULE, denoise="judge"),
        relevance=relevance,
    )
    assert asked == [(asked_for["text"][0], "answer"), (asked_for["text"][0], "b")]


def test_order_of_queries_and_passages_changes_nothing() -> None:
    """Draws go by ids: shuffled tables, and one more query and passage, leave every other choice as it was."""
    count = 40
    passages = corpus(*(f"text {at}" for at in range(2 * count)))
    queries = asked(*(f"q{at}" for at in range(count)))
    qrels = judged(*((f"q{at}", f"d{at}#0", "passage", 1) for at in range(count)))
    vectors, asked_for = unit(2 * count, 3), unit(count, 4)

    def chosen(rows: list[int], columns: list[int]) -> pl.DataFrame:
        made = mining.from_tables(
            queries[rows],
            passages[columns],
            qrels,
            query_vectors=asked_for[rows],
            passage_vectors=vectors[columns],
            rule=RULE,
        )
        return made.rows.select("query_id", "passage_id").sort("query_id", "passage_id")

    plain = chosen(list(range(count)), list(range(2 * count)))
    assert chosen(list(range(count))[::-1], list(range(2 * count))[::-1]).equals(plain)
    assert chosen(list(range(1, count)), list(range(2 * count))).equals(plain.filter(pl.col("query_id") != "q0"))
