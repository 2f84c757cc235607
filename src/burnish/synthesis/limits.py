"""How fast a service is asked: rates by the minute, and how long to wait after a refusal."""

import math
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0  # seconds; the first is openai's own
LONGEST_RETRY_AFTER = 600.0  # seconds; a service that asks for more has no room today


class Pace:
    """Spaces what is done so that no minute holds more than `per_minute` of it: a token bucket that is never filled ahead.

    A bucket that starts full would let nearly twice the rate through in its first minute, and servers count by shorter
    spans than a minute. What a request costs is known when it is answered: `correct` then gives back, or takes, the
    difference to the estimate.

    >>> pace = Pace(60)
    >>> [pace.wait(1, now=100.0) for _ in range(3)]
    [0.0, 1.0, 2.0]
    >>> pace.correct(-2)
    >>> pace.wait(1, now=101.0)
    0.0
    """

    def __init__(self, per_minute: float) -> None:
        """0 is unlimited."""
        self._seconds = 60 / per_minute if per_minute else 0.0
        self._free = -math.inf

    def wait(self, amount: float, *, now: float) -> float:
        """Take `amount`; the seconds to wait before it may be used."""
        begin = max(now, self._free)
        self._free = begin + amount * self._seconds
        return begin - now

    def correct(self, difference: float) -> None:
        """What was taken turned out to be larger by `difference`."""
        self._free += difference * self._seconds


def estimated_tokens(message: str, max_output_tokens: int) -> int:
    """About how many tokens a request costs at most, as services count it before they answer: four bytes a token.

    >>> estimated_tokens("How long does dough rise?", 100)
    107
    """
    return math.ceil(len(message.encode()) / 4) + max_output_tokens


def back_off(tries: int) -> float:
    """Seconds to wait after `tries` failures: half a second, doubling to a minute, of which a random half is left off, so
    that those who failed together do not come back together.
    """
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(tries - 1, 20)) * random.uniform(0.5, 1)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that a Retry-After header asks to wait: a number, or an HTTP date (RFC 9110, section 10.2.3).

    >>> moment = datetime(2026, 1, 1, tzinfo=UTC)
    >>> retry_after({"retry-after": "1.5"}, moment), retry_after({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, moment)
    (1.5, 60.0)
    >>> retry_after({"retry-after": "soon"}, moment)
    """
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        if re.fullmatch(r"\s*\d{1,12}(\.\d{1,12})?\s*", headers.get(name, "")):
            return float(headers[name]) / divisor
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
