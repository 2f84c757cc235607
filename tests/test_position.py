"""What a click is worth at its place, on tables small enough to reckon by hand."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

import clicklog
from burnish.clicks import position
from burnish.clicks.rule import ClickRule

COEC = {"position_share": 1.0, "position_anchor": 1e12}  # the rates are the click rates of the ranks


def cells(folder: Path, rows: list[Any], **changes: Any) -> list[tuple[Any, ...]]:
    """(query, target, rank, showings, clicks, clicking) of a table log of these rows, clicks in thousandths."""
    chosen = clicklog.rule(**changes)
    clicklog.lines(folder / "log.jsonl", rows)
    with clicklog.loaded(folder, chosen, [clicklog.staged(folder, chosen)]) as connection:
        position.count_cells(connection, chosen)
        return connection.execute(
            """select key, t.target, rank, showings, clicks, clicking from cells c join targets t on t.id = c.target
               join (select distinct query, key from asked) using (query) order by all"""
        ).fetchall()


def test_a_session_counts_once(tmp_path: Path) -> None:
    """A result shown twice and clicked twice for one query is one showing, at its best rank."""
    rows = [
        *clicklog.search("tea", "a", ["d1", "d2"], ["d2"]),
        *clicklog.search("Tea!", "a", ["d2", "d1"], ["d2"]),
        *clicklog.search("tea", "b", ["d1", "d2"]),
    ]
    assert cells(tmp_path, rows) == [
        ("tea", "d1", 1, 2, 0, 0),
        ("tea", "d2", 1, 1, 1000, 1),
        ("tea", "d2", 2, 1, 0, 0),
    ]


def test_a_lists_place_comes_before_a_clicks_own(tmp_path: Path) -> None:
    """Lists count from 1; what clients write may count from 0."""
    rows = [*clicklog.search("tea", "a", ["d1", "d2"]), clicklog.event("tea", "d2", user="a", rank=1)]
    assert cells(tmp_path, rows) == [("tea", "d1", 1, 1, 0, 0), ("tea", "d2", 2, 1, 1000, 1)]


def test_results_below_the_depth_do_not_count(tmp_path: Path) -> None:
    """Neither shown nor clicked."""
    rows = clicklog.search("tea", "a", ["d1", "d2", "d3"], ["d3"])
    assert [row[1] for row in cells(tmp_path, rows, depth=2)] == ["d1", "d2"]


@pytest.mark.parametrize(
    ("fields", "worth"),
    [
        ([{"dwell": 2}], [500]),
        ([{"dwell": 60}], [1000]),
        ([{}], [1000]),
        ([{"timestamp": 0}, {"timestamp": 90}], [800, 1000]),
        ([{"timestamp": 0}, {"timestamp": 3}], [400, 1000]),
        ([{"timestamp": 0, "dwell": 60}, {"timestamp": 3}], [800, 1000]),
        ([{"timestamp": 0}, {"timestamp": 0}], [1000, 1000]),
    ],
    ids=["short", "long", "unknown", "earlier", "earlier and short by the clock", "the log's dwell first", "at once"],
)
def test_a_clicks_worth(tmp_path: Path, fields: list[dict[str, int]], worth: list[int]) -> None:
    """Less if the user was soon back, and less if another click of the search followed."""
    rows: list[Any] = clicklog.search("tea", "a", ["d0", "d1"])
    for at, one in enumerate(fields):
        timed = one | ({"timestamp": clicklog.DAY + one["timestamp"]} if "timestamp" in one else {})
        rows.append(clicklog.event("tea", f"d{at}", user="a", **timed))
    found = cells(tmp_path, rows, short_dwell_seconds=5.0, short_click=0.5, earlier_click=0.8)
    assert [row[4] for row in found][: len(worth)] == worth


def test_a_new_query_ends_the_stay(tmp_path: Path) -> None:
    """Who asks something else after two seconds did not find it."""
    rows: list[Any] = clicklog.search("tea", "a", ["d0"])
    rows.append(clicklog.event("tea", "d0", user="a", timestamp=clicklog.DAY))
    rows += clicklog.search("cups", "a", ["d1"], timestamp=clicklog.DAY + 2)
    assert ("tea", "d0", 1, 1, 500, 1) in cells(tmp_path, rows, short_dwell_seconds=5.0, short_click=0.5)


def test_what_was_shown_is_inferred_from_clicks_alone(tmp_path: Path) -> None:
    """A result counts as shown where a session's deepest click went as far as the rank where most found it."""
    clicked = {"a": {"d1": 1}, "b": {"d1": 1, "d3": 3}, "c": {"d3": 3}, "d": {"d3": 4}}
    rows = [
        clicklog.event("tea", one, user=user, rank=rank) for user, places in clicked.items() for one, rank in places.items()
    ]
    assert cells(tmp_path, rows) == [
        ("tea", "d1", 1, 4, 2000, 2),  # by a and b; shown to c and d too, who went deeper
        ("tea", "d3", 3, 2, 2000, 2),  # by b and c; a did not get there
        ("tea", "d3", 4, 1, 1000, 1),
    ]


def weighed(
    rows: list[tuple[int, int, int, int, int]], **changes: Any
) -> tuple[dict[tuple[int, int], float], dict[int, float]]:
    """(ratio by query and target, rates by rank) of cells (query, target, rank, showings, clicks), all of one log."""
    chosen = ClickRule.model_validate(clicklog.rule().model_dump() | changes)
    with duckdb.connect() as connection:
        connection.execute(
            "create table cells (curve int, query int, target int, rank int, showings bigint, clicks bigint, clicking bigint)"
        )
        connection.executemany("insert into cells values (0, ?, ?, ?, ?, ? * 1000, ?)", [(*row, row[4]) for row in rows])
        rates = position.weigh(connection, chosen)
        pairs = connection.execute("select query, target, ratio from pairs").fetchall()
    return {(query, target): ratio for query, target, ratio in pairs}, rates["0"]


def test_clicks_over_expected_clicks_by_hand() -> None:
    """Rank 1 is clicked 40 times of 100, rank 2 10 times: as many clicks are worth four times as much there."""
    rows = [(1, 1, 1, 50, 30), (1, 2, 2, 50, 0), (2, 3, 1, 50, 10), (2, 4, 2, 50, 10)]
    ratios, rates = weighed(rows, prior=1e-9, **COEC)
    assert rates == pytest.approx({1: 0.4, 2: 0.1}, rel=0.05)
    assert [ratios[1, 1], ratios[1, 2], ratios[2, 3], ratios[2, 4]] == pytest.approx([1.5, 0, 0.5, 2], rel=0.05, abs=1e-6)


def test_the_prior_draws_rare_pairs_to_what_is_usual() -> None:
    """One click on one showing proves little, the same share of many showings much."""
    rows = [(1, 1, 1, 1, 1), (2, 2, 1, 1000, 999), (3, 3, 1, 9000, 1000)]
    ratios, _ = weighed(rows, prior=5.0, **COEC)
    assert 1 < ratios[1, 1] < 2 < ratios[2, 2]


def test_results_that_move_tell_place_from_relevance() -> None:
    """On a good ranking the click rates of the ranks fall too steeply; results seen at two ranks put it right."""
    seen = {1: 0.6, 2: 0.3, 3: 0.15}  # how likely a rank is looked at
    relevance = {(query, target): 0.9 / (1 + target) for query in range(20) for target in range(3)}
    rows = []
    for (query, target), value in relevance.items():
        for rank, n in ((target + 1, 900_000), ((target + query) % 3 + 1, 100_000)):
            rows.append((query, target, rank, n, round(n * seen[rank] * value)))
    ratios, rates = weighed(rows, prior=1e-6)
    assert [one / rates[1] for one in rates.values()] == pytest.approx([1, 0.5, 0.25], rel=0.02)
    assert [ratios[pair] / ratios[0, 0] for pair in relevance] == pytest.approx(
        [one / 0.9 for one in relevance.values()], rel=0.02
    )
    plain, steep = weighed(rows, prior=1e-6, **COEC)
    assert steep[2] / steep[1] < 0.35
    assert plain[0, 2] / plain[0, 0] > 0.6  # where it is 1/3


def test_where_nothing_moves_the_share_decides() -> None:
    """All of the fall is the place's, none, or the square root."""
    rows = [(query, target, target, 10_000, 5000 // target**2) for query in range(5) for target in (1, 2)]
    for share, ratio in ((1.0, 1.0), (0.0, 0.25), (0.5, 0.5)):
        ratios, _ = weighed(rows, prior=1e-6, position_share=share)
        assert ratios[0, 2] / ratios[0, 1] == pytest.approx(ratio, rel=0.01)


def test_ratios_average_one() -> None:
    """Over all expected clicks, whatever the rates: so grades have the same meaning in each log."""
    rows = [(1, 1, 1, 80, 30), (1, 1, 2, 20, 5), (1, 2, 2, 80, 9), (2, 3, 1, 50, 10), (2, 4, 2, 50, 10)]
    for changes in ({}, COEC):
        ratios, rates = weighed(rows, prior=1e-9, **changes)
        expected = {pair: sum(n * rates[rank] for q, t, rank, n, _ in rows if (q, t) == pair) for pair in ratios}
        assert sum(ratios[pair] * expected[pair] for pair in ratios) == pytest.approx(sum(expected.values()))


@pytest.mark.parametrize(
    ("text", "clicked", "cut"),
    [
        ("tea shop", {"d1": 19, "d2": 1}, True),
        ("tea shop", {"d1": 10, "d2": 10}, False),
        ("tea shop", {"d1": 4}, False),
        ("where can I buy tea", {"d1": 20}, False),
        ("茶馆", {"d1": 20}, True),
        ("哪里可以买到茶叶", {"d1": 20}, False),
    ],
    ids=["one place", "two places", "rare", "long", "short in Chinese", "long in Chinese"],
)
def test_queries_for_a_known_place_are_cut(tmp_path: Path, text: str, clicked: dict[str, int], *, cut: bool) -> None:
    """Short ones, nearly all of whose clicks are on one result."""
    chosen = clicklog.rule(navigational={"entropy": 0.3, "words": 2, "clicks": 20})
    users = iter(range(99))
    rows = [
        row
        for one, times in clicked.items()
        for _ in range(times)
        for row in clicklog.search(text, next(users), ["d1", "d2"], [one])
    ]
    clicklog.lines(tmp_path / "log.jsonl", rows)
    with clicklog.loaded(tmp_path, chosen, [clicklog.staged(tmp_path, chosen)]) as connection:
        position.count_cells(connection, chosen)
        assert position.cut_navigational(connection, chosen) == int(cut)
        assert connection.execute("select count(*) = 0 from cells").fetchall() == [(cut,)]


def test_a_curve_without_a_click_is_no_number_that_is_none(tmp_path: Path) -> None:
    """Searches whose results were shown and never clicked, beside sessions of clicks alone: each keeps rates above 0."""
    shown = [row for at in range(3) for row in clicklog.search("tea", f"a{at}", ["d1", "d2"] if at else ["d2", "d1"])]
    clicks = [clicklog.event("tea", "d1", user=f"b{at}") for at in range(3)]
    clicklog.lines(tmp_path / "log.jsonl", shown + clicks)
    chosen = clicklog.rule()
    with clicklog.loaded(tmp_path, chosen, [clicklog.staged(tmp_path, chosen)]) as connection:
        position.count_cells(connection, chosen)
        rates = position.weigh(connection, chosen)
    assert sorted(rates) == ["0", "0 inferred"]
    assert all(rate > 0 for curve in rates.values() for rate in curve.values())
