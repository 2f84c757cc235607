"""Files as blocks of text: headings, paragraphs, lists, code and tables, in reading order.

Documents are treated as hostile: nothing of theirs is run, nothing they name is opened, and what they expand to is
limited. Time is not: a caller that takes files from strangers should also give each a process and a deadline. PDFium is
not thread-safe, so use processes, never threads.
"""

import codecs
import ctypes
import io
import re
import statistics
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import ClassVar, Literal
from xml.parsers.expat import ExpatError

import docutils.core
import docutils.nodes
import docutils.parsers.rst
import docutils.utils
import mammoth
import pypdfium2
import pypdfium2.raw
from docutils.parsers.rst import directives
from lxml import etree
from markdown_it import MarkdownIt

Kind = Literal["heading", "text", "list", "code", "table"]

MAX_BYTES = 256 * 2**20  # of a file as it lies on the disk
MAX_TEXT_BYTES = 64 * 2**20  # of the text of a PDF, and of the XML of a .docx (its tree takes 26 times as much memory)
MAX_PAGES = 20_000
MAX_EXPANDED_BYTES = 2**30  # of all members of a .docx
MAX_RATIO = 200  # expanded to packed; Word's own style sheets reach 32
MIN_SUSPECT_BYTES = 16 * 2**20  # below this a high ratio does no harm
MAX_DEPTH = 256  # of nested elements; where libxml2 stops by itself


@dataclass(frozen=True)
class Block:
    """A piece of a document that should stay whole where it fits; `level` is a heading's depth from 1, else 0."""

    kind: Kind
    text: str
    level: int = 0


class ParseError(Exception):
    """A file that cannot be read as its format; `kind` is what the failures are counted by."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


def blocks(path: Path) -> list[Block]:
    """The blocks of the file, in reading order, by the format that its suffix names; at least one.

    Raises:
        ParseError: with kind `unsupported` (no format has this suffix), `too-large` (the file, or what it expands to),
            `encrypted`, `corrupt`, `not-utf8` or `empty` (no text: in a PDF most often a scan, and there is no OCR).
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ParseError("unsupported", f"{path}: expected one of {', '.join(FORMATS)}; found {path.suffix!r}")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise ParseError("too-large", f"{path}: {size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        found = FORMATS[suffix](path)
    except RecursionError as error:
        raise ParseError("too-large", f"{path}: nested too deeply") from error
    except ParseError as error:
        raise ParseError(error.kind, f"{path}: {error}") from error
    found = [replace(block, text=_printable(block.text).strip("\n")) for block in found]
    found = [block for block in found if any(map(str.isalnum, block.text))]
    if not found:
        raise ParseError("empty", f"{path}: holds no text (a scanned PDF needs OCR first)")
    return found


# HTML -----------------------------------------------------------------------------------------------------------------

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_CONTAINERS = (
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl"),
    *("dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "li", "main"),
    *("ol", "p", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
)
_NO_TEXT = (
    *("script", "style", "noscript", "template", "svg", "iframe", "object", "embed", "nav", "head"),
    *("button", "input", "select", "option", "datalist", "canvas", "audio", "video", "map"),
)
_ONLY_LINKS = (  # page furniture, where it holds little but links
    ".//header | .//footer | .//aside | .//*[@role='banner' or @role='contentinfo' or @role='complementary'"
    " or contains(@class, 'nav') or contains(@class, 'menu') or contains(@class, 'sidebar')"
    " or contains(@class, 'breadcrumb') or contains(@class, 'footer') or contains(@class, 'toc')]"
)
_FURNITURE = (  # whatever it holds: menus, anchors on headings, line numbers beside code, docutils' messages
    ".//*[@role='navigation' or @role='search' or @hidden]"
    " | .//a[contains(@class, 'headerlink')] | .//td[@class='linenos'] | .//span[@class='linenos']"
    " | .//aside[@class='system-message']/p"
    " | .//footer[not(ancestor::article or ancestor::main or ancestor::section) and string-length(.) < 400]"
)
_NESTED = " | ".join(f".//{tag}" for tag in (*_HEADINGS, "pre", "table"))
_CHARSET = re.compile(
    rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]{0,200}encoding=["']([\w.:-]+)""", re.IGNORECASE
)


def _html(path: Path) -> list[Block]:
    """The blocks of an HTML file in the encoding it declares, else UTF-8."""
    data = path.read_bytes()
    declared = _CHARSET.search(data[:4096])
    label = (declared[1] or declared[2]).decode("ascii").lower() if declared else "utf-8"
    try:
        encoding = codecs.lookup(label).name
    except LookupError:
        encoding = "utf-8"
    # Browsers read these two as their Windows superset, and so pages are written (WHATWG Encoding, section 4.2).
    return _html_blocks(_decoded(data, {"iso8859-1": "cp1252", "ascii": "cp1252"}.get(encoding, encoding)))


def _html_blocks(html: str) -> list[Block]:
    """The blocks of an HTML text, page furniture left out.

    Three steps on one tree: take out what is no content, mark the ends of block elements in the text, walk.
    """
    # Control characters end libxml2's reading of a page early; lone surrogates cannot be encoded.
    data = _printable(html).encode("utf-8", "ignore")
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=False)
    root = etree.fromstring(data, parser) if data.strip() else None
    if any(entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in parser.error_log):
        raise ParseError("too-large", f"HTML beyond libxml2's limits (such as {MAX_DEPTH} nested elements)")
    if root is None:
        return []
    _prune(root)
    for element in root.iter(*_CONTAINERS, *_HEADINGS, "pre", "br"):
        element.tail = "\n" + (element.tail or "")
        if element.tag not in {"pre", "br"}:
            element.text = "\n" + (element.text or "")
    walk = _Walk()
    walk.visit(_main(root))
    walk.flush()
    return walk.found


def _prune(root: etree._Element) -> None:
    """Take out of the tree what a reader of the page would not call its content."""
    etree.strip_elements(root, *_NO_TEXT, with_tail=False)
    for element in root.xpath(_FURNITURE):
        _remove(element)
    for element in root.xpath(_ONLY_LINKS):
        if element.xpath("self::body | .//main | .//article | .//h1 | .//pre"):
            continue
        linked = sum(len("".join(link.itertext()).strip()) for link in element.iter("a"))
        if 2 * linked > len(" ".join("".join(element.itertext()).split())):
            _remove(element)


def _remove(element: etree._Element) -> None:
    parent, before = element.getparent(), element.getprevious()
    if parent is None:
        return
    if before is not None:
        before.tail = (before.tail or "") + " " + (element.tail or "")
    else:
        parent.text = (parent.text or "") + " " + (element.tail or "")
    parent.remove(element)


def _main(root: etree._Element) -> etree._Element:
    """The one main element where it holds most of the text, else the whole page."""
    found = root.xpath("//main | //*[@role='main']")
    return found[0] if len(found) == 1 and 2 * len(_words(found[0])) > len(_words(root)) else root


def _words(element: etree._Element) -> str:
    return " ".join("".join(element.itertext()).split())


class _Walk:
    """Collects blocks in document order; text between two block elements is one block."""

    def __init__(self) -> None:
        self.found: list[Block] = []
        self.pending: list[str] = []

    def flush(self) -> None:
        """End the current paragraph."""
        if text := " ".join("".join(self.pending).split()):
            self.found.append(Block("text", text))
        self.pending.clear()

    def visit(self, element: etree._Element) -> None:
        """Add what `element` holds; an element that is no block of its own is walked into."""
        reader = _ELEMENTS.get(element.tag)
        block = reader(element) if reader else None
        if block is not None:
            self.flush()
            self.found.append(block)
            return
        if element.tag in _CONTAINERS:
            self.flush()
        self.pending.append(element.text or "")
        for child in element:
            self.visit(child)
            self.pending.append(child.tail or "")
        if element.tag in _CONTAINERS:
            self.flush()


def _heading_element(element: etree._Element) -> Block:
    return Block("heading", _words(element).rstrip("¶ "), int(element.tag[1]))


def _pre_element(element: etree._Element) -> Block:
    return Block("code", "\n".join(line.rstrip() for line in "".join(element.itertext()).strip("\n").splitlines()))


def _table_element(element: etree._Element) -> Block | None:
    """A line a row; None where the table only lays out a page: headings inside it, or one filled cell a row."""
    if element.xpath(_NESTED):
        return None
    rows = [[_words(cell) for cell in row.iter("td", "th")] for row in element.iter("tr")]
    rows = [row for row in rows if any(row)]
    if max((sum(map(bool, row)) for row in rows), default=0) < 2:
        return None
    captions = [_words(caption) for caption in element.iter("caption")]
    return Block("table", "\n".join([*captions, *(" | ".join(row) for row in rows)]))


def _list_element(element: etree._Element) -> Block | None:
    """A line an item; None where items hold code, tables or headings, which keep their own blocks."""
    return None if element.xpath(_NESTED) else Block("list", "\n".join(_items(element, 0)))


def _items(element: etree._Element, depth: int) -> Iterator[str]:
    number = 0
    for item in element:
        if item.tag in {"ul", "ol"}:  # not allowed here, yet common
            yield from _items(item, depth + 1)
            continue
        number += 1
        inner = [child for child in item if child.tag in {"ul", "ol"}]
        parts = [item.text or ""]
        for child in item:
            parts += ["" if child in inner else "".join(child.itertext()), child.tail or ""]
        if own := " ".join("".join(parts).split()):
            yield f"{'  ' * depth}{f'{number}.' if element.tag == 'ol' else '-'} {own}"
        for child in inner:
            yield from _items(child, depth + 1)


def _terms_element(element: etree._Element) -> Block | None:
    """A line a term with what it means; None where that is more than a sentence or two of running text."""
    if element.xpath(_NESTED) or element.xpath(".//dl | .//ul | .//ol") or len(element.xpath("./dd/p")) > 1:
        return None
    lines: list[str] = []
    for child in element.iter("dt", "dd"):
        words = _words(child)
        lines = [*lines[:-1], f"{lines[-1]}: {words}"] if child.tag == "dd" and lines else [*lines, words]
    return Block("list", "\n".join(lines))


_ELEMENTS: dict[str, Callable[[etree._Element], Block | None]] = {
    **dict.fromkeys(_HEADINGS, _heading_element),
    "pre": _pre_element,
    "table": _table_element,
    "ul": _list_element,
    "ol": _list_element,
    "dl": _terms_element,
}


# Formats that have a good way to HTML ---------------------------------------------------------------------------------

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # what Office wraps an encrypted .docx in, and the old .doc format
_DOCX_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
"""
# What mammoth, zipfile and minidom let through where a part is missing or of another shape than the format says.
_DOCX_FAULTS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ExpatError),
    *(ValueError, LookupError, TypeError, AttributeError),
)


def _docx(path: Path) -> list[Block]:
    """The blocks of a Word file: its text, with insertions and without deletions; headers and footers left out.

    `mammoth` opens neither linked files nor its embedded style map here, and no picture is read.
    """
    data = path.read_bytes()
    if data.startswith(_OLE):
        encrypted = "EncryptedPackage".encode("utf-16-le") in data
        raise ParseError(*(("encrypted", "needs a password") if encrypted else ("corrupt", "an old .doc; save it as .docx")))
    try:
        _check_zip(data)
        result = mammoth.convert_to_html(
            io.BytesIO(data),
            style_map=_DOCX_STYLES,
            convert_image=lambda _: [],
            include_embedded_style_map=False,
            external_file_access=False,
        )
    except _DOCX_FAULTS as error:
        raise ParseError("corrupt", f"not a readable .docx: {error}") from error
    return _html_blocks(result.value)


def _check_zip(data: bytes) -> None:
    """Refuse an archive that expands to too much; zipfile never yields more of a member than its header claims."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    if any(member.flag_bits & 1 for member in members):
        raise ParseError("encrypted", "needs a password")
    expanded = sum(member.file_size for member in members)
    xml = sum(member.file_size for member in members if member.filename.lower().endswith((".xml", ".rels")))
    if expanded > MAX_EXPANDED_BYTES or xml > MAX_TEXT_BYTES:
        raise ParseError("too-large", f"expands to {expanded:,} bytes, {xml:,} of them XML")
    if expanded > max(MIN_SUSPECT_BYTES, MAX_RATIO * len(data)):
        raise ParseError("too-large", f"{len(data):,} bytes expand to {expanded:,}")


def _markdown(path: Path) -> list[Block]:
    """The blocks of a CommonMark file with tables; HTML inside it is read as HTML, YAML before it is left out."""
    text = re.sub(r"\A---\n.*?\n(?:---|\.\.\.)[ \t]*\n", "", _decoded(path.read_bytes()), count=1, flags=re.DOTALL)
    return _html_blocks(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


_ROLE = re.compile(  # each repeat has an end, so that a hostile file cannot make the search quadratic
    r":(?!(?:math|sub|sup|subscript|superscript):)(?:[a-zA-Z][\w+.-]{0,40}:){1,4}`([^`]{0,400}?)(?:\s+<[^`>]{0,400}>)?`"
)
_RST_SETTINGS = {
    "_disable_config": True,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "line_length_limit": 100_000,  # docutils reads nothing of a file with a longer line, and bounds substitutions by it
    "report_level": 3,  # from here on a message keeps the source of what docutils does not know
    "halt_level": 5,
    "warning_stream": False,
    "doctitle_xform": False,
    "initial_header_level": 1,
    "stylesheet_path": "",
    "embed_stylesheet": False,
    "syntax_highlight": "none",
    "math_output": "LaTeX",
    "image_loading": "link",
}


def _rst(path: Path) -> list[Block]:
    """The blocks of a reStructuredText file, Sphinx's roles and directives read as the text that they hold."""
    text = _ROLE.sub(lambda role: role[1].lstrip("~!"), _decoded(path.read_bytes()))
    try:
        parts = docutils.core.publish_parts(text, writer="html5", settings_overrides=_RST_SETTINGS)
    except (docutils.utils.SystemMessage, docutils.ApplicationError) as error:
        raise ParseError("corrupt", f"not readable as reStructuredText: {error}") from error
    return _html_blocks(parts["html_body"])


class _AnyOption(dict[str, Callable[[str], str]]):
    """An option table without end: every option is known, and none is used."""

    def __missing__(self, name: str) -> Callable[[str], str]:
        return directives.unchanged


class _Passed(docutils.parsers.rst.Directive):
    """A directive of Sphinx as a paragraph of its argument and the text under it."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = _AnyOption(name=directives.unchanged)

    def run(self) -> list[docutils.nodes.Node]:
        """The nodes that stand for the directive."""
        holder = docutils.nodes.container()
        if self.arguments:
            holder += docutils.nodes.paragraph("", self.arguments[0].replace("`", ""))
        self.state.nested_parse(self.content, self.content_offset, holder)
        return [holder]


class _Omitted(_Passed):
    """A directive of Sphinx that names other files or code and has no text of its own."""

    def run(self) -> list[docutils.nodes.Node]:
        """No node."""
        return []


_SPHINX: dict[type[_Passed], str] = {
    _Passed: """
        versionadded versionchanged versionremoved deprecated seealso glossary centered hlist only productionlist
        tab-set tab-item tabs tab dropdown grid grid-item grid-item-card card
        module class function method attribute data exception decorator option confval envvar describe object program
        py:module py:class py:function py:method py:attribute py:data py:exception py:decorator py:property
        c:function c:macro c:type c:struct c:member cpp:function cpp:class js:function
    """,
    _Omitted: """
        toctree index currentmodule py:currentmodule automodule autoclass autofunction automethod autosummary autodata
        literalinclude highlight tabularcolumns sectionauthor codeauthor testsetup testcleanup
    """,
}
for _directive, _names in _SPHINX.items():
    for _name in _names.split():
        directives.register_directive(_name, _directive)


# Lines with a place: PDF and plain text -------------------------------------------------------------------------------

_BULLET = re.compile(r"[•◦▪▫■□●○‣⁃∙►➢✓]\s*\S")
_ENUMERATOR = re.compile(
    r"[*·\-–—]\s+[^\s*-]"  # a bullet, where the line before it has ended; else a dash or a star inside a sentence
    r"|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[).]\s+\S|\d{1,2}[.)](?=[A-Z“\"])"
    r"|\((?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})\)\s*\S"
)
_SECTION = re.compile(r"(\d{1,3}(?:\.\d{1,3})*)(?:[.)]?[\s:]+|(?<=\.\d)(?=[A-Z“\"])|(?<=\.\d\d)(?=[A-Z“\"]))(\S.*)")
_DIVISION = re.compile(
    r"(article|chapter|part|exhibit|schedule|appendix|annex|attachment|section|§)\s+"
    r"([ivxlc]+|\d+(?:\.\d+)*|[a-z](?:-\d+)?)(?:\s*[.:–—-]+\s*|\s+|$)(.*)",
    re.IGNORECASE,
)
_PAGE_NUMBER = re.compile(
    r"[-–—\s|]*(?:(?:[Pp]age|PAGE|p\.)\s*)?(?:[A-Z]-)?(?:\d{1,5}|[ivxl]{1,6})(?:\s*(?:of|OF|/)\s*\d{1,5})?[-–—\s|]*"
)
_BARE_NUMBER = re.compile(r"[-–—\s]*(\d{1,4})[-–—\s]*")
_LEADERS = re.compile(r"\s*(?:[.·…_=-]\s?){4,}\s*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_HYPHEN = "\ufffe"  # how PDFium marks a hyphen at the end of a line, the line joined to the next
_EDGE = 6  # lines at the top and at the bottom of a page among which headers and footers are looked for


@dataclass(frozen=True)
class _Line:
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


def _pdf(path: Path) -> list[Block]:
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
    return _flowing(lines, outline)


def _pages(document: pypdfium2.PdfDocument) -> Iterator[list[_Line]]:
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


def _page_lines(text_page: pypdfium2.PdfTextPage, number: int) -> Iterator[_Line]:
    """The lines of a page in the order of its content stream, which for nearly all writers is the reading order."""
    for match in re.finditer(r"[^\r\n]+", text_page.get_text_range()):
        # Word by word with boxes, so that a gap as wide as two letters are high can part the cells of a table.
        words = [(word[0], match.start() + word.start()) for word in re.finditer(r"\S+", match[0])]
        boxes = [(_box(text_page, at), _box(text_page, at + len(word) - 1)) for word, at in words]
        if not words:
            continue
        (left, low, _, top), (_, bottom, right, _) = boxes[0][0], boxes[-1][1]
        size = abs(top - low) or 1.0
        cells = [words[0][0]]
        for ((_, before), (after, _)), (word, _) in zip(pairwise(boxes), words[1:], strict=True):
            if after[0] - before[2] > 2 * size and not _is_marker(cells):
                cells.append(word)
            else:
                cells[-1] += " " + word
        bold = all(_is_bold(text_page, at) for _, at in words[:: 1 + len(words) // 8])
        yield _Line(" | ".join(cells), left, right, top, bottom, size, number, bold, len(cells))


def _box(text_page: pypdfium2.PdfTextPage, index: int) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of the character that stands at `index` of the page's text."""
    place = pypdfium2.raw.FPDFText_GetCharIndexFromTextIndex(text_page, index)
    box: tuple[float, float, float, float] = text_page.get_charbox(max(place, 0), loose=True)
    return box


def _is_bold(text_page: pypdfium2.PdfTextPage, index: int) -> bool:
    """Whether a character is bold by its font's weight or, for fonts that state none, by its name."""
    place = pypdfium2.raw.FPDFText_GetCharIndexFromTextIndex(text_page, index)
    name = ctypes.create_string_buffer(128)
    pypdfium2.raw.FPDFText_GetFontInfo(text_page, place, name, len(name), None)
    weight: int = pypdfium2.raw.FPDFText_GetFontWeight(text_page, place)
    return weight >= 600 or any(word in name.value.lower() for word in (b"bold", b"black", b"heavy"))


def _is_marker(cells: Sequence[str]) -> bool:
    """Whether a line so far is the bullet or number of what follows, which is then no cell of its own."""
    return len(cells) == 1 and _starts_item(cells[0] + " x") and len(cells[0].split()) == 1


def _outline(document: pypdfium2.PdfDocument) -> dict[str, int]:
    """The level from 1 of each bookmark, by its bare title; none where the titles are no valid UTF-16."""
    try:
        return {_bare(mark.get_title()): mark.level + 1 for mark in islice(document.get_toc(), MAX_PAGES)}
    except UnicodeDecodeError:
        return {}


def _rows(lines: Sequence[_Line]) -> list[_Line]:
    """The lines with those joined that stand side by side on one base line: the cells of a table's row."""
    joined: list[_Line] = []
    for line in lines:
        last = joined[-1] if joined else None
        if last and abs(last.bottom - line.bottom) < 0.3 * line.size and line.left > last.right:
            near = line.left - last.right <= 2 * line.size or _is_marker([last.text])
            text, cells = last.text + (" " if near else " | ") + line.text, last.cells + line.cells - near
            joined[-1] = replace(last, text=text, right=line.right, cells=cells, bold=last.bold and line.bold)
        else:
            joined.append(line)
    return joined


def _without_furniture(pages: Sequence[Sequence[_Line]]) -> list[list[_Line]]:
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


def _without_page_numbers(lines: Sequence[_Line]) -> list[_Line]:
    """The lines without bare numbers that count on, ten lines or more apart: the pages of an earlier printing."""
    bare = [(place, match[1]) for place, line in enumerate(lines) if (match := _BARE_NUMBER.fullmatch(line.text))]
    places = {
        place
        for (first, one), (second, two) in pairwise(bare)
        if int(two) == int(one) + 1 and second - first >= 10
        for place in (first, second)
    }
    return [line for place, line in enumerate(lines) if place not in places]


def _edge_lines(page: Sequence[_Line]) -> list[_Line]:
    ordered = sorted(page, key=lambda line: -line.top)
    return ordered[:_EDGE] + ordered[-_EDGE:]


def _recurring_key(line: _Line) -> tuple[str, int, int]:
    height = round(line.top / 2) if len(line.text.split()) < 6 else 0
    return re.sub(r"\d+", "#", line.text), round(line.size), height


def _text(path: Path) -> list[Block]:
    """The blocks of a plain text file, whose lines and indents are read as a PDF's are."""
    lines = []
    for number, line in enumerate(_decoded(path.read_bytes()).expandtabs().splitlines()):
        if content := line.strip():
            left = len(line) - len(line.lstrip())
            cells = re.split(r"\s{4,}", content)
            cells = [" ".join(cells[:2]), *cells[2:]] if len(cells) > 1 and _is_marker(cells[:1]) else cells
            lines.append(_Line(" | ".join(cells), left, len(line.rstrip()), -number, -number - 1, 1, cells=len(cells)))
    return _flowing(lines, {})


def _flowing(lines: Sequence[_Line], outline: dict[str, int]) -> list[Block]:
    """Lines as blocks: joined to paragraphs, then each told to be a heading, an item of a list, a table or text."""
    lines = _without_single_rows([line for line in lines if any(map(str.isalnum, line.text))])
    if not lines:
        return []
    groups = _paragraphs(lines)
    look = _Look.of(lines, outline)
    words = {word.lower() for line in lines for word in re.findall(r"\w+(?:-\w+)*", line.text)}
    return _joined_blocks([_classified(group, words, look) for group in groups])


def _without_single_rows(lines: Sequence[_Line]) -> list[_Line]:
    """The lines with a wide gap only where the line before or after has one too: one row is no table."""
    rows = [False, *(line.cells > 1 for line in lines), False]
    return [
        replace(line, text=line.text.replace(" | ", " "), cells=1) if row and not (before or after) else line
        for line, before, row, after in zip(lines, rows, rows[1:], rows[2:], strict=False)
    ]


def _paragraphs(lines: Sequence[_Line]) -> list[list[_Line]]:
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


def _parted(group: Sequence[_Line], line: _Line, edge: float, usual: float) -> bool:
    """Whether a new paragraph begins at `line`.

    Args:
        group: the lines of the paragraph so far.
        line: the line after them.
        edge: how far right the lines around reach.
        usual: the white between two lines of a paragraph.
    """
    last = group[-1]
    gap = last.bottom - line.top
    ended = last.text[-1] in ".:;!?。！？" or last.text.endswith((" and", " or"))
    if last.cells > 1 and line.cells > 1:
        return last.page == line.page and gap > usual + 2 * line.size
    if _differs(last, line) or _begins_item(last, line, ended=ended):
        return True
    # A line that ends where the next line's first word had room was ended on purpose.
    word = (line.right - line.left) * len(line.text.split()[0]) / len(line.text)
    room, quarter = edge - last.right - 1.5 * line.size, 0.25 * (edge - last.left)
    if not ended and line.text[0].islower() and room < quarter and gap < 3 * line.size:
        return False
    turned = last.page != line.page or gap < -2 * line.size  # to the next page or column, where gap and indent say nothing
    apart = ended if turned else gap > usual + 0.4 * line.size or _indented(group, line)
    return apart or room > (word if ended else max(word, quarter))


def _differs(last: _Line, line: _Line) -> bool:
    """Whether two lines are of different sorts: a table's row, a size, a weight."""
    weight = last.bold != line.bold and not line.text[0].islower()
    return (last.cells > 1) != (line.cells > 1) or not 0.87 < line.size / last.size < 1.15 or weight


def _begins_item(last: _Line, line: _Line, *, ended: bool) -> bool:
    """Whether a line is a new item or section; a bullet says so by itself, a number only where a sentence has ended."""
    return bool(_BULLET.match(line.text)) or (_starts_item(line.text) and (ended or last.text[-1] in ",)"))


def _indented(group: Sequence[_Line], line: _Line) -> bool:
    """Whether the left edge of `line` says that a paragraph begins: an indent, or the end of an indented one."""
    last = group[-1]
    if line.left > last.left + 0.8 * line.size:
        return not _starts_item(group[0].text)
    straight = len(group) > 1 and abs(last.left - group[-2].left) < 0.3 * line.size
    return straight and line.left < last.left - 0.8 * line.size


def _starts_item(text: str) -> bool:
    return any(pattern.match(text) for pattern in (_BULLET, _ENUMERATOR, _SECTION))


@dataclass(frozen=True)
class _Look:
    """What sets a document's headings off: its body's size, the levels of larger sizes, the titles of its bookmarks."""

    body: float
    levels: dict[int, int]
    outline: dict[str, int]

    @classmethod
    def of(cls, lines: Sequence[_Line], outline: dict[str, int]) -> "_Look":
        """The look of a document of these lines."""
        weights: Counter[float] = Counter()
        for line in lines:
            weights[line.size] += len(line.text)
        body = weights.most_common(1)[0][0]
        larger = sorted({round(line.size) for line in lines if line.size > 1.15 * body}, reverse=True)
        return cls(body, {size: min(level, 4) for level, size in enumerate(larger, 1)}, outline)


def _classified(group: Sequence[_Line], words: set[str], look: _Look) -> Block:
    if group[0].cells > 1:
        return Block("table", "\n".join(_LEADERS.sub(" | ", line.text) for line in group))
    text = _LEADERS.sub(" ", _joined_lines([line.text for line in group], words)).strip()
    if level := _heading_level(group, text, look):
        return Block("heading", text, level)
    item = _BULLET.match(text) or _ENUMERATOR.match(text)
    return Block("list" if item else "text", text)


def _joined_lines(lines: Sequence[str], words: set[str]) -> str:
    """One text of the lines of a paragraph; a hyphen at a line's end is undone unless the document has it elsewhere.

    >>> _joined_lines(["an indemni-", "fication of well-", "known risk"], {"well-known"})
    'an indemnification of well-known risk'
    """
    parts = [lines[0]]
    for before, line in pairwise(lines):
        if before[-1] == "-" and before[-2:-1].isalnum():
            parts[-1] = parts[-1][:-1] + _HYPHEN
        elif not (_CJK.match(before[-1]) and _CJK.match(line)):
            parts.append(" ")
        parts.append(line)

    def whole(halves: re.Match[str]) -> str:
        before, after = halves[1], halves[2]
        hyphenated = f"{before}-{after}"
        kept = not after[:1].islower() or not before[-1:].isalpha()
        kept = kept or (hyphenated.lower() in words and (before + after).lower() not in words)
        return hyphenated if kept else before + after

    return re.sub(rf"(\w{{0,40}}){_HYPHEN}(\w{{0,40}})", whole, "".join(parts))


def _heading_level(group: Sequence[_Line], text: str, look: _Look) -> int:
    """The depth of a heading from 1, 0 for all other text; the most reliable sign decides."""
    if level := look.outline.get(_bare(text), 0):
        return min(level, 6)
    if not _is_title(text):
        return 0
    return next((level for sign in _SIGNS if (level := sign(group, text, look))), 0)


def _is_title(text: str) -> bool:
    words = text.split()
    letters = sum(character.isalpha() for character in text)
    return (
        len(words) <= 15
        and len(text) <= 120
        and letters >= max(2, len(text) // 3)
        and text[-1] not in ",;"
        and not next(character for character in text if character.isalpha()).islower()
    )


def _by_division(group: Sequence[_Line], text: str, look: _Look) -> int:
    """`ARTICLE IV`, `Exhibit A: Prices`: 1; `Section 3`: 2; `Section 3.2`: 3."""
    match = _DIVISION.fullmatch(text)
    if match is None or (match[3] and (match[3][0].islower() or match[3][-1] in ".,;")):
        return 0
    return 1 if match[1].lower() not in {"section", "§"} else 2 + match[2].count(".")


def _by_number(group: Sequence[_Line], text: str, look: _Look) -> int:
    """`3. TERM`, `3 Term`: 2; `3.2 Term of Agreement`: 3; running text that begins with a number is none."""
    match = _SECTION.fullmatch(text)
    if match is None or not match[2][0].isalpha():
        return 0
    title = match[2]
    stands_out = title.isupper() or group[0].bold or group[0].size > 1.15 * look.body
    least = 1.0 if title[-1] in ".:" else 0.6
    if not stands_out and (len(title.split()) > 10 or _capitalised(title) < least):
        return 0
    return 2 + match[1].count(".")


def _by_size(group: Sequence[_Line], text: str, look: _Look) -> int:
    return look.levels.get(round(group[0].size), 0) if group[0].size > 1.15 * look.body else 0


def _by_capitals(group: Sequence[_Line], text: str, look: _Look) -> int:
    """A short line in capitals, one level under the larger sizes."""
    fits = text.isupper() and len(text.split()) <= 12 and sum(map(str.isalpha, text)) >= 4 and not re.search("__|:$", text)
    return 1 + max(look.levels.values(), default=0) if fits else 0


def _by_weight(group: Sequence[_Line], text: str, look: _Look) -> int:
    """A short paragraph all in bold, one level under capitals."""
    return 2 + max(look.levels.values(), default=0) if group[0].bold and len(group) == 1 and text[-1] not in ".:" else 0


_SIGNS = (_by_division, _by_number, _by_size, _by_capitals, _by_weight)


def _capitalised(title: str) -> float:
    """The share of a title's words, those of up to three letters left out, that do not begin in lower case."""
    long = [word for word in re.findall(r"\w+", title) if len(word) > 3]
    return sum(not word[0].islower() for word in long) / max(1, len(long))


def _joined_blocks(found: Sequence[Block]) -> list[Block]:
    """The blocks with items joined to lists, and the number of an article to the title on the line under it."""
    joined: list[Block] = []
    for block in found:
        last = joined[-1] if joined else None
        bare = last is not None and last.kind == "heading" and (match := _DIVISION.fullmatch(last.text)) and not match[3]
        if last and last.kind == block.kind == "list":
            joined[-1] = Block("list", f"{last.text}\n{block.text}")
        elif last and bare and _is_subtitle(block):
            joined[-1] = Block("heading", f"{last.text} {block.text}", last.level)
        else:
            joined.append(block)
    return joined


def _is_subtitle(block: Block) -> bool:
    if block.kind not in {"heading", "text"} or _DIVISION.fullmatch(block.text) or _SECTION.fullmatch(block.text):
        return False
    short = _is_title(block.text) and len(block.text.split()) <= 10 and block.text[-1] != "."
    return short and _capitalised(block.text) >= 0.6


# Text -----------------------------------------------------------------------------------------------------------------

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ufffe\uffff\ud800-\udfff]")
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xa0": " "})


def _printable(text: str) -> str:
    r"""`text` composed (NFC), without control and zero-width characters, and with ligatures as their letters.

    >>> _printable("e\u0301 \ufb01n\u00ad\x07")
    'é fin'
    """
    return unicodedata.normalize("NFC", _UNPRINTABLE.sub("", text.replace("\r\n", "\n")).translate(_LIGATURES))


def _bare(title: str) -> str:
    """A title's letters and figures, in which a bookmark and the heading it points to agree."""
    return re.sub(r"[\W_]+", "", title).casefold()


def _decoded(data: bytes, encoding: str = "utf-8") -> str:
    """The text of a file in `encoding`, or in what its byte order mark says.

    Raises:
        ParseError: of kind `not-utf8`; a guess would put wrong letters into the tables unseen.
    """
    marks = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
    mark, encoding = next((pair for pair in marks if data.startswith(pair[0])), (b"", encoding))
    try:
        return data[len(mark) :].decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise ParseError("not-utf8", f"not {encoding}: {error}; save it as UTF-8") from error


FORMATS: dict[str, Callable[[Path], list[Block]]] = {
    ".pdf": _pdf,
    ".html": _html,
    ".htm": _html,
    ".docx": _docx,
    ".md": _markdown,
    ".markdown": _markdown,
    ".rst": _rst,
    ".txt": _text,
}
