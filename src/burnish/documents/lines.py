"""Lines with a place on a page, and what their first characters say: an item of a list, a section, an article."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

BULLET = re.compile(r"[•◦▪▫■□●○‣⁃∙►➢✓]\s*\S")
ENUMERATOR = re.compile(
    r"[*·\-–—]\s+[^\s*-]"  # a bullet, where the line before it has ended; else a dash or a star inside a sentence
    r"|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[).]\s+\S|\d{1,2}[.)](?=[A-Z“\"])"
    r"|\((?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})\)\s*\S"
)
SECTION = re.compile(r"(\d{1,3}(?:\.\d{1,3})*)(?:[.)]?[\s:]+|(?<=\.\d)(?=[A-Z“\"])|(?<=\.\d\d)(?=[A-Z“\"]))(\S.*)")
DIVISION = re.compile(
    r"(article|chapter|part|exhibit|schedule|appendix|annex|attachment|section|§)\s+"
    r"([ivxlc]+|\d+(?:\.\d+)*|[a-z](?:-\d+)?)(?:\s*[.:–—-]+\s*|\s+|$)(.*)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Line:
    """A line of a page; lengths in the page's units, upwards, or in characters and lines for plain text."""

    text: str
    left: float
    right: float
    top: float  # of its first character
    bottom: float  # of its last one; PDFium joins hyphenated lines, so it may be a line lower
    size: float
    page: int = 0
    bold: bool = False
    cells: int = 1


def starts_item(text: str) -> bool:
    """Whether a line begins with a bullet or a number, as items and sections do."""
    return any(pattern.match(text) for pattern in (BULLET, ENUMERATOR, SECTION))


def is_marker(cells: Sequence[str]) -> bool:
    """Whether a line so far is the bullet or number of what follows, which is then no cell of its own."""
    return len(cells) == 1 and starts_item(cells[0] + " x") and len(cells[0].split()) == 1
