"""Replies as data: only queries and scores come out of them."""

import json

import pytest

from burnish.synthesis.contents import parsed, scores


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ('{"queries": ["pin a version", "freeze it"]}', "ok", ["pin a version", "freeze it"]),
        ('["pin a version"]', "ok", ["pin a version"]),
        ('\ufeff{"queries": ["pin a version"]}', "ok", ["pin a version"]),
        ('{"queries": [{"query": "pin a version"}, {"text": "no query"}]}', "ok", ["pin a version"]),
        ('<think>Perhaps {"queries": ["a draft"]}?</think>\n{"queries": ["pin a version"]}', "ok", ["pin a version"]),
        ('it thought before</think>["pin a version"]', "ok", ["pin a version"]),
        ('Sure, here it is: {"queries": ["pin a version"]} See [1].', "ok", ["pin a version"]),
        ('Here:\n```json\n{"queries": ["pin a version"]}\n```\nAnything else?', "ok", ["pin a version"]),
        ('["a draft"], better:\n["pin a version"], as [1] says', "ok", ["pin a version"]),
        ('{"queries": ["a {brace} and [more]"]} {"queries": ["pin a version"]}', "ok", ["pin a version"]),
        ('{"queries": [{"query": "pin a version", "words": ["pin it"]}, {"que', "malformed", []),
        ('{"other": ["pin a version"], "qu', "malformed", []),
        ("Use f(x[1]) and {y}.", "malformed", []),
        ('{"queries": [' * 30_000, "malformed", []),
        ('```json\n{"queries": ["pin a version"]}\n```', "ok", ["pin a version"]),
        ('{"queries": ["pin\\n a \\u0000version ", "pin a version", "ab", 7, null]}', "ok", ["pin a version"]),
        (json.dumps(["x" * 301]), "malformed", []),
        ('{"queries": "pin a version"}', "malformed", []),
        ('{"queries": ["pin a', "malformed", []),
        ("I would rather not.", "malformed", []),
        ("[" * 100_000, "malformed", []),
        ('["\\ud800\\ud800"]', "malformed", []),
        ('{"queries": []}', "empty", []),
        ("  ", "empty", []),
    ],
)
def test_a_reply_is_parsed_as_data(text: str, status: str, expected: list[str]) -> None:
    """Only strings of a query's length come out of a reply; anything else has a kind that is counted."""
    found = parsed(text, most=4)
    assert (found.status, found.queries) == (status, expected)


def test_more_queries_than_asked_for_are_counted() -> None:
    """What exceeds the count is left out and told."""
    assert parsed('["one", "two", "three", "four"]', most=2).surplus == 2


@pytest.mark.parametrize("hidden", ["\u202e", "\u2066", "\ufeff", "\u200b", "\U000e0041"])
def test_a_query_holds_nothing_that_no_reader_sees(hidden: str) -> None:
    """Marks that reorder or hide text are taken out of queries; what scripts need stays."""
    assert parsed(json.dumps([f"pin {hidden}a version"]), most=1).queries == ["pin a version"]
    assert parsed(json.dumps(["می\u200cخواهم"]), most=1).queries == ["می\u200cخواهم"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"scores": [10, 1]}', [10, 1]),
        ("```json\n[3, 4]\n```", [3, 4]),
        ('{"scores": [10]}', None),
        ('{"scores": [10, 0]}', None),
        ('{"scores": [10, 11]}', None),
        ('{"scores": [10, "9"]}', [10, 9]),
        ('{"scores": [8.0, " 9.0"]}', [8, 9]),
        ('<think>[1, 1]</think>Query 1 fits. {"scores": [8, 3]}', [8, 3]),
        ("The scores are [8, 3].", [8, 3]),
        ('{"scores": [10, "9.5"]}', None),
        ('{"scores": [10, "9 of 10"]}', None),
        ('{"scores": ["ten", "0"]}', None),
        ('{"scores": [10, 9.5]}', None),
        ('{"scores": [true, 9]}', None),
        ('{"queries": [1, 2]}', None),
        ("10 and 1", None),
    ],
)
def test_scores_are_one_whole_number_for_each_query(text: str, expected: list[int] | None) -> None:
    """Anything else is no verdict."""
    assert scores(text, count=2) == expected
