"""The judge: a language model whose scores decide which queries are kept."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

import loopback
from burnish.errors import InputError, UnfinishedError
from burnish.synthesis.replies import ReplyStore
from burnish.synthesis.service import Service
from handmade import corpus, judge, made, plan, record, settings
from loopback import Act, says, serving

SCORES = {"Frames": [9, 3], "Joins": [7, 7], "Windows": [1, 10]}


def model(message: str, before: int) -> Act:
    """Writes two queries for a passage, and judges them by SCORES."""
    name = re.search(r"<excerpt>\n(\w+)\n", message)
    assert name
    if message.startswith("Judge"):
        assert re.search(r"<queries>\n1\. what are \w+\n2\. make \w+ in one call\n</queries>", message)
        return says(json.dumps({"scores": SCORES[name[1]]}))
    return says(json.dumps({"queries": [f"what are {name[1]}", f"make {name[1]} in one call"]}))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that the server wants."""
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)


def at(url: str) -> Service:
    """The service at this address."""
    return Service(url, timeout_seconds=30, concurrency=2, retries=1)


def test_queries_below_the_threshold_are_dropped(tmp_path: Path) -> None:
    """One verdict for each passage, kept in the same store; a rerun asks nothing and drops the same."""
    with serving(model) as server:
        chosen = settings(provider="openai", service=at(server.url), judge=judge(7))
        found = made(tmp_path, corpus(3), chosen)
        again = made(tmp_path, corpus(3), chosen)
    assert sorted(found.queries["text"]) == [
        "make Joins in one call",
        "make Windows in one call",
        "what are Frames",
        "what are Joins",
    ]
    assert found.counts["judge"]["dropped"] == {"below_threshold": 2, "unjudged": 0}
    assert {score: number for score, number in found.counts["judge"]["scores"].items() if number} == {
        "1": 1, "3": 1, "7": 2, "9": 1, "10": 1,
    }  # fmt: skip
    assert (found.asked, again.asked, len(ReplyStore(tmp_path / "store"))) == (6, 0, 6)
    assert again.queries.equals(found.queries)
    scores = found.verdicts.join(found.queries, on="query_id").sort("text")["score"].to_list()
    assert (scores, again.verdicts.equals(found.verdicts)) == ([7, 10, 9, 7], True)


def test_queries_of_a_text_that_has_changed_are_not_judged(tmp_path: Path) -> None:
    """Others will take their place, so the plan counts one request for them and one for their verdict, and so many are made."""
    record(tmp_path / "recorded", corpus(1), {"Frames": '["what are Frames", "make Frames in one call"]'})
    edited = corpus(1).with_columns(text=pl.lit("Other words."))
    with serving(model) as server:
        chosen = settings(provider="openai", service=at(server.url), judge=judge(7))
        for passages, requests in ((corpus(1), 1), (edited, 2)):
            assert plan(tmp_path, passages, chosen).requests == requests
            assert plan(tmp_path, passages, settings(judge=judge(7))).requests == requests
            assert made(tmp_path, passages, chosen).asked == requests


def test_a_verdict_counts_for_every_spelling(tmp_path: Path) -> None:
    """Two passages ask the same in other spellings: one query, with the lower of their scores."""

    def asks(message: str, before: int) -> Act:
        first = "Frames" in message
        if message.startswith("Judge"):
            return says(json.dumps({"scores": [8 if first else 9]}))
        return says(json.dumps({"queries": ["What's made?" if first else "what s  MADE"]}))

    with serving(asks) as server:
        chosen = settings(provider="openai", service=at(server.url), judge=judge(7))
        found = made(tmp_path, corpus(2), chosen)
    assert found.verdicts.rows() == [(found.queries["query_id"][0], 8)]
    assert found.qrels.height == 2


def test_a_stricter_threshold_asks_nobody_again(tmp_path: Path) -> None:
    """The threshold is no part of what is asked."""
    with serving(model) as server:
        made(tmp_path, corpus(3), settings(provider="openai", service=at(server.url), judge=judge(7)))
    found = made(tmp_path, corpus(3), settings(judge=judge(10), accept_coverage=1.0))
    assert found.queries["text"].to_list() == ["make Windows in one call"]


def test_the_caps_hold_for_queries_and_verdicts_together(tmp_path: Path) -> None:
    """Four requests: three for queries, one for the judge; the rest is asked by the next run."""
    with serving(model) as server:
        chosen = settings(provider="openai", service=at(server.url), judge=judge(7), max_requests=4)
        with pytest.raises(UnfinishedError, match="2 verdicts of the judge are still missing"):
            made(tmp_path, corpus(3), chosen)
        assert made(tmp_path, corpus(3), chosen).asked == 2


def test_replay_without_verdicts_says_what_to_do(tmp_path: Path) -> None:
    """Queries that nobody judged are not passed off as judged; a partial set is taken by the knob alone."""
    with serving(model) as server:
        made(tmp_path, corpus(3), settings(provider="openai", service=at(server.url)))
    with pytest.raises(UnfinishedError, match=r"verdict of the judge.*judge\.threshold to 0"):
        made(tmp_path, corpus(3), settings(judge=judge(7), accept_coverage=0.5))
    found = made(tmp_path, corpus(3), settings(judge=judge(7)))
    assert (found.queries.height, found.counts["judge"]["dropped"]["unjudged"]) == (0, 6)


def test_a_judge_that_talks_is_counted_and_limited(tmp_path: Path) -> None:
    """A verdict without scores is malformed, kept, and drops its queries; too many of them end the run."""

    def talks(message: str, before: int) -> Act:
        return says("All good, 10 for each!") if message.startswith("Judge") else model(message, before)

    with serving(talks) as server:
        chosen = settings(provider="openai", service=at(server.url), judge=judge(7))
        found = made(tmp_path, corpus(3), chosen)
        assert found.counts["judge"]["replies"]["malformed"] == 3
        assert found.queries.height == 0
        with pytest.raises(InputError, match="3 malformed"):
            made(tmp_path, corpus(3), settings(judge=judge(7), max_bad_share=0.5))
