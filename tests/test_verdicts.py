"""What the judge said, as tables: the pairs that it refused, from a real judge on loopback."""

import json
import re
from pathlib import Path

import pytest

import loopback
from burnish import tables
from burnish.synthesis.verdicts import REFUSED
from handmade import corpus, judge, made, settings, table
from loopback import Act, says, serving
from test_judging import at, model


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that the server wants."""
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)


def test_what_is_below_the_threshold_is_kept_apart(tmp_path: Path) -> None:
    """With its text, passage and score, under ids that no query has; a rerun gives the same."""
    with serving(model) as server:
        chosen = settings(provider="openai", service=at(server.url), judge=judge(7))
        found, again = (made(tmp_path, corpus(3), chosen) for _ in range(2))
    assert found.refused is not None
    assert found.refused.select("passage_id", "text", "score").sort("passage_id").rows() == [
        ("Frames#0", "make Frames in one call", 3),
        ("Windows#0", "what are Windows", 1),
    ]
    assert again.refused is not None
    assert again.refused.equals(found.refused)
    tables.checked(found.refused, REFUSED, "refused")
    assert not {*found.refused["query_id"]} & {*found.queries["query_id"]}


def test_refused_pairs_go_by_the_id_of_their_query(tmp_path: Path) -> None:
    """That of the query which passed for another passage, else of the one that the next lower threshold lets in."""
    asked = {
        "Frames": ["what s  MADE", "make it"],
        "Joins": ["What's made?", "Make it!"],
        "Windows": ["whats' made", "make IT"],
    }
    given = {"Frames": [4, 3], "Joins": [8, 2], "Windows": [3, 5]}

    def asks(message: str, before: int) -> Act:
        name = re.search(r"<excerpt>\n(\w+)\n", message)
        assert name
        return says(json.dumps({"scores": given[name[1]]} if message.startswith("Judge") else {"queries": asked[name[1]]}))

    with serving(asks) as server:
        found = made(tmp_path, corpus(3), settings(provider="openai", service=at(server.url), judge=judge(7)))
    lower = made(tmp_path, corpus(3), settings(judge=judge(5)))
    assert found.queries["text"].to_list() == ["What's made?"]
    assert found.refused is not None
    assert found.refused.select("text", "passage_id", "score").sort("text", "passage_id").rows() == [
        ("What's made?", "Frames#0", 4),
        ("make IT", "Frames#0", 3),
        ("make IT", "Joins#0", 2),
        ("make IT", "Windows#0", 5),
        ("whats' made", "Windows#0", 3),  # other words, by `spelling`
    ]
    ids = dict(found.refused.select("text", "query_id").iter_rows())
    assert ids["What's made?"] == found.queries["query_id"][0]
    assert dict(lower.queries.select("text", "query_id").iter_rows()) == {
        text: ids[text] for text in ("What's made?", "make IT")
    }


def test_a_passage_that_answers_by_another_excerpt_is_not_refused(tmp_path: Path) -> None:
    """The judge refused the query for one excerpt of the passage and passed it for the other."""
    passages = table(("Frames", "Frames", "", f"Frames hold values. {'They are fast. ' * 12}Nobody knows why. {'Ask. ' * 20}"))

    def asks(message: str, before: int) -> Act:
        if message.startswith("Judge"):
            return says(json.dumps({"scores": [9 if "Nobody" in message else 2, 3]}))
        return says(json.dumps({"queries": ["why are they fast", "who knows"]}))

    with serving(asks) as server:
        chosen = settings(provider="openai", service=at(server.url), judge=judge(7), excerpts_per_document=2)
        found = made(tmp_path, passages, chosen)
    assert found.counts["judge"]["dropped"] == {"below_threshold": 3, "unjudged": 0}
    assert found.refused is not None
    assert found.refused.select("passage_id", "text", "score").rows() == [("Frames#0", "who knows", 3)]


def test_no_judge_no_table_of_refused_pairs(tmp_path: Path) -> None:
    """So that the stage writes no further file."""
    with serving(model) as server:
        found = made(tmp_path, corpus(3), settings(provider="openai", service=at(server.url)))
    assert found.refused is None
