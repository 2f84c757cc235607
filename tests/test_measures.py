"""Measures: trec_eval's arithmetic by hand and by its own code, and what a difference is worth."""

import math
import random

import numpy as np
import polars as pl
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.evaluation import measures
from burnish.evaluation.measures import MEASURES, difference

RUN = {"query_id": pl.String, "target_id": pl.String, "score": pl.Float32}
QRELS = {"query_id": pl.String, "target_id": pl.String, "grade": pl.Int8}
TREC = {
    "ndcg@5": "ndcg_cut_5",
    "ndcg@10": "ndcg_cut_10",
    "recall@1": "recall_1",
    "recall@5": "recall_5",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "map@100": "map_cut_100",
}


def run(*rows: tuple[str, str, float]) -> pl.DataFrame:
    """Rows of query, target, score."""
    return pl.DataFrame(list(rows), schema=RUN, orient="row")


def qrels(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """Rows of query, target, grade."""
    return pl.DataFrame(list(rows), schema=QRELS, orient="row")


def ranking(query: str, targets: str) -> pl.DataFrame:
    """A run of one query that finds `targets`, one letter each, in that order."""
    return run(*((query, target, 1.0 - at / 100) for at, target in enumerate(targets)))


def test_each_measure_by_hand() -> None:
    """Grades a2 b1 c0 and an answer d that is not found, ranked x b c a: every measure as trec_eval defines it."""
    found = measures.by_query(ranking("q", "xbca"), qrels(("q", "a", 2), ("q", "b", 1), ("q", "c", 0), ("q", "d", 1)))
    gain = 1 / math.log2(3) + 2 / math.log2(5)  # b at rank 2, a at rank 4
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    expected = {
        "ndcg@5": gain / ideal,
        "ndcg@10": gain / ideal,
        "recall@1": 0.0,
        "recall@5": 2 / 3,
        "recall@10": 2 / 3,
        "recall@100": 2 / 3,
        "mrr@10": 1 / 2,
        "map@100": (1 / 2 + 2 / 4) / 3,
    }
    assert found.row(0, named=True) == {"query_id": "q"} | {name: pytest.approx(value) for name, value in expected.items()}


def test_random_runs_equal_pytrec_eval() -> None:
    """On 40 queries with 120 found each, many at equal scores, every value is what pytrec_eval gives when it is asked directly."""
    draw = random.Random(5)
    truth = {f"q{q}": {f"d{d}": draw.choice([0, 1, 1, 2]) for d in draw.sample(range(300), 8)} for q in range(40)}
    truth = {query: grades | {"d0": 1} for query, grades in truth.items()}
    scores = {query: {f"d{d}": draw.randrange(40) / 64 for d in draw.sample(range(300), 120)} for query in truth}
    found = measures.by_query(
        run(*((q, d, s) for q, of in scores.items() for d, s in of.items())),
        qrels(*((q, d, g) for q, of in truth.items() for d, g in of.items())),
    )
    theirs = pytrec_eval.RelevanceEvaluator(truth, set(TREC.values())).evaluate(scores)
    top = {query: dict(sorted(of.items(), key=lambda one: (one[1], one[0]), reverse=True)[:10]) for query, of in scores.items()}
    first = pytrec_eval.RelevanceEvaluator(truth, {"recip_rank"}).evaluate(top)
    for row in found.iter_rows(named=True):
        expected = {ours: theirs[row["query_id"]][name] for ours, name in TREC.items()}
        expected["mrr@10"] = first[row["query_id"]]["recip_rank"]
        assert {name: row[name] for name in MEASURES} == pytest.approx(expected)


def test_a_perfect_run_scores_one() -> None:
    """All answers first, by grade: every measure is 1, recall@1 too where there is one answer."""
    found = measures.by_query(ranking("q", "axyz"), qrels(("q", "a", 2)))
    assert set(found.row(0)[1:]) == {1.0}


def test_the_first_answer_at_rank_eleven_has_no_reciprocal_rank_within_ten() -> None:
    """MRR@10 is cut at ten, though trec_eval's own recip_rank has no cut-off."""
    found = measures.by_query(ranking("q", "bcdefghijka"), qrels(("q", "a", 1)))
    assert (found["mrr@10"][0], found["map@100"][0]) == (0.0, pytest.approx(1 / 11))


@given(st.permutations(list(range(30))), st.permutations(list(range(9))))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_changes_nothing(rows: list[int], graded: list[int]) -> None:
    """Runs with equal scores and judgments in any order give the same values."""
    one = run(*((f"q{at % 3}", f"d{at}", (at % 4) / 4) for at in range(30)))
    truth = qrels(*((f"q{at % 3}", f"d{at * 2}", 1 + at % 2) for at in range(9)))
    assert measures.by_query(one[rows], truth[graded]).equals(measures.by_query(one, truth))


@given(st.permutations(list(range(30))))
@settings(max_examples=20, deadline=None)
def test_a_run_as_a_search_gives_it_counts_as_in_any_order(rows: list[int]) -> None:
    """Each query's rows together and the best first, equal scores in whatever order: the same values as shuffled."""
    one = run(*((f"q{at % 3}", f"d{at}", (at % 4) / 4) for at in range(30)))
    truth = qrels(*((f"q{at % 3}", f"d{at}", 1 + at % 2) for at in range(9)))
    searched = one[rows].sort("query_id", "score", descending=[False, True], maintain_order=True)
    assert measures.by_query(searched, truth).equals(measures.by_query(one, truth))


def test_a_run_without_rows_scores_zero() -> None:
    """A system that finds nothing at all is no error."""
    assert measures.by_query(run(), qrels(("q", "a", 1)))["ndcg@10"].to_list() == [0.0]


def test_a_judged_query_that_the_run_lacks_scores_zero() -> None:
    """A query without any result is not left out of the mean."""
    found = measures.by_query(ranking("q", "a"), qrels(("q", "a", 1), ("r", "a", 1)))
    assert dict(found.select("query_id", "ndcg@10").iter_rows()) == {"q": 1.0, "r": 0.0}


def test_a_query_with_judged_non_answers_alone_is_left_out() -> None:
    """No system can score on it."""
    found = measures.by_query(ranking("r", "a"), qrels(("q", "a", 1), ("r", "a", 0)))
    assert found["query_id"].to_list() == ["q"]


def test_a_document_counts_once_at_its_best_passage() -> None:
    """Where judgments name documents, the second passage of a document takes no rank."""
    passages = pl.DataFrame({"passage_id": ["d#0", "d#1", "e#0"], "document_id": ["d", "d", "e"]})
    found = pl.DataFrame({"query_id": ["q"] * 3, "passage_id": ["d#0", "d#1", "e#0"], "score": [0.9, 0.8, 0.7]})
    collapsed = measures.of_targets(found, passages, by_document=True)
    assert dict(collapsed.select("target_id", "score").iter_rows()) == {"d": 0.9, "e": 0.7}
    assert measures.by_query(collapsed, qrels(("q", "e", 1)))["mrr@10"][0] == 0.5


def test_among_documents_a_judged_passage_counts_as_its_document() -> None:
    """Judgments of both units meet in documents, at the highest grade."""
    passages = pl.DataFrame({"passage_id": ["d#0", "d#1", "e#0"], "document_id": ["d", "d", "e"]})
    judged = qrels(("q", "d#0", 1), ("q", "d#1", 2), ("q", "e", 1))
    found = measures.of_unit(judged, passages, by_document=True)
    assert dict(found.select("target_id", "grade").iter_rows()) == {"d": 2, "e": 1}


def test_the_recall_curve_agrees_with_the_measure() -> None:
    """At depths 1, 5, 10 and 100 the curve is trec_eval's recall, averaged."""
    draw = random.Random(1)
    found = run(*((f"q{q}", f"d{d}", draw.random()) for q in range(10) for d in range(150)))
    truth = qrels(*((f"q{q}", f"d{d}", 1) for q in range(10) for d in draw.sample(range(200), 1 + q)))
    values, curve = measures.by_query(found, truth), measures.recall_curve(found, truth)
    for depth in (1, 5, 10, 100):
        assert curve[depth] == pytest.approx(values[f"recall@{depth}"].mean())


def test_the_interval_of_a_normal_sample_is_the_textbooks() -> None:
    """For 400 differences of mean 0.05 and deviation 0.2 the bootstrap's ends are mean plus and minus 1.96 standard errors."""
    sample = np.random.default_rng(1).normal(size=400)
    apart = 0.05 + 0.2 * (sample - sample.mean()) / sample.std(ddof=1)
    found = difference(apart, np.zeros(400))
    assert (found.low, found.high) == (pytest.approx(0.05 - 0.0196, abs=0.001), pytest.approx(0.05 + 0.0196, abs=0.001))
    assert found.detectable == pytest.approx(2.8 * 0.01)
    assert (found.queries, found.verdict()) == (400, "better")


def test_p_of_few_queries_is_the_exact_share_of_sign_flips() -> None:
    """With five equal gains only 2 of 32 sign patterns are as far from 0."""
    assert difference(np.ones(5), np.zeros(5)).p == pytest.approx(2 / 32, abs=0.01)


def test_p_is_uniform_where_there_is_no_difference() -> None:
    """Of 200 comparisons of a system with itself plus noise, about one in twenty comes out below 0.05."""
    random_ = np.random.default_rng(3)
    below = sum(difference(random_.normal(size=30), np.zeros(30), seed=at).p < 0.05 for at in range(200))
    assert 2 <= below <= 22


def test_swapping_the_systems_turns_the_sign() -> None:
    """Mean and verdict turn around, p stays."""
    one, other = np.random.default_rng(2).random((2, 50))
    there, back = difference(one + 0.4, other), difference(other, one + 0.4)
    assert (back.mean, back.p) == (pytest.approx(-there.mean), pytest.approx(there.p, abs=1e-3))
    assert (there.verdict(), back.verdict()) == ("better", "worse")


def test_the_same_seed_gives_the_same_interval() -> None:
    """Metrics that Git tracks do not move on a rerun."""
    one, other = np.random.default_rng(2).random((2, 50))
    assert difference(one, other, seed=4) == difference(one, other, seed=4)
