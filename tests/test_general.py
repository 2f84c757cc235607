"""What every general set shares: which queries are chosen, what is gathered of them, and what is left out."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.errors import InputError
from burnish.queries import general
from burnish.queries.general import Chosen, Most, Row
from burnish.queries.sampling import rank

ONE = {"train": "a", "dev": "a", "test": "a"}


def chosen(rows: Iterable[Row], negatives: int = 3, **most: int) -> Chosen:
    """The choice from one source of these rows."""
    given = list(rows)
    return general.chosen(ONE, lambda _: given, most=Most(**{"train": 9, "dev": 0, "test": 0} | most), negatives=negatives)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), st.integers(5, 9)), max_size=40), st.randoms())
def test_the_order_of_rows_changes_nothing(triplets: list[tuple[int, int, int]], shuffled: random.Random) -> None:
    """Each chosen query has all its positives, and the same sample of its negatives."""

    def found() -> dict[str, tuple[dict[str, int], list[str]]]:
        rows = [Row(f"q{query}", {f"p{positive}": 1}, [f"p{negative}"]) for query, positive, negative in triplets]
        entries = chosen(rows, train=4, negatives=2).splits["train"]
        return {query: (dict(sorted(one.positives.items())), one.negatives.keys()) for query, one in entries.items()}

    before = found()
    assert list(before) == sorted({f"q{query}" for query, _, _ in triplets}, key=rank)[:4]
    for query, (positives, negatives) in before.items():
        own = [one for one in triplets if f"q{one[0]}" == query]
        assert positives == {f"p{positive}": 1 for _, positive, _ in own}
        assert len(negatives) == min(2, len({negative for *_, negative in own}))
    shuffled.shuffle(triplets)
    assert found() == before


def test_the_best_grade_of_a_pair_counts() -> None:
    """Where rows disagree."""
    rows = [Row("q", {"p": 1}), Row("q", {"p": 3}), Row("q", {"p": 2})]
    assert chosen(rows).splits["train"]["q"].positives == {"p": 3}


def test_queries_without_an_answer_are_counted() -> None:
    """They take nobody's place; an answered query's further negatives count."""
    rows = [Row("q1", {}, ["p1"]), Row("q2", {"p2": 1}), Row("q2", {}, ["p3"]), Row("q3", {"p4": 1})]
    found = chosen(rows, train=2)
    assert set(found.splits["train"]) == {"q2", "q3"}
    assert list(found.splits["train"]["q2"].negatives.values) == ["p3"]
    assert found.left_out["rows_without_answer"] == 1
    assert found.passages() == {"p2", "p3", "p4"}


def test_the_stricter_split_chooses_first() -> None:
    """Test takes the smallest hashes, then dev, then train, out of one source that is read once."""
    reads = []

    def rows(source: str) -> list[Row]:
        reads.append(source)
        return [Row(f"q{at}", {"p": 1}) for at in range(50)]

    found = general.chosen(ONE, rows, most=Most(train=20, dev=3, test=4), negatives=0).splits
    in_order = sorted((f"q{at}" for at in range(50)), key=rank)
    assert [list(found[split]) for split in ("test", "dev", "train")] == [in_order[:4], in_order[4:7], in_order[7:27]]
    assert reads == ["a"]


def test_a_text_that_stands_twice_is_kept_twice() -> None:
    """So that the table refuses it: nobody knows which is meant."""
    stream = [("a", "one"), ("b", "two"), ("a", "other"), ("c", "three"), ("c", "more")]
    assert general.texts(stream, {"a"}, 2, "here") == {"a": ["one", "other"], "b": ["two"], "c": ["three", "more"]}
    with pytest.raises(InputError, match="here: 1 ids that judgments name are not there, the first: 'x'"):
        general.texts(stream, {"a", "x"}, 2, "here")
