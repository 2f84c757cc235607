"""Samples by hash: their size, what decides them, and what they gather."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.queries.sampling import Smallest, rank


def sample(keys: list[str], most: int, salt: str = "") -> Smallest[list[str]]:
    """A sample of `most` keys, each with the keys it was offered under."""
    found: Smallest[list[str]] = Smallest(most, lambda key: [key], salt)
    for key in keys:
        if (value := found.offer(key)) is not None:
            value.append(key)
    return found


@given(st.lists(st.text(max_size=3)), st.integers(0, 8), st.randoms())
def test_order_and_repeats_change_nothing(keys: list[str], most: int, shuffled: random.Random) -> None:
    """The smallest hashes are kept, with all that was offered under them, whatever the order."""
    found = sample(keys, most)
    assert found.keys() == sorted(set(keys), key=rank)[:most]
    assert found.values == {key: [key] * (1 + keys.count(key)) for key in found.keys()}  # noqa: SIM118
    shuffled.shuffle(keys)
    assert sample(keys, most).values == found.values


def test_a_larger_sample_keeps_the_smaller_one() -> None:
    """More queries are the fewer queries and others."""
    keys = [str(at) for at in range(1000)]
    assert sample(keys, 20).keys() == sample(keys, 50).keys()[:20]


def test_salt_makes_another_sample() -> None:
    """So that not the same few negatives serve every query."""
    keys = [str(at) for at in range(1000)]
    assert set(sample(keys, 20, "a").values) != set(sample(keys, 20, "b").values)


@pytest.mark.parametrize("most", [0, 10])
def test_memory_is_the_samples(most: int) -> None:
    """However many are offered, no more than `most` are held."""
    found = sample([], most)
    for at in range(10_000):
        found.offer(str(at))
        assert len(found.values) <= most
