"""Lines with a place on a page, and what their first characters say: an item of a list, a section, an article."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # before these no space follows a number
_NUMERAL = "[一二三四五六七八九十]{1,3}"
BULLET = re.compile(r"[•◦▪▫■□●○‣⁃∙►➢✓]\s*\S")
ENUMERATOR = re.compile(
    r"[*·\-–—]\s+[^\s*-]"  # a bullet, where the line before it has ended; else a dash or a star inside a sentence
    rf"|\(?(?:\d{{1,3}}|[a-zA-Z]|[ivxIVX]{{1,5}})[).]\s+\S|\d{{1,2}}[.)](?=[A-ZА-ЯЁ“\"{_CJK}])"
    r"|\((?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})\)\s*\S"
    r"|\(?[а-яёА-ЯЁα-ωء-ي]\)\s*\S"
    r"|\d{1,3}\s?[-–.)]\s*[ء-ي]"
    rf"|[（(](?:\d{{1,3}}|{_NUMERAL}|[a-zA-Z])[）)]\s*\S|(?:\d{{1,3}}|{_NUMERAL})[、．）]\s*\S|[①-⑳㈠-㈩⑴-⒇]\s*\S"
    r"|[가나다라마바사아자차카타파하][.)]\s+\S"
)
SECTION = re.compile(
    rf"(\d{{1,3}}(?:\.\d{{1,3}})*)(?:[.)]?[\s:]+|(?<=\.\d)(?=[A-Z“\"{_CJK}])|(?<=\.\d\d)(?=[A-Z“\"{_CJK}])"
    rf"|[.．、](?=[{_CJK}]))(\S.*)"
)
CLAUSE = re.compile(rf"({_NUMERAL})、\s*(\S.*)")
# What divides a document, by its name in the languages whose contracts, laws and manuals were looked at; anything else is told
# by its look. Level 1 stands over 2; the figures after a dot go deeper.
_NAMED = {
    1: "article|chapter|part|exhibit|schedule|appendix|annex|attachment"
    "|artikel|kapitel|teil|anhang|anlage|hoofdstuk|bijlage|chapitre|partie|annexe|titre|artículo|capítulo|anexo|título"
    "|articolo|capitolo|allegato|titolo|artigo|rozdział|artykuł|załącznik|раздел|глава|часть|приложение|розділ|додаток",
    2: "section|§|abschnitt|sección|sezione|seção|статья|стаття",
}
_DIVISION = re.compile(
    rf"(?:({_NAMED[1]})|({_NAMED[2]}))\s+(?:№\s*|Nr\.\s*)?"
    r"([ivxlc]+|\d+(?:\.\d+)*|[a-z](?:-\d+)?|[а-я](?=\s*(?:[.:–—-]|$)))(?:\s*[.:–—-]+\s*|\s+|$)(.*)",
    re.IGNORECASE,
)
_COUNT = r"[\d一二三四五六七八九十百千零〇两]+"
_OTHER_DIVISIONS = (
    (1, re.compile(rf"(?:第\s*{_COUNT}\s*(?:編|编|部分|部|章)|제\s*\d+\s*(?:편|장))(?:[\s.:：、]*)(.*)")),
    (1, re.compile(rf"(?:附件|附录|附錄|附表|別紙|別表|부록|별표)\s*(?:{_COUNT}|[A-Z])?(?:[\s.:：、]+|$)(.*)")),
    (2, re.compile(rf"(?:第\s*{_COUNT}\s*[節节]|제\s*\d+\s*절)(?:[\s.:：、]*)(.*)")),
    (3, re.compile(rf"(?:第\s*{_COUNT}\s*[条條]|제\s*\d+\s*조)(?:[\s.:：、]+|(?=[（(])|$)(.*)")),
    (
        1,
        re.compile(
            r"(?:الفصل|الباب|القسم|الملحق|ملحق)\s+(?:رقم\s+)?(?:\(?\d+\)?|ال[ء-ي]+(?:\s+عشرة?)?)(?:\s*[.:–—-]+\s*|$)(.*)"
        ),
    ),
    (2, re.compile(r"(?:المادة|مادة|البند)\s+(?:رقم\s+)?(?:\(?\d+\)?|ال[ء-ي]+(?:\s+عشرة?)?)(?:\s*[.:–—-]+\s*|$)(.*)")),
)
SENTENCE_STOPS = ".:;!?。！？：；؟؛۔।…"  # a line that ends in one has ended its sentence
COMMAS = ",，、،"


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


def division(text: str) -> tuple[int, str] | None:
    """The level and the title, which may be empty, of a line that names a division of its document; None of any other.

    >>> division("ARTICLE IV"), division("Section 3.2: Term"), division("第二章 总则"), division("in Section 3")
    ((1, ''), (3, 'Term'), (1, '总则'), None)
    """
    if match := _DIVISION.fullmatch(text):
        return 1 if match[1] else 2 + match[3].count("."), match[4]
    found = ((level, match[1]) for level, pattern in _OTHER_DIVISIONS if (match := pattern.fullmatch(text)))
    return next(found, None)


def starts_item(text: str) -> bool:
    """Whether a line begins with a bullet or a number, as items and sections do."""
    return any(pattern.match(text) for pattern in (BULLET, ENUMERATOR, SECTION))


def is_marker(cells: Sequence[str]) -> bool:
    """Whether a line so far is the bullet or number of what follows, which is then no cell of its own."""
    return len(cells) == 1 and starts_item(cells[0] + " x") and len(cells[0].split()) == 1
