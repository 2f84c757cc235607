"""Limits: rates hold in any minute, waits grow, and what a service asks for is understood."""

import random
from datetime import UTC, datetime

import pytest

from burnish.synthesis.limits import Pace, back_off, estimated_tokens, retry_after

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_no_minute_holds_more_than_the_rate() -> None:
    """However requests arrive, no span of a minute holds more than the rate and the one that it begins with."""
    generator = random.Random(1)
    pace, now, begun = Pace(30), 0.0, []
    for _ in range(400):
        now += generator.choice([0.0, 0.0, 0.1, 5.0])
        begun.append(now + pace.wait(1, now=now))
    assert begun == sorted(begun)
    assert max(sum(start <= one < start + 60 for one in begun) for start in begun) <= 31


def test_an_unlimited_pace_never_waits() -> None:
    """0 a minute is no limit."""
    pace = Pace(0)
    assert [pace.wait(10**9, now=0.0) for _ in range(3)] == [0.0] * 3


def test_what_cost_more_than_expected_is_waited_for() -> None:
    """A correction upwards makes the next one wait longer."""
    pace = Pace(60)
    pace.wait(1, now=0.0)
    pace.correct(9)
    assert pace.wait(1, now=0.0) == 10.0


def test_waits_double_to_a_minute_with_jitter() -> None:
    """Between half a second's and a minute's half and whole, and not the same for all."""
    for tries, whole in ((1, 0.5), (2, 1.0), (5, 8.0), (8, 60.0), (1000, 60.0)):
        found = {back_off(tries) for _ in range(50)}
        assert all(whole / 2 <= one <= whole for one in found)
        assert len(found) > 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "12", "retry-after-ms": "500"}, 0.5),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sunday, 01-Mar-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Sun, 99 Mar 2026 12:00:30 GMT"}, None),
        ({"retry-after": "in a moment"}, None),
    ],
)
def test_retry_after_in_every_form(headers: dict[str, str], expected: float | None) -> None:
    """Seconds, milliseconds and dates are understood; what is neither is left to the back-off."""
    assert retry_after(headers, NOW) == expected


def test_tokens_are_estimated_from_bytes() -> None:
    """A script of three bytes a character counts three quarters of a token for each."""
    assert estimated_tokens("面包" * 100, 50) == 200
