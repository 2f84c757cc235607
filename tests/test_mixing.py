"""The training set: what is trained on, what is held out, and why a query was dropped."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from burnish.errors import InputError
from burnish.tables import ORIGINS, PASSAGES, QRELS, QUERIES
from burnish.training import audit, mixing
from burnish.training.mixing import Corpus, Mixed, MixRule

EVEN = dict.fromkeys(ORIGINS, 1.0)
RULE = MixRule(
    leak_threshold=0.7,
    hold_out="queries",
    round_trip_rank=0,
    round_trip_min_passages=0,
    passages_per_document=1,
    general_share=1.0,
    weights=EVEN,
    several_answers="keep",
    several_answers_margin=1.0,
)
NO_GENERAL = pl.DataFrame(schema=PASSAGES.columns)
TOPICS = ("cooking rice slowly", "sailing at night", "painting a wall", "growing tomatoes", "repairing clocks", "baking bread")


def queries(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    """Rows of query_id, text, origin, split."""
    return pl.DataFrame(
        [(name, text, "en", origin, split) for name, text, origin, split in rows], schema=QUERIES.columns, orient="row"
    )


def qrels(*rows: tuple[str, str, int], origin: str = "curated") -> pl.DataFrame:
    """Rows of query, target, grade; a target with a # is a passage."""
    return pl.DataFrame(
        [(q, t, "passage" if "#" in t else "document", g, 1.0, origin) for q, t, g in rows],
        schema=QRELS.columns,
        orient="row",
    )


def corpus(asked: pl.DataFrame, *, groups: dict[str, str] | None = None) -> Corpus:
    """Documents d0 to d5 of two passages; passage n lies along axis n, and every query nearest to passage 0, then 1 ..."""
    ids = [f"d{at}#{part}" for at in range(6) for part in range(2)]
    rows = [(one, one.split("#")[0], 0, "", "", one, 3) for one in ids]
    frame = pl.DataFrame(rows, schema=PASSAGES.columns, orient="row")
    group = pl.col("document_id").replace(groups or {}).alias("duplicate_group")
    near = np.linspace(1, 0.1, len(ids), dtype=np.float32)
    return Corpus(frame.with_columns(group), np.eye(len(ids), dtype=np.float32), dict.fromkeys(asked["query_id"], near))


def mixed(asked: pl.DataFrame, judged: pl.DataFrame, rule: MixRule = RULE, **groups: str) -> Mixed:
    """The training set of queries over the corpus."""
    origins = dict(asked.select("query_id", "origin").iter_rows())
    judged = judged.with_columns(origin=pl.col("query_id").replace_strict(origins))
    return mixing.mixed(asked, judged, NO_GENERAL, corpus(asked, groups=groups), rule)


def trained(found: Mixed) -> set[str]:
    """Ids of the training queries."""
    return set(found.queries.filter(pl.col("split") == "train")["query_id"])


PLAIN = queries(
    ("t0", TOPICS[0], "curated", "train"), ("t1", TOPICS[1], "synthetic", "train"), ("h", TOPICS[2], "curated", "test")
)
JUDGED = qrels(("t0", "d0#0", 1), ("t1", "d1#0", 1), ("h", "d2#0", 2))


def test_what_is_used_and_what_is_dropped_balance() -> None:
    """Nothing is dropped here; counts are by origin."""
    found = mixed(PLAIN, JUDGED)
    assert found.counts["offered"] == found.counts["used"] == {"curated": 1, "synthetic": 1}
    assert (found.counts["dropped"], found.counts["pairs"]) == ({}, 2)
    assert found.counts["held_out"] == {"curated test": 1}
    assert found.qrels.sort("query_id").drop("origin").equals(JUDGED.sort("query_id").drop("origin"))


@pytest.mark.parametrize("split", ["test", "dev"])
@pytest.mark.parametrize(
    ("text", "kind"),
    [(TOPICS[2], "exact"), ("PAINTING  a wall!", "normalised"), ("painting a walls", "near-duplicate")],
)
def test_a_near_duplicate_of_a_held_out_query_is_never_trained_on(text: str, kind: str, split: str) -> None:
    """Dropped, counted and told with its partner; the held-out query stays, and the audit then finds nothing."""
    asked = pl.concat([PLAIN, queries(("leak", text, "synthetic", "train"))])
    asked = asked.with_columns(split=pl.when(pl.col("query_id") == "h").then(pl.lit(split)).otherwise("split"))
    found = mixed(asked, pl.concat([JUDGED, qrels(("leak", "d3#0", 1))]))
    assert found.counts["dropped"] == {"near_duplicate_of_held_out": {"synthetic": 1}}
    assert trained(found) == {"t0", "t1"}
    assert "leak" not in set(found.qrels["query_id"])
    told = found.leaks.drop("similarity").rows()
    assert told == [("leak", "h", kind, "training", "synthetic", "curated", split, text, TOPICS[2])]
    assert found.leaks["similarity"].item() == pytest.approx(13 / 16 if kind == "near-duplicate" else 1.0)
    assert audit.leaks(found.queries, RULE.leak_threshold) == []


def test_a_dev_query_that_repeats_a_test_query_is_dropped() -> None:
    """Of any origin, listed with how it repeats it; the test keeps its query, and the audit by other code finds nothing."""
    asked = pl.concat(
        [
            PLAIN,
            queries(
                ("same", TOPICS[2], "curated", "dev"),
                ("marks", f"{TOPICS[2].upper()}?!", "clicks", "dev"),
                ("near", f"{TOPICS[2]}s", "curated", "dev"),
                ("other", TOPICS[3], "curated", "dev"),
                ("general", f"{TOPICS[4]}.", "general", "dev"),
                ("g", TOPICS[4], "general", "test"),
            ),
        ]
    )
    answers = qrels(*((one, "d3#0", 1) for one in ("same", "marks", "near", "other", "general", "g")))
    found = mixed(asked, pl.concat([JUDGED, answers]))
    assert found.counts["dev_near_duplicate_of_test"] == 4
    told = found.leaks.filter(left_out="dev").sort("query_id").select("query_id", "held_id", "kind").rows()
    assert told == [
        ("general", "g", "normalised"),
        ("marks", "h", "normalised"),
        ("near", "h", "near-duplicate"),
        ("same", "h", "exact"),
    ]
    assert found.counts["held_out"] == {"curated dev": 1, "curated test": 1, "general test": 1}
    assert set(found.queries["query_id"]) == {"t0", "t1", "h", "other", "g"}
    assert not set(found.qrels["query_id"]) & {"same", "marks", "near", "general"}
    audit.check_dev(found.queries, threshold=RULE.leak_threshold)


def test_a_dropped_dev_query_holds_nothing_out() -> None:
    """A training query that is near it, and not near the test query that it repeats, is trained on."""
    chain = ("abcdefghijklmnop", "abcdefghijklmnopqrs", "abcdefghijklmnopqrstuv")
    names = (("h2", "test"), ("dev", "dev"), ("t2", "train"))
    rows = [(name, text, "curated", split) for (name, split), text in zip(names, chain, strict=True)]
    rows.append(("other", TOPICS[3], "curated", "dev"))
    judged = pl.concat([JUDGED, qrels(*((name, "d4#0", 1) for name in ("h2", "dev", "t2", "other")))])
    found = mixed(pl.concat([PLAIN, queries(*rows)]), judged)
    assert found.counts["dev_near_duplicate_of_test"] == 1
    assert trained(found) == {"t0", "t1", "t2"}


def test_dev_queries_that_all_repeat_test_queries_are_refused() -> None:
    """Nothing would be left to choose weights by but the general set, and nobody would see it."""
    asked = pl.concat([PLAIN, queries(("same", TOPICS[2], "curated", "dev"))])
    with pytest.raises(InputError, match="mix: each dev query repeats a test query, as same does h"):
        mixed(asked, pl.concat([JUDGED, qrels(("same", "d3#0", 1))]))


def test_a_general_held_out_query_is_held_out_too() -> None:
    """Forgetting is measured on questions that were never trained on."""
    asked = pl.concat([PLAIN, queries(("g", TOPICS[3], "general", "test"), ("leak", f"{TOPICS[3]}?", "general", "train"))])
    found = mixed(asked, pl.concat([JUDGED, qrels(("leak", "general:1#", 1), ("g", "general:1#", 1))]))
    assert found.counts["dropped"] == {"near_duplicate_of_held_out": {"general": 1}}
    assert found.leaks.select("query_id", "held_id", "origin", "held_origin").rows() == [("leak", "g", "general", "general")]


def test_documents_may_serve_both_sides_unless_they_are_held_out() -> None:
    """With `documents` a training query goes whose answer is in a duplicate group that answers a held-out query."""
    judged = qrels(("t0", "d2#1", 1), ("t1", "d1#0", 1), ("h", "d2#0", 2))
    assert trained(mixed(PLAIN, judged)) == {"t0", "t1"}
    strict = replace(RULE, hold_out="documents")
    assert trained(mixed(PLAIN, judged, strict)) == {"t1"}
    assert mixed(PLAIN, judged, strict).counts["dropped"] == {"held_out_document": {"curated": 1}}
    assert trained(mixed(PLAIN, JUDGED, strict, d1="d2")) == {"t0"}  # d1 is a near-duplicate of d2


def test_a_repeated_query_is_trained_on_once() -> None:
    """Same words and same answers; with other answers it is another question."""
    asked = pl.concat([PLAIN, queries(("t2", f" {TOPICS[0].upper()}!", "curated", "train"))])
    again = mixed(asked, pl.concat([JUDGED, qrels(("t2", "d0#0", 1))]))
    assert (trained(again), again.counts["dropped"]) == ({"t0", "t1"}, {"repeated": {"curated": 1}})
    assert trained(mixed(asked, pl.concat([JUDGED, qrels(("t2", "d4#0", 1))]))) == {"t0", "t1", "t2"}


def test_a_query_without_a_positive_is_dropped() -> None:
    """A judged non-answer alone trains nothing."""
    found = mixed(PLAIN, qrels(("t0", "d0#0", 0), ("t1", "d1#0", 1), ("h", "d2#0", 2)))
    assert found.counts["dropped"] == {"no_positive": {"curated": 1}}


def test_an_origin_can_be_left_out() -> None:
    """By a weight of 0, and is counted."""
    found = mixed(PLAIN, JUDGED, replace(RULE, weights=EVEN | {"synthetic": 0.0}))
    assert trained(found) == {"t0"}
    assert found.counts["dropped"] == {"origin_left_out": {"synthetic": 1}}


def weighed(found: Mixed) -> dict[tuple[str, str], float]:
    """The weight of each judgment."""
    return {
        (query, target): weight for query, target, weight in found.qrels.select("query_id", "target_id", "weight").iter_rows()
    }


def test_a_pair_weighs_by_its_judgments_origin() -> None:
    """Times the weight it came with; held-out judgments keep theirs."""
    judged = JUDGED.with_columns(pl.Series("weight", [1.0, 0.5, 1.0], dtype=pl.Float32))
    found = mixed(PLAIN, judged, replace(RULE, weights=EVEN | {"curated": 3.0, "synthetic": 2.0}))
    assert weighed(found) == {("t0", "d0#0"): 3.0, ("t1", "d1#0"): 1.0, ("h", "d2#0"): 1.0}


def with_expert(grade: int, *, target: str = "d1#0", query: str = "t1") -> pl.DataFrame:
    """The judgments, and an expert's of a synthetic query."""
    return pl.concat([JUDGED.with_columns(origin=pl.lit("synthetic")), qrels((query, target, grade))])


def mixed_with(judged: pl.DataFrame, **weights: float) -> Mixed:
    """The training set, each judgment of the origin that it has."""
    return mixing.mixed(PLAIN, judged, NO_GENERAL, corpus(PLAIN), replace(RULE, weights=EVEN | weights))


def test_an_expert_who_says_no_takes_a_synthetic_pair_out() -> None:
    """The passage is then a judged non-answer, for mining."""
    found = mixed_with(with_expert(0))
    assert found.counts["dropped"] == {"no_positive": {"synthetic": 1}}


def test_an_experts_further_answer_is_trained_on() -> None:
    """With the weight of a curated pair, beside the synthetic one; a non-answer stays among the judgments."""
    further = mixed_with(with_expert(2, target="d3#1"), curated=4.0)
    assert weighed(further)["t1", "d1#0"] == 1.0
    assert weighed(further)["t1", "d3#1"] == 4.0
    refuted = mixed_with(with_expert(0, target="d3#1"))
    assert refuted.qrels.filter(pl.col("target_id") == "d3#1")["grade"].to_list() == [0]


def test_without_experts_their_word_is_not_heard() -> None:
    """As if nobody had judged: the synthetic pair is trained on again."""
    found = mixed_with(with_expert(0), curated=0.0)
    assert ("t1", "d1#0") in weighed(found)
    assert "t1" in trained(found)


def test_an_experts_answer_is_no_further_one() -> None:
    """What the base takes for an answer too and an expert found already stands once, as the expert's."""
    rule = replace(RULE, several_answers="all", several_answers_margin=0.9, weights=EVEN | {"curated": 4.0})
    alone = mixing.mixed(PLAIN, JUDGED.with_columns(origin=pl.lit("synthetic")), NO_GENERAL, corpus(PLAIN), rule)
    assert ("t1", "d0#1") in weighed(alone)
    found = mixing.mixed(PLAIN, with_expert(2, target="d0#1"), NO_GENERAL, corpus(PLAIN), rule)
    assert weighed(found)["t1", "d0#1"] == 4.0
    assert found.counts["pairs"] == found.qrels.filter(pl.col("query_id") != "h").height


def test_a_query_that_an_expert_answered_needs_no_round_trip() -> None:
    """The base, which ranks both passages far down, does not know better."""
    rule = replace(RULE, round_trip_rank=1)
    dropped = mixing.mixed(PLAIN, JUDGED.with_columns(origin=pl.lit("synthetic")), NO_GENERAL, corpus(PLAIN), rule)
    assert "t1" not in trained(dropped)
    assert "t1" in trained(mixing.mixed(PLAIN, with_expert(2, target="d3#1"), NO_GENERAL, corpus(PLAIN), rule))


def test_judgments_of_queries_that_are_gone_are_counted() -> None:
    """A changed synthesis makes other queries."""
    found = mixed_with(with_expert(1, query="gone"))
    assert found.counts["judgments_of_no_query"] == 1
    assert "gone" not in found.qrels["query_id"]


def test_experts_words_on_test_queries_change_no_training_row() -> None:
    """They are judged with, and never trained on."""
    more = pl.concat([JUDGED, qrels(("h", "d4#0", 2), ("h", "d0#0", 0))])
    before, after = (mixing.by_use(mixed(PLAIN, judged)) for judged in (JUDGED, more))
    for name in ("queries", "qrels"):
        one, other = getattr(before["training"], name), getattr(after["training"], name)
        assert one.sort(one.columns).equals(other.sort(other.columns))
    assert after["test"].qrels.height == before["test"].qrels.height + 2


def positives(found: Mixed) -> set[str]:
    """The positive passages of query t0."""
    return set(found.qrels.filter(pl.col("query_id") == "t0", pl.col("grade") > 0)["target_id"])


@pytest.mark.parametrize(("most", "expected"), [(1, {"d3#0"}), (2, {"d3#0", "d3#1"})])
def test_of_a_judged_document_the_bases_best_passages_are_positives(most: int, expected: set[str]) -> None:
    """Never the whole of a contract, unless it has no more."""
    judged = qrels(("t0", "d3", 1), ("t1", "d1#0", 1), ("h", "d2#0", 2))
    assert positives(mixed(PLAIN, judged, replace(RULE, passages_per_document=most))) == expected


def test_a_passage_judged_no_answer_is_not_its_documents_positive() -> None:
    """The expert's word on the passage stands above the base's ranking."""
    judged = qrels(("t0", "d3", 1), ("t0", "d3#0", 0), ("t1", "d1#0", 1), ("h", "d2#0", 2))
    found = mixed(PLAIN, judged)
    assert positives(found) == {"d3#1"}
    assert found.qrels.filter(pl.col("target_id") == "d3#0")["grade"].to_list() == [0]


def test_held_out_judgments_keep_their_unit() -> None:
    """Only training takes passages for documents."""
    found = mixed(PLAIN, qrels(("t0", "d0#0", 1), ("t1", "d1#0", 1), ("h", "d2", 2)))
    assert found.qrels.filter(pl.col("query_id") == "h").select("target_id", "unit").row(0) == ("d2", "document")


def test_the_round_trip_keeps_synthetic_queries_that_the_base_finds() -> None:
    """Passages rank d0#0, d0#1, d1#0 ...: with rank 3 t1 stays, with rank 2 it goes; curated t0 is never filtered."""
    judged = qrels(("t0", "d5#1", 1), ("t1", "d1#0", 1), ("h", "d2#0", 2))
    assert trained(mixed(PLAIN, judged, replace(RULE, round_trip_rank=3))) == {"t0", "t1"}
    found = mixed(PLAIN, judged, replace(RULE, round_trip_rank=2))
    assert (trained(found), found.counts["dropped"]) == ({"t0"}, {"failed_round_trip": {"synthetic": 1}})
    small = mixed(PLAIN, judged, replace(RULE, round_trip_rank=2, round_trip_min_passages=13))
    assert (trained(small), small.counts["round_trip"]) == ({"t0", "t1"}, False)


FITS = qrels(("t0", "d5#1", 1), ("t1", "d1#0", 1), ("h", "d2#0", 2))  # the base ranks two passages above t1's own


@pytest.mark.parametrize(
    ("rule", "margin", "trained_on", "answers"),
    [
        ("keep", 1.0, {"t0", "t1"}, {"d1#0"}),
        ("all", 1.0, {"t0", "t1"}, {"d0#0", "d0#1", "d1#0"}),
        ("all", 1.15, {"t0", "t1"}, {"d0#0", "d1#0"}),
        ("all", 1.3, {"t0", "t1"}, {"d1#0"}),
        ("drop", 1.0, {"t0"}, set()),
        ("drop", 1.3, {"t0", "t1"}, {"d1#0"}),
    ],
)
def test_a_query_that_fits_several_passages(rule: str, margin: float, trained_on: set[str], answers: set[str]) -> None:
    """The base scores d0#0 1.00, d0#1 0.92 and t1's own d1#0 0.84: within the margin they are answers too, or t1 goes.

    Curated t0 is left alone, though eleven passages stand above its answer.
    """
    found = mixed(PLAIN, FITS, replace(RULE, several_answers=rule, several_answers_margin=margin))
    assert trained(found) == trained_on
    assert set(found.qrels.filter(pl.col("query_id") == "t1", pl.col("grade") > 0)["target_id"]) == answers
    assert found.counts["dropped"] == ({} if "t1" in trained_on else {"several_answers": {"synthetic": 1}})
    assert found.counts.get("further_answers", 0) == max(0, len(answers) - 1)


def test_a_judged_non_answer_is_no_further_answer() -> None:
    """And a query that more than ten passages fit is dropped even where all are wanted."""
    rule = replace(RULE, several_answers="all")
    found = mixed(PLAIN, pl.concat([FITS, qrels(("t1", "d0#0", 0))]), rule)
    assert set(found.qrels.filter(pl.col("query_id") == "t1", pl.col("grade") > 0)["target_id"]) == {"d0#1", "d1#0"}
    vague = mixed(PLAIN, qrels(("t0", "d0#0", 1), ("t1", "d5#1", 1), ("h", "d2#0", 2)), rule)
    assert vague.counts["dropped"] == {"several_answers": {"synthetic": 1}}


@pytest.mark.parametrize(("share", "asked_for", "kept"), [(0.0, 0, 0), (0.5, 1, 1), (1.0, 2, 2), (9.0, 18, 4)])
def test_general_pairs_come_at_the_knobs_ratio(share: float, asked_for: int, kept: int) -> None:
    """For two domain queries, of four general ones; a share that the set does not fill is told."""
    general = [(f"g{at}", f"{TOPICS[at + 2]} at home", "general", "train") for at in range(4)]
    judged = pl.concat([JUDGED, qrels(*((row[0], f"general:{row[0]}#", 1) for row in general))])
    asked = pl.concat([PLAIN.filter(pl.col("query_id") != "h"), queries(("h", "zebra", "curated", "test"), *general)])
    found = mixed(asked, judged, replace(RULE, general_share=share))
    assert found.counts["used"].get("general", 0) == kept
    assert found.counts["general_queries"] == {"asked": asked_for, "got": kept}
    without = mixed(asked, judged, replace(RULE, general_share=share, weights=EVEN | {"general": 0.0}))
    assert without.counts["general_queries"] == {"asked": 0, "got": 0}


def test_nothing_left_to_train_on_is_an_error() -> None:
    """With the counts, so that the reader sees what took the queries."""
    with pytest.raises(InputError, match="no domain query is left"):
        mixed(PLAIN, qrels(("h", "d2#0", 1)))


def test_the_order_of_rows_changes_nothing() -> None:
    """Shuffled queries and judgments give the same sets and counts."""
    asked = pl.concat([PLAIN, queries(("t2", TOPICS[0], "curated", "train"), ("leak", TOPICS[2], "synthetic", "train"))])
    judged = pl.concat([JUDGED, qrels(("t2", "d0#0", 1), ("leak", "d3", 1))])
    one, other = mixed(asked, judged), mixed(asked.reverse(), judged.reverse())
    assert one.counts == other.counts
    assert one.queries.sort("query_id").equals(other.queries.sort("query_id"))
    assert one.qrels.sort("query_id", "target_id").equals(other.qrels.sort("query_id", "target_id"))


# Synthetic queries held out


def test_boilerplate_is_no_test() -> None:
    """A held-out synthetic query that a training query of another document repeats is dropped, and the latter is trained on."""
    asked = queries(
        ("a", "governing law of this agreement", "synthetic", "train"),
        ("b", "Governing law of this agreement?", "synthetic", "test"),
        ("c", TOPICS[2], "synthetic", "test"),
    )
    found = mixed(asked, qrels(("a", "d0#0", 1), ("b", "d1#0", 1), ("c", "d2#0", 1)))
    assert set(found.queries["query_id"]) == {"a", "c"}
    assert found.counts["held_out_dropped"] == 1
    assert found.leaks.select("query_id", "held_id", "kind", "left_out").rows() == [("a", "b", "normalised", "held-out")]


def test_dev_that_is_all_boilerplate_is_told() -> None:
    """Without a dev query left, training would end at the base model."""
    asked = queries(
        ("a", TOPICS[0], "synthetic", "train"), ("b", TOPICS[0], "synthetic", "dev"), ("c", TOPICS[2], "synthetic", "test")
    )
    with pytest.raises(InputError, match="every dev query"):
        mixed(asked, qrels(("a", "d0#0", 1), ("b", "d1#0", 1), ("c", "d2#0", 1)))


def test_nothing_but_boilerplate_is_told() -> None:
    """Without a test query left, there is no verdict."""
    asked = queries(("a", TOPICS[0], "synthetic", "train"), ("b", TOPICS[0], "synthetic", "test"))
    with pytest.raises(InputError, match="boilerplate"):
        mixed(asked, qrels(("a", "d0#0", 1), ("b", "d1#0", 1)))
