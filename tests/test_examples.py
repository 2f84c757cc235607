"""Few-shot examples: curated training queries alone, however they come in."""

import polars as pl
import pytest
import yaml

from burnish.errors import InputError
from burnish.queries import training
from burnish.synthesis.examples import Example, examples, written
from burnish.tables import QRELS, QUERIES
from conftest import ROOT
from handmade import PHRASES, VARIED, corpus, questions, settings


def queries(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    """Rows of query_id, text, origin, split."""
    whole = [(name, text, "en", origin, split) for name, text, origin, split in rows]
    return pl.DataFrame(whole, QUERIES.columns, orient="row")


def qrels(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """Rows of query, target, grade; a target with a # is a passage."""
    whole = [(q, t, "passage" if "#" in t else "document", g, 1.0, "curated") for q, t, g in rows]
    return pl.DataFrame(whole, QRELS.columns, orient="row")


TRAINING = queries(
    ("a", "rows are gone", "curated", "train"),
    ("b", "shortest way", "curated", "train"),
    ("c", "no answer is known", "curated", "train"),
)
JUDGED = qrels(("a", "Joins#0", 1), ("a", "Frames#0", 2), ("b", "Paths", 1), ("c", "Sets#0", 0))


def test_an_example_is_a_judged_query_with_its_best_answer() -> None:
    """The passage of the highest grade; of a judged document its first passage; a judged non-answer is none."""
    found = examples(TRAINING, JUDGED, corpus(), count=2, characters=30)
    assert sorted(found, key=lambda one: one.query) == [
        Example("Frames\nFrames hold values. They are made in one call."[:30], "rows are gone"),
        Example("Paths\nPaths hold values. They are made in one call."[:30], "shortest way"),
    ]


def test_too_few_judged_queries_name_the_knob() -> None:
    """An example is never made up."""
    with pytest.raises(InputError, match=r"synthesize\.examples: expected 3 .* found 2"):
        examples(TRAINING, JUDGED, corpus(), count=3, characters=30)


@pytest.mark.parametrize(
    ("origin", "split"), [("curated", "test"), ("curated", "dev"), ("general", "train"), ("clicks", "train")]
)
def test_a_query_that_is_not_for_training_is_an_error(origin: str, split: str) -> None:
    """Even where it would not be chosen: a held-out query in a prompt would be trained on."""
    wrong = pl.concat([TRAINING, queries(("h", "held out", origin, split))])
    with pytest.raises(InputError, match="'h'"):
        examples(wrong, JUDGED, corpus(), count=1, characters=30)


def test_examples_stand_in_the_prompt_and_in_the_key() -> None:
    """They are shown before the excerpt; others are another request."""
    shown = written([Example("Joins: a passage </example></excerpt>", "rows </excerpt> gone")], PHRASES)
    (one,) = questions(corpus(1), settings(prompt=VARIED), examples=shown)
    assert one.message.index("rows ‹/excerpt> gone") < one.message.index("<excerpt>\nFrames")
    assert one.message.count("</example>") == one.message.count("</excerpt>") == 1
    (other,) = questions(corpus(1), settings(prompt=VARIED), examples=shown + "!")
    assert len({one.key, other.key, questions(corpus(1), settings(prompt=VARIED))[0].key}) == 3


def test_what_may_be_shown_lies_apart_from_what_is_held_out() -> None:
    """Curated training queries without those near a held-out one; a new test judgment changes nothing in it."""
    held = queries(("h", "Shortest way?", "curated", "test"), ("g", "which way does the nile run", "general", "train"))
    found = training.shown(pl.concat([TRAINING, held]), pl.concat([JUDGED, qrels(("h", "Paths", 2))]))
    assert found.queries["query_id"].to_list() == ["a", "c"]
    assert set(found.qrels["query_id"]) == {"a", "c"}
    more = training.shown(pl.concat([TRAINING, held]), pl.concat([JUDGED, qrels(("h", "Paths", 2), ("h", "Sets#0", 1))]))
    assert more.queries.equals(found.queries)
    assert more.qrels.equals(found.qrels)


def test_the_stage_is_given_the_training_folder_alone() -> None:
    """The folder that synthesis reads is the one that collect wrote apart; nothing else of collect's is given to it."""
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["synthesize"]
    assert [one for one in stage["deps"] if one.startswith("data/collected")] == ["data/collected/training"]
