"""From ratios to grades, texts, splits and tables."""

from pathlib import Path
from typing import Any

import pytest

import clicklog
from burnish.clicks.collected import collected
from burnish.clicks.rule import ClickRule, Grades
from burnish.errors import InputError

UNITS = {"d1": "document", "d2": "passage", "d3": "document"}


def asked(query: str, times: int, clicked: list[str], *, first: int = 0) -> list[Any]:
    """So many people ask, each clicks the same of three results."""
    return [row for at in range(first, first + times) for row in clicklog.search(query, f"u{at}", ["d1", "d2", "d3"], clicked)]


def found(folder: Path, rows: list[Any], **changes: Any) -> Any:
    """What is collected of a table log of these rows."""
    clicklog.lines(folder / "log.jsonl", rows)
    return collected([clicklog.TABLE], folder, folder / "out", units=UNITS, rule=clicklog.rule(**changes))


def test_grades_follow_the_ratio(tmp_path: Path) -> None:
    """Much clicked is 2, as much as usual 1, nearly never 0, and what is between stays out."""
    rows = (
        asked("how to brew tea", 100, ["d2"])
        + asked("where do cups go", 100, ["d1"])
        + asked("what is a samovar", 60, ["d1", "d2"])
    )
    rows += asked("what is a samovar", 60, [], first=60)
    chosen = {
        "position_share": 0.0,
        "position_anchor": 1e9,
        "grades": {"none": 0.1, "partial": 1.0, "full": 2.0},
        "earlier_click": 1.0,
    }
    one = found(tmp_path, rows, **chosen)
    texts = dict(one.judged.queries.select("query_id", "text").iter_rows())
    grades = {
        (texts[q], t): (u, g) for q, t, u, g in one.judged.qrels.select("query_id", "target_id", "unit", "grade").iter_rows()
    }
    assert grades == {
        ("how to brew tea", "d1"): ("document", 0),
        ("how to brew tea", "d2"): ("passage", 2),
        ("how to brew tea", "d3"): ("document", 0),
        ("where do cups go", "d1"): ("document", 2),
        ("where do cups go", "d2"): ("passage", 0),
        ("where do cups go", "d3"): ("document", 0),
        ("what is a samovar", "d1"): ("document", 1),
        ("what is a samovar", "d2"): ("passage", 1),
        ("what is a samovar", "d3"): ("document", 0),
    }
    assert one.counts["pairs"] == {"0": 5, "1": 2, "2": 2}


def test_pairs_without_evidence_are_counted(tmp_path: Path) -> None:
    """Too few showings, too few clicks, ids that the corpus lacks."""
    rows = asked("how to brew tea", 30, ["d1"]) + asked("rare question", 4, ["d1"])
    rows += [row for at in range(30) for row in clicklog.search("where do cups go", f"u{at}", ["d1", "d9"], ["d9"] * (at < 1))]
    counts = found(tmp_path, rows, min_impressions=5, min_clicks=2).counts
    assert counts["pairs"]["few_showings"] == 3
    assert counts["pairs"]["unknown_target"] == 1
    assert counts["queries"] == {
        "found": 3,
        "empty": 0,
        "below_min_users": 0,
        "navigational": 0,
        "no_answer": 2,
        "answered": 1,
        "beyond_max_queries": 0,
        "used": 1,
    }


def test_clicks_on_unknown_ids_are_limited(tmp_path: Path) -> None:
    """The message names the id that most clicks are on."""
    rows = asked("how to brew tea", 8, ["d1"])
    rows += [row for at in range(4) for row in clicklog.search("cups", f"u{at}", ["gone", "d2"], ["gone"])]
    assert found(tmp_path, rows, max_unknown_share=0.34).counts["pairs"]["unknown_target"] == 1
    with pytest.raises(
        InputError, match="4 of 12 clicks are on ids that are neither a document nor a passage .* 'gone'; mend the ids"
    ):
        found(tmp_path, rows, max_unknown_share=0.33)


def test_the_text_is_the_most_frequent_spelling(tmp_path: Path) -> None:
    """And the query's id does not depend on it."""
    few, many = asked("Brew TEA", 3, ["d1"]), asked("brew tea?", 5, ["d1"], first=3)
    one = found(tmp_path, few + many).judged.queries
    other = found(tmp_path, few + many + asked("Brew TEA", 9, ["d1"], first=8)).judged.queries
    assert one["text"].to_list() == ["brew tea?"]
    assert other["text"].to_list() == ["Brew TEA"]
    assert one["query_id"].to_list() == other["query_id"].to_list()
    assert one["query_id"][0].startswith("clicks:")


def test_the_queries_of_most_people_are_kept(tmp_path: Path) -> None:
    """Of equal ones the first by key."""
    rows = asked("banana bread", 5, ["d1"]) + asked("apple pie", 5, ["d1"]) + asked("carrot cake", 9, ["d1"])
    one = found(tmp_path, rows, max_queries=2)
    assert sorted(one.judged.queries["text"]) == ["apple pie", "carrot cake"]
    assert one.counts["queries"]["beyond_max_queries"] == 1


def test_near_duplicates_share_a_split(tmp_path: Path) -> None:
    """As curated queries do, so that no spelling of a test query is trained on."""
    names = ["kettle", "samovar", "saucer", "strainer", "teaspoon", "thermos", "matcha", "oolong", "rooibos", "darjeeling"]
    texts = [f"where can I put {name} {name}" for name in names]
    rows = [row for text in texts for row in asked(text, 3, ["d1"]) + asked(f"{text}s", 3, ["d1"])]
    queries = found(tmp_path, rows, shares={"test": 0.4, "dev": 0.2}).judged.queries
    split = dict(queries.select("text", "split").iter_rows())
    assert len(set(split.values())) > 1
    assert [text for text in texts if split[text] != split[f"{text}s"]] == []


def test_a_log_that_proves_nothing_is_told(tmp_path: Path) -> None:
    """With all counts, so that one sees which knob cut most."""
    with pytest.raises(InputError, match=r"collect\.logs: no query is left; queries: .*'below_min_users': 1"):
        found(tmp_path, asked("tea", 3, ["d1"]), min_users=4)


def test_grades_are_in_order() -> None:
    """A rule that grades nothing is a mistake."""
    with pytest.raises(ValueError, match="expected none < partial <= full"):
        Grades(none=1.0, partial=0.5, full=2.0)


def test_the_shipped_rule_is_one() -> None:
    """params.yaml holds every knob of it."""
    assert isinstance(clicklog.rule(), ClickRule)
