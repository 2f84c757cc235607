"""The text layer of a PDF as blocks: its lines in reading order, without what only belongs to the printed page."""

import ctypes
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import pypdfium2
import pypdfium2.raw

from burnish import writing
from burnish.documents.blocks import MAX_TEXT_BYTES, Block, ParseError
from burnish.documents.headings import bare_title
from burnish.documents.lines import Line, is_marker
from burnish.documents.paragraphs import flowing

MAX_PAGES = 20_000
_PAGE_NUMBER = re.compile(
    r"[-–—\s|]*(?:(?:[Pp]age|PAGE|p\.|Seite|Página|Pagina|Strona|Страница|Стр\.|стр\.|Сторінка|صفحة|第)\s*)?(?:[A-Z]-)?"
    r"(?:\d{1,5}|[ivxl]{1,6})"
    r"(?:\s*(?:of|OF|/|von|de|di|sur|van|z|из|з|من)\s*\d{1,5}|\s*[页頁](?:[\s,，/]*共?\s*\d{1,5}\s*[页頁])?|\s*쪽)?[-–—\s|]*"
)
_BARE_NUMBER = re.compile(r"[-–—\s]*(\d{1,4})[-–—\s]*")
_EDGE = 6  # lines at the top and at the bottom of a page among which headers and footers are looked for


def pdf_blocks(path: Path) -> list[Block]:
    """The blocks of a PDF's text layer: lines re-flowed to paragraphs, page headers, footers and numbers left out."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        secured = error.err_code in {pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY}
        raise ParseError(*(("encrypted", "needs a password") if secured else ("corrupt", str(error)))) from error
    try:
        if len(document) > MAX_PAGES:
            raise ParseError("too-large", f"{len(document):,} pages; at most {MAX_PAGES:,} are read")
        pages = list(_pages(document))
        outline = _outline(document)
    except pypdfium2.PdfiumError as error:
        raise ParseError("corrupt", str(error)) from error
    finally:
        document.close()
    lines = _without_page_numbers([line for page in _without_furniture(pages) for line in page])
    return flowing(lines, outline)


def _pages(document: pypdfium2.PdfDocument) -> Iterator[list[Line]]:
    characters = 0
    for number in range(len(document)):
        page = document[number]
        text_page = page.get_textpage()
        characters += text_page.count_chars()
        if characters > MAX_TEXT_BYTES:
            raise ParseError("too-large", f"more than {MAX_TEXT_BYTES:,} characters by page {number + 1}")
        yield _rows(list(_page_lines(text_page, number)))
        text_page.close()
        page.close()


def _page_lines(text_page: pypdfium2.PdfTextPage, number: int) -> Iterator[Line]:
    """The lines of a page in the order of its content stream, which for nearly all writers is the reading order.

    A page of Arabic or Hebrew is mirrored, so that its lines too begin at the left and what follows lies to the right.
    """
    text = text_page.get_text_range()
    side = -1 if writing.right_to_left(text) else 1
    for match in re.finditer(r"[^\r\n]+", text):
        # Word by word with boxes, so that a gap as wide as two letters are high can part the cells of a table.
        words = [(word[0], match.start() + word.start()) for word in re.finditer(r"\S+", match[0])]
        boxes = [(_box(text_page, at, side), _box(text_page, at + len(word) - 1, side)) for word, at in words]
        if not words:
            continue
        (left, low, _, top), (_, bottom, right, _) = boxes[0][0], boxes[-1][1]
        size = abs(top - low) or 1.0
        cells = [words[0][0]]
        for ((_, before), (after, _)), (word, _) in zip(pairwise(boxes), words[1:], strict=True):
            if after[0] - before[2] > 2 * size and not is_marker(cells):
                cells.append(word)
            else:
                cells[-1] += " " + word
        bold = all(_is_bold(text_page, at) for _, at in words[:: 1 + len(words) // 8])
        yield Line(" | ".join(cells), left, right, top, bottom, size, number, bold, len(cells))


def _box(text_page: pypdfium2.PdfTextPage, index: int, side: int) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of the character that stands at `index` of the page's text; mirrored if `side` is -1."""
    place = pypdfium2.raw.FPDFText_GetCharIndexFromTextIndex(text_page, index)
    left, bottom, right, top = text_page.get_charbox(max(place, 0), loose=True)
    return min(side * left, side * right), bottom, max(side * left, side * right), top


def _is_bold(text_page: pypdfium2.PdfTextPage, index: int) -> bool:
    """Whether a character is bold by its font's weight or, for fonts that state none, by its name."""
    place = pypdfium2.raw.FPDFText_GetCharIndexFromTextIndex(text_page, index)
    name = ctypes.create_string_buffer(128)
    pypdfium2.raw.FPDFText_GetFontInfo(text_page, place, name, len(name), None)
    weight: int = pypdfium2.raw.FPDFText_GetFontWeight(text_page, place)
    return weight >= 600 or any(word in name.value.lower() for word in (b"bold", b"black", b"heavy"))


def _outline(document: pypdfium2.PdfDocument) -> dict[str, int]:
    """The level from 1 of each bookmark, by its bare title; none where the titles are no valid UTF-16."""
    try:
        return {bare_title(mark.get_title()): mark.level + 1 for mark in islice(document.get_toc(), MAX_PAGES)}
    except UnicodeDecodeError:
        return {}


def _rows(lines: Sequence[Line]) -> list[Line]:
    """The lines with those joined that stand side by side on one base line: the cells of a table's row."""
    joined: list[Line] = []
    for line in lines:
        last = joined[-1] if joined else None
        if last and abs(last.bottom - line.bottom) < 0.3 * line.size and line.left > last.right:
            near = line.left - last.right <= 2 * line.size or is_marker([last.text])
            text, cells = last.text + (" " if near else " | ") + line.text, last.cells + line.cells - near
            joined[-1] = replace(last, text=text, right=line.right, cells=cells, bold=last.bold and line.bold)
        else:
            joined.append(line)
    return joined


def _without_furniture(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """The pages without the lines at their edges that recur (running headers and footers) or only number the page.

    A line recurs that stands, figures aside, in one size at the edge of two pages in five and of three pages, or of all
    where there are fewer; a line of few words (`By:`, `Name:`) at one height too.
    """
    edges = [_edge_lines(page) for page in pages]
    seen = Counter(key for page in edges for key in {_recurring_key(line) for line in page})
    least = max(2, min(len(pages), 3), 0.4 * len(pages))
    often = {key for key, count in seen.items() if count >= least}
    kept = []
    for page, edge in zip(pages, edges, strict=True):
        rest = [line for line in page if line not in edge or _recurring_key(line) not in often]
        ends = [max(rest, key=lambda line: line.top), min(rest, key=lambda line: line.bottom)] if rest else []
        kept.append([line for line in rest if line not in ends or not _PAGE_NUMBER.fullmatch(line.text)])
    return kept


def _without_page_numbers(lines: Sequence[Line]) -> list[Line]:
    """The lines without bare numbers that count on, ten lines or more apart: the pages of an earlier printing."""
    bare = [(place, match[1]) for place, line in enumerate(lines) if (match := _BARE_NUMBER.fullmatch(line.text))]
    places = {
        place
        for (first, one), (second, two) in pairwise(bare)
        if int(two) == int(one) + 1 and second - first >= 10
        for place in (first, second)
    }
    return [line for place, line in enumerate(lines) if place not in places]


def _edge_lines(page: Sequence[Line]) -> list[Line]:
    ordered = sorted(page, key=lambda line: -line.top)
    return ordered[:_EDGE] + ordered[-_EDGE:]


def _recurring_key(line: Line) -> tuple[str, int, int]:
    height = round(line.top / 2) if writing.word_count(line.text) < 6 else 0
    return re.sub(r"\d+", "#", line.text), round(line.size), height
