"""Samples by hash: the same ones whatever the order, in the memory of the sample and not of what it is drawn from."""

import hashlib
import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Smallest(Generic[V]):
    """The `most` keys with the smallest sha256 of all that are offered, each with a value; `salt` makes another sample.

    A larger `most` keeps what a smaller one chose. A key that was turned away is turned away for ever, and one that was kept to
    the end was kept from its first offer on; so what its value gathers is complete.

    >>> sample = Smallest(2, lambda key: [])
    >>> for key in "abcabc":
    ...     if (found := sample.offer(key)) is not None:
    ...         found.append(key)
    >>> sample.values == {key: [key, key] for key in sorted("abc", key=rank)[:2]}
    True
    """

    def __init__(self, most: int, make: Callable[[str], V], salt: str = "") -> None:
        """A sample of `most` keys, 0 or more; `make(key)` is the value of a new key."""
        self.most = most
        self.salt = salt
        self.values: dict[str, V] = {}
        self._make = make
        self._heap: list[tuple[int, str]] = []  # the largest hash first, hence negative

    def offer(self, key: str) -> V | None:
        """The value of `key`, to be changed in place; None if the key is not among the smallest."""
        if key in self.values:
            return self.values[key]
        at = -int.from_bytes(rank(self.salt + key))
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, (at, key))
        elif not self.most or at <= self._heap[0][0]:
            return None
        else:
            _, out = heapq.heapreplace(self._heap, (at, key))
            del self.values[out]
        self.values[key] = self._make(key)
        return self.values[key]

    def keys(self) -> list[str]:
        """The keys, smallest hash first."""
        return sorted(self.values, key=lambda key: rank(self.salt + key))


def rank(key: str) -> bytes:
    """What samples are ordered by."""
    return hashlib.sha256(key.encode()).digest()
