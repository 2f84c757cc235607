"""Replies as data: the queries or scores in what a language model wrote, and nothing else of it."""

import itertools
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any

from burnish import writing
from burnish.synthesis.replies import Status

_SHORTEST, _LONGEST = 3, 300  # letters of a query; a Chinese sign counts as two
_LONGEST_REPLY = 100_000  # characters; a longer one is not what was asked for
_MOST_STARTS = 100  # places in a reply at which a JSON value is looked for
_START = re.compile(r"[\[{]")
_WITHIN = re.compile(r"""(["\]}\d],|":|[\[{])\s*\Z""")  # what stands before a value that is part of another one
_SCORE = re.compile(r"\s*(\d{1,2})(\.0+)?\s*")
_NO_TEXT = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})  # joiners, which many scripts need, are text
# Format characters that no reader sees: bidirectional embeddings, overrides and isolates, word joiners, shorthand and
# annotation marks, byte order marks, tags. Joiners, soft hyphens and direction marks stay: texts need them.
_UNSEEN = re.compile("[\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")

QUERIES_SCHEMA: dict[str, Any] = {
    "title": "queries",
    "type": "object",
    "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
    "required": ["queries"],
    "additionalProperties": False,
}
SCORES_SCHEMA: dict[str, Any] = {
    "title": "scores",
    "type": "object",
    "properties": {"scores": {"type": "array", "items": {"type": "integer"}}},
    "required": ["scores"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Parsed:
    """A model's reply as data: its queries, and how many of its items were no query or more than asked for."""

    status: Status
    queries: list[str]
    unusable: int = 0
    surplus: int = 0


def parsed(text: str, *, most: int) -> Parsed:
    """The queries in a model's reply: a JSON object with a list `queries`, or that list, perhaps among other text.

    The reply is data: nothing in it is followed, and what is no string of 3 to 300 characters is left out and counted.

    >>> parsed('{"queries": ["pin a  version", 7, "pin a version"]}', most=4)
    Parsed(status='ok', queries=['pin a version'], unusable=2, surplus=0)
    >>> parsed("Sure! Here they are.", most=4).status
    'malformed'
    """
    if not text.strip():
        return Parsed("empty", [])
    listed = _listed(text, "queries", str | dict)
    if listed is None:
        return Parsed("malformed", [])
    listed = [one.get("query") if isinstance(one, dict) else one for one in listed]
    queries = list(dict.fromkeys(query for one in listed if (query := usable(one))))
    status: Status = "ok" if queries else "malformed" if listed else "empty"
    return Parsed(status, queries[:most], len(listed) - len(queries), max(0, len(queries) - most))


def scores(text: str, *, count: int) -> list[int] | None:
    """The judge's scores, one whole number from 1 to 10 for each of `count` queries; nothing where the reply holds others.

    A number may be written as a string, or with a zero behind the point.

    >>> scores('{"scores": [8, 3]}', count=2)
    [8, 3]
    >>> scores('{"scores": [8]}', count=2) is scores('{"scores": [8, 11]}', count=2) is None
    True
    """
    listed = _listed(text, "scores", int | float | str)
    if listed is None or len(listed) != count:
        return None
    whole = [score for one in listed if (score := _score(one)) and score <= 10]
    return whole if len(whole) == count else None


def usable(value: object) -> str | None:
    """A query on one line, or nothing where the value is none: no string, too short, too long, or no valid text."""
    if not isinstance(value, str):
        return None
    text = " ".join(seen(value).split())
    return text if _SHORTEST <= writing.width(text) <= _LONGEST else None


def seen(text: str) -> str:
    r"""`text` without what a reader cannot see: a control character is a space, a mark that reorders or hides text nothing.

    >>> seen("pay \u202eton\u202c now\x00!")
    'pay ton now !'
    """
    visible = _UNSEEN.sub("", text)
    return "".join(" " if one != "\n" and unicodedata.category(one) in _NO_TEXT else one for one in visible)


def _score(value: object) -> int | None:
    """A whole number, however it is written; True is none."""
    found = None if isinstance(value, bool) else _SCORE.fullmatch(str(value))
    return int(found[1]) if found else None


def _listed(text: str, name: str, items: type | UnionType) -> list[object] | None:
    """The list `name` in a reply, or the list that it is.

    A model may think aloud, draft and comment: where the reply is not JSON alone, the last object with this list counts, else
    the last list that holds any of `items`.
    """
    if len(text) > _LONGEST_REPLY:
        return None
    try:
        value = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        values = list(_values(text.rpartition("</think>")[2]))
        named = [one for one in values if isinstance(one, dict) and isinstance(one.get(name), list)]
        bare = [one for one in values if isinstance(one, list) and any(isinstance(part, items) for part in one)]
        value = next(iter([*named[-1:], *bare[-1:]]), None)
    listed = value.get(name) if isinstance(value, dict) else value
    return listed if isinstance(listed, list) else None


def _values(text: str) -> Iterator[object]:
    """The complete JSON objects and lists in a text, in order, without what is part of another or of a torn one."""
    decoder = json.JSONDecoder()
    end = 0
    for start in itertools.islice(_START.finditer(text), _MOST_STARTS):
        if start.start() < end or _WITHIN.search(text, max(0, start.start() - 50), start.start()):
            continue
        try:
            value, end = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        yield value
