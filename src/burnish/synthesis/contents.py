"""Replies as data: the queries or scores in what a language model wrote, and nothing else of it."""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from burnish import writing
from burnish.synthesis.replies import Status

_SHORTEST, _LONGEST = 3, 300  # letters of a query; a Chinese sign counts as two
_LONGEST_REPLY = 100_000  # characters; a longer one is not what was asked for
_FENCED = re.compile(r"^\s*```\w*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)
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
    """The queries in a model's reply: a JSON object with a list `queries`, or that list, perhaps fenced as code.

    The reply is data: nothing in it is followed, and what is no string of 3 to 300 characters is left out and counted.

    >>> parsed('{"queries": ["pin a  version", 7, "pin a version"]}', most=4)
    Parsed(status='ok', queries=['pin a version'], unusable=2, surplus=0)
    >>> parsed("Sure! Here they are.", most=4).status
    'malformed'
    """
    if not text.strip():
        return Parsed("empty", [])
    listed = _listed(text, "queries")
    if listed is None:
        return Parsed("malformed", [])
    queries = list(dict.fromkeys(query for one in listed if (query := usable(one))))
    status: Status = "ok" if queries else "malformed" if listed else "empty"
    return Parsed(status, queries[:most], len(listed) - len(queries), max(0, len(queries) - most))


def scores(text: str, *, count: int) -> list[int] | None:
    """The judge's scores, one whole number from 1 to 10 for each of `count` queries; nothing where the reply holds others.

    >>> scores('{"scores": [8, 3]}', count=2)
    [8, 3]
    >>> scores('{"scores": [8]}', count=2) is scores('{"scores": [8, 11]}', count=2) is None
    True
    """
    listed = _listed(text, "scores")
    if listed is None or len(listed) != count:
        return None
    whole = [one for one in listed if isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= 10]
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


def _listed(text: str, name: str) -> list[object] | None:
    value = _json(text)
    listed = value.get(name) if isinstance(value, dict) else value
    return listed if isinstance(listed, list) else None


def _json(text: str) -> object:
    fenced = _FENCED.match(text)
    try:
        return json.loads(fenced[1] if fenced else text) if len(text) <= _LONGEST_REPLY else None
    except (ValueError, RecursionError):
        return None
