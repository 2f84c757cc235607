"""Several people's grades of one pair."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.errors import InputError
from burnish.queries.agreement import GRADES, agreement, alpha, annotator, settled


def grades(*rows: tuple[str, str, int, str], place: str = "here.csv") -> pl.DataFrame:
    """Rows of query, target, grade and annotator."""
    return pl.DataFrame([(*row, place, "") for row in rows], schema=GRADES, orient="row")


@pytest.mark.parametrize(("given", "expected"), [([2], 2), ([0, 2], 0), ([0, 2, 2], 2), ([3, 1, 2, 0], 1), ([1, 1, 3, 3], 1)])
def test_the_median_counts_and_ties_go_to_the_lower(given: list[int], expected: int) -> None:
    """Of two middle grades the lower, whatever the order in which they were read."""
    rows = [("q", "p", grade, f"by {at}") for at, grade in enumerate(given)]
    for order in (rows, rows[::-1]):
        assert settled(grades(*order))["grade"].to_list() == [expected]


def test_pairs_are_settled_apart() -> None:
    """One row a pair, in the order in which pairs first stand."""
    found = settled(grades(("q2", "p", 1, "a"), ("q1", "p", 2, "a"), ("q2", "p", 3, "b"), ("q1", "r", 0, "b")))
    assert found.rows() == [("q2", "p", 1), ("q1", "p", 2), ("q1", "r", 0)]


def test_an_annotator_who_contradicts_himself_is_told() -> None:
    """With file, query, target and both grades, and without his name."""
    with pytest.raises(InputError) as caught:
        settled(pl.concat([grades(("q", "p", 1, "Ada")), grades(("q", "p", 2, "Ada"), place="there.csv")]))
    assert str(caught.value) == (
        "here.csv: grade 1 for query 'q', target 'p', but 2 by the same annotator in there.csv; keep the right one"
    )


def test_the_same_grade_twice_is_no_contradiction() -> None:
    """It counts once, so that a repeated file outvotes nobody."""
    found = settled(grades(("q", "p", 3, "a"), ("q", "p", 3, "a"), ("q", "p", 0, "b")))
    assert found["grade"].to_list() == [0]


def units(values: list[list[int | None]]) -> np.ndarray:
    """How many raters gave each unit each value."""
    counts = np.zeros((len(values), 6))
    for at, row in enumerate(values):
        for value in row:
            if value is not None:
                counts[at, value] += 1
    return counts


def test_alpha_is_krippendorffs() -> None:
    """His reliability data of four observers and twelve units, whose ordinal alpha he gives as 0.815."""
    n = None
    rows = [[1, 1, n, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4], [4, 4, 4, 4], [1, 1, 2, 1]]
    rows += [[2, 2, 2, 2], [n, 5, 5, 5], [n, n, 1, 1], [n, n, 3, n]]
    assert alpha(units(rows)) == pytest.approx(0.815, abs=0.0005)


def test_alpha_knows_perfect_and_no_agreement() -> None:
    """1 where all agree; below 0 where two always differ; nothing to say where only one value was given."""
    assert alpha(units([[0, 0], [2, 2], [1, 1]])) == 1.0
    assert alpha(units([[0, 2], [2, 0]])) < 0
    assert alpha(units([[1, 1], [1, 1]])) is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=2, max_size=4), min_size=2, max_size=8))
def test_alpha_by_the_definition(rows: list[list[int]]) -> None:
    """One minus observed over expected disagreement, pair by pair, with squared distances of ranks."""
    values = [value for row in rows for value in row]

    def apart(one: int, other: int) -> float:
        low, high = sorted((one, other))
        between = sum(values.count(value) for value in range(low, high + 1))
        return (between - (values.count(low) + values.count(high)) / 2) ** 2

    pairs = [(row[i], row[j], len(row) - 1) for row in rows for i in range(len(row)) for j in range(len(row)) if i != j]
    observed = sum(apart(one, other) / others for one, other, others in pairs) / len(values)
    expected = sum(apart(one, other) for one in values for other in values) / (len(values) * (len(values) - 1))
    found = alpha(units(rows))
    assert found is None if expected == 0 else found == pytest.approx(1 - observed / expected)


def test_agreement_numbers_people_and_names_nobody() -> None:
    """Who graded most of what others graded too comes first; kappa is weighted by squares."""
    ada = [("q", f"p{at}", at % 3, "Ada") for at in range(9)]
    bob = [("q", f"p{at}", at % 3, "Bob") for at in range(6)]
    eve = [("q", f"p{at}", 2 - at % 3, "Eve") for at in range(3)]
    found = agreement(grades(*ada, *bob, *eve, ("alone", "p", 1, "Ada")))
    assert (found["pairs"], found["annotators"]) == (6, 3)
    assert {names: one["pairs"] for names, one in found["kappa"].items()} == {"1-2": 6, "1-3": 3, "2-3": 3}
    assert [one["kappa"] for one in found["kappa"].values()] == pytest.approx([1.0, -1.0, -1.0])
    assert not any(name in str(found) for name in ("Ada", "Bob", "Eve"))


def test_kappa_measures_distances_of_grades_that_nobody_gave_too() -> None:
    """Grades 0 and 3 are three apart, though 1 and 2 do not occur: 2 of 6 pairs differ, where chance would let 1 of 2."""
    rows = [(0, 0), (3, 3), (0, 3), (3, 0), (3, 3), (0, 0)]
    given = [("q", f"p{at}", grade, by) for at, row in enumerate(rows) for by, grade in zip("ab", row, strict=True)]
    found = agreement(grades(*given))["kappa"]["1-2"]["kappa"]
    assert found == pytest.approx(1 - (2 / 6) / (1 / 2))


def test_nothing_to_agree_on_is_said() -> None:
    """One person's grades, or none, and one value alone."""
    assert agreement(grades(("q", "p", 1, "a"))) == {"pairs": 0, "annotators": 0, "alpha": None, "kappa": {}}
    found = agreement(grades(("q", "p", 1, "a"), ("q", "p", 1, "b")))
    assert (found["alpha"], found["kappa"]["1-2"]) == (None, {"kappa": None, "pairs": 1})


def test_a_code_is_no_name_and_stays() -> None:
    """The same person has the same code, read from a name or from a code."""
    assert annotator("Ada") == annotator(annotator("Ada"))
    assert annotator("Ada") != annotator("ada")
    assert "Ada" not in annotator("Ada")
