"""Excerpts: the stretches of a document that queries are asked for, the same whatever size passages are cut to."""

import hashlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import regex

from burnish import writing
from burnish.documents.sentences import sentences

_AFTER_WIDE = regex.compile(f"(?<=[{writing.WIDE_PUNCTUATION}]) ")  # such a sign brings its own space


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A window of a document's text, and the passage that shares most of it.

    `ordinal` counts all windows of the document, those that were not chosen too.
    """

    document_id: str
    ordinal: int
    title: str
    text: str
    passage_id: str

    @property
    def sha256(self) -> str:
        """The identity of what a model reads: title and text, not where they stand."""
        return hashlib.sha256(f"{self.title}\0{self.text}".encode()).hexdigest()


@dataclass(frozen=True)
class _Span:
    passage_id: str
    start: int
    end: int


def excerpts(passages: pl.DataFrame, *, characters: int, per_document: int) -> list[Excerpt]:
    """The chosen windows of every document, by document and position.

    Windows are cut from the document's text, rebuilt from its passages, and not from passages: a reply that was paid
    for serves on when the size or overlap of passages is changed.

    Args:
        passages: the table of passages.
        characters: the most that a window holds.
        per_document: how many windows of a document are chosen, evenly spaced, its first always among them.
    """
    found: list[Excerpt] = []
    rows = passages.sort("document_id", "ordinal").iter_rows(named=True)
    for document_id, group in itertools.groupby(rows, key=lambda row: str(row["document_id"])):
        parts = list(group)
        text, spans = _rebuilt(parts)
        cuts = list(windows(text, characters))
        for number in _evenly(_long_enough(cuts, characters), per_document):
            start, end = cuts[number]
            found.append(Excerpt(document_id, number, parts[0]["title"], text[start:end], _owner(spans, start, end)))
    return found


def windows(text: str, characters: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each window, in order: at most `characters` long, cut after a sentence, else between words.

    A sentence end is taken where it leaves at least half of the window full.

    >>> text = "One two three. Four five six seven eight"
    >>> [text[start:end] for start, end in windows(text, 20)]
    ['One two three.', 'Four five six seven', 'eight']
    """
    start = 0
    while start < len(text):
        end = start + _cut(text[start : start + characters + 1], characters)
        yield start, end
        start = end + (text[end : end + 1] == " ")


def _cut(head: str, characters: int) -> int:
    if len(head) <= characters:
        return len(head)
    unfinished = sentences(head)[-1]
    sentence = len(head[: head.rindex(unfinished)].rstrip())
    word = head.rfind(" ")
    if writing.unspaced(head[characters - 1 : characters + 1]) and word < characters // 2:
        word = 0
    return sentence if sentence >= characters // 2 else word if word > 0 else writing.boundary(head, characters)


def _rebuilt(parts: list[dict[str, Any]]) -> tuple[str, list[_Span]]:
    """The document's text on one line, each section under its own heading, and where each passage stands in it."""
    text = ""
    spans: list[_Span] = []
    before: dict[str, Any] | None = None
    for part in parts:
        body = _one_line(part["text"])
        begins = _begins_section(part, before)
        shared = _overlap(text[spans[-1].start :], body) if spans and not begins else 0
        start = len(text) - shared
        if begins:
            text += f"{' ' if text else ''}{_last(part['heading'])}"
        rest = body[shared:].lstrip()
        glue = " " if text and rest and not writing.wide(text[-1]) else ""
        text += glue + rest
        spans.append(_Span(part["passage_id"], start, len(text)))
        before = part
    return text, spans


def _begins_section(part: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Whether the passage opens a section; not so where the one before it took the section's beginning in."""
    if not part["heading"] or (before and part["heading"] == before["heading"]):
        return False
    return before is None or f"\n\n{_last(part['heading'])}\n" not in before["text"]


def _last(heading: str) -> str:
    return _one_line(heading.rsplit(" > ", 1)[-1])


def _one_line(text: str) -> str:
    return str(_AFTER_WIDE.sub("", " ".join(text.split())))


def _overlap(before: str, text: str) -> int:
    """How many characters at the start of `text` repeat the end of `before`, whole words only."""
    for size in range(min(len(before), len(text)), 0, -1):
        begins = len(before) == size or before[-size - 1] == " " or writing.wide(before[-size - 1])
        ends = len(text) == size or text[size] == " " or writing.wide(text[size - 1])
        if begins and ends and before.endswith(text[:size]):
            return size
    return 0


def _long_enough(cuts: list[tuple[int, int]], characters: int) -> int:
    """How many windows may be chosen: a last one of under a quarter says too little to be asked about."""
    start, end = cuts[-1] if cuts else (0, 0)
    return len(cuts) - (len(cuts) > 1 and end - start < characters // 4)


def _evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` positions, evenly spaced from the first on."""
    step = max(1.0, count / most)
    return [math.floor(at * step) for at in range(min(count, most))]


def _owner(spans: list[_Span], start: int, end: int) -> str:
    """The passage that shares most characters with a window; of equals the first."""
    return max(spans, key=lambda span: min(span.end, end) - max(span.start, start)).passage_id
