"""Lines with a place as blocks: joined to paragraphs, then told to be headings, lists, tables or text; plain text files."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from burnish import writing
from burnish.documents.blocks import Block, decoded
from burnish.documents.headings import Look, capitalised, heading_level, is_title, title_case
from burnish.documents.lines import (
    BULLET,
    CLAUSE,
    COMMAS,
    ENUMERATOR,
    SECTION,
    SENTENCE_STOPS,
    Line,
    division,
    is_marker,
    starts_item,
)

_LEADERS = re.compile(r"\s*(?:[.·…_=-]\s?){4,}\s*")
_HANGUL = re.compile(r"[\uac00-\ud7af]")  # Korean has spaces, but its lines break within words
_AND_OR = (" and", " or", " und", " oder", " sowie", " и", " или", " et", " ou", " أو")  # before the last item of a list
_SUSPENDED = re.compile(r"(?:and|or|und|oder|bzw|sowie|en|of|och|og)\b")  # after "pre-" in "pre- and post-war"
_HYPHEN = "\ufffe"  # how PDFium marks a hyphen at the end of a line, the line joined to the next


def text_blocks(path: Path) -> list[Block]:
    """The blocks of a plain text file, whose lines and indents are read as a PDF's are."""
    lines = []
    for number, line in enumerate(decoded(path.read_bytes()).expandtabs().splitlines()):
        if content := line.strip():
            left = len(line) - len(line.lstrip())
            cells = re.split(r"\s{4,}", content)
            cells = [" ".join(cells[:2]), *cells[2:]] if len(cells) > 1 and is_marker(cells[:1]) else cells
            lines.append(Line(" | ".join(cells), left, len(line.rstrip()), -number, -number - 1, 1, cells=len(cells)))
    return flowing(lines, {})


def flowing(lines: Sequence[Line], outline: dict[str, int]) -> list[Block]:
    """Lines as blocks: joined to paragraphs, then each told to be a heading, an item of a list, a table or text."""
    lines = _without_single_rows([line for line in lines if any(map(str.isalnum, line.text))])
    if not lines:
        return []
    groups = _paragraphs(lines)
    look = Look.of(lines, outline)
    words = {word.lower() for line in lines for word in re.findall(r"\w+(?:-\w+)*", line.text)}
    depths = [None, *map(_numbering, groups), None]
    return _joined_blocks(
        [
            _classified(group, words, look, listed=depth is not None and depth in beside)
            for group, depth, *beside in zip(groups, depths[1:], depths, depths[2:], strict=False)
        ]
    )


def _without_single_rows(lines: Sequence[Line]) -> list[Line]:
    """The lines with a wide gap only where the line before or after has one too: one row is no table."""
    rows = [False, *(line.cells > 1 for line in lines), False]
    return [
        replace(line, text=line.text.replace(" | ", " "), cells=1) if row and not (before or after) else line
        for line, before, row, after in zip(lines, rows, rows[1:], rows[2:], strict=False)
    ]


def _paragraphs(lines: Sequence[Line]) -> list[list[Line]]:
    gaps = [a.bottom - b.top for a, b in pairwise(lines) if a.page == b.page and abs(a.bottom - b.top) < 3 * a.size]
    # The lower quartile: in most documents under three in four lines end a paragraph.
    usual = statistics.quantiles(gaps, n=4)[0] if len(gaps) > 1 else 0.0
    groups = [[lines[0]]]
    for number, line in enumerate(lines[1:], 1):
        near = [other for other in lines[max(0, number - 7) : number + 6] if other.page == groups[-1][-1].page]
        edge = max((other.right for other in near if other.left < groups[-1][-1].right), default=line.right)
        if _parted(groups[-1], line, edge, usual):
            groups.append([line])
        else:
            groups[-1].append(line)
    return groups


def _parted(group: Sequence[Line], line: Line, edge: float, usual: float) -> bool:
    """Whether a new paragraph begins at `line`.

    Args:
        group: the lines of the paragraph so far.
        line: the line after them.
        edge: how far right the lines around reach.
        usual: the white between two lines of a paragraph.
    """
    last = group[-1]
    gap = last.bottom - line.top
    ended = last.text[-1] in SENTENCE_STOPS or last.text.endswith(_AND_OR)
    if last.cells > 1 and line.cells > 1:
        return last.page == line.page and gap > usual + 2 * line.size
    if _differs(last, line) or _begins_item(last, line, ended=ended):
        return True
    # A line that ends where the next line's first word had room was ended on purpose.
    first = line.text.split()[0]
    word = (line.right - line.left) * (1 if writing.unspaced(first[0]) else len(first)) / len(line.text)
    room, quarter = edge - last.right - 1.5 * line.size, 0.25 * (edge - last.left)
    if not ended and line.text[0].islower() and room < quarter and gap < 3 * line.size:
        return False
    turned = last.page != line.page or gap < -2 * line.size  # to the next page or column, where gap and indent say nothing
    apart = ended if turned else gap > usual + 0.4 * line.size or _indented(group, line)
    return apart or room > (word if ended else max(word, quarter))


def _differs(last: Line, line: Line) -> bool:
    """Whether two lines are of different sorts: a table's row, a size, a weight."""
    weight = last.bold != line.bold and not line.text[0].islower()
    return (last.cells > 1) != (line.cells > 1) or not 0.87 < line.size / last.size < 1.15 or weight


def _begins_item(last: Line, line: Line, *, ended: bool) -> bool:
    """Whether a line is a new item or section; a bullet says so by itself, a number only where a sentence has ended."""
    return bool(BULLET.match(line.text)) or (starts_item(line.text) and (ended or last.text[-1] in COMMAS + ")）"))


def _indented(group: Sequence[Line], line: Line) -> bool:
    """Whether the left edge of `line` says that a paragraph begins: an indent, or the end of an indented one."""
    last = group[-1]
    if line.left > last.left + 0.8 * line.size:
        return not starts_item(group[0].text)
    straight = len(group) > 1 and abs(last.left - group[-2].left) < 0.3 * line.size
    return straight and line.left < last.left - 0.8 * line.size


def _numbering(group: Sequence[Line]) -> int | None:
    """How deep the number is that a paragraph begins with, if it does: 3.2 is one deeper than 3."""
    match = SECTION.match(group[0].text) or CLAUSE.match(group[0].text)
    return match[1].count(".") if match else None


def _classified(group: Sequence[Line], words: set[str], look: Look, *, listed: bool) -> Block:
    if group[0].cells > 1:
        return Block("table", "\n".join(_LEADERS.sub(" | ", line.text) for line in group))
    text = _LEADERS.sub(" ", _joined_lines([line.text for line in group], words)).strip()
    if level := heading_level(group, text, look, listed=listed):
        return Block("heading", text, level)
    item = BULLET.match(text) or ENUMERATOR.match(text)
    return Block("list" if item else "text", text)


def _joined_lines(lines: Sequence[str], words: set[str]) -> str:
    """One text of the lines of a paragraph; a hyphen at a line's end is undone unless the document has it elsewhere.

    >>> _joined_lines(["an indemni-", "fication of well-", "known risk"], {"well-known"})
    'an indemnification of well-known risk'
    """
    parts = [lines[0]]
    for before, line in pairwise(lines):
        if before[-1] == "-" and before[-2:-1].isalnum() and not _SUSPENDED.match(line):
            parts[-1] = parts[-1][:-1] + _HYPHEN
        elif not (_HANGUL.match(before[-1]) and _HANGUL.match(line)):
            parts.append(writing.joint(before, line))
        parts.append(line)

    def whole(halves: re.Match[str]) -> str:
        before, after = halves[1], halves[2]
        hyphenated = f"{before}-{after}"
        kept = not after[:1].islower() or not before[-1:].isalpha()
        kept = kept or (hyphenated.lower() in words and (before + after).lower() not in words)
        return hyphenated if kept else before + after

    return re.sub(rf"(\w{{0,40}}){_HYPHEN}(\w{{0,40}})", whole, "".join(parts))


def _joined_blocks(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with items joined to lists, and the number of an article to the title on the line under it."""
    joined: list[Block] = []
    for block in blocks:
        last = joined[-1] if joined else None
        bare = last is not None and last.kind == "heading" and (found := division(last.text)) and not found[1]
        if last and last.kind == block.kind == "list":
            joined[-1] = Block("list", f"{last.text}\n{block.text}")
        elif last and bare and _is_subtitle(block):
            joined[-1] = Block("heading", f"{last.text} {block.text}", last.level)
        else:
            joined.append(block)
    return joined


def _is_subtitle(block: Block) -> bool:
    if block.kind not in {"heading", "text"} or division(block.text) or SECTION.fullmatch(block.text):
        return False
    short = is_title(block.text) and writing.word_count(block.text) <= 10 and block.text[-1] != "."
    return short and (capitalised(block.text) >= 0.6 or not title_case(block.text))
