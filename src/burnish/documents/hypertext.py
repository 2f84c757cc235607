"""HTML as blocks: take out what is no content, mark the ends of block elements in the text, walk the tree."""

import codecs
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from lxml import etree

from burnish import writing
from burnish.documents.blocks import Block, ParseError, decoded, printable

MAX_DEPTH = 256  # of nested elements; where libxml2 stops by itself
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

# Browsers read these as their supersets, and so pages are written (WHATWG Encoding, section 4.2).
_SUPERSETS = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_LABELS = {"iso-8859-8-i": "iso-8859-8", "x-sjis": "shift_jis", "windows-31j": "cp932", "x-gbk": "gbk", "windows-874": "cp874"}


def html_blocks(path: Path) -> list[Block]:
    """The blocks of an HTML file in the encoding it declares, else UTF-8."""
    data = path.read_bytes()
    declared = _CHARSET.search(data[:4096])
    label = (declared[1] or declared[2]).decode("ascii").lower() if declared else "utf-8"
    try:
        encoding = codecs.lookup(_LABELS.get(label, label)).name
    except LookupError:
        encoding = "utf-8"
    return blocks_of(decoded(data, _SUPERSETS.get(encoding, encoding)))


def blocks_of(html: str) -> list[Block]:
    """The blocks of an HTML text, page furniture left out.

    Three steps on one tree: take out what is no content, mark the ends of block elements in the text, walk.
    """
    # Control characters end libxml2's reading of a page early; lone surrogates cannot be encoded.
    data = printable(html).encode("utf-8", "ignore")
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=False)
    root = etree.fromstring(data, parser) if data.strip() else None
    if any(entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in parser.error_log):
        raise ParseError("too-large", f"HTML beyond libxml2's limits (such as {MAX_DEPTH} nested elements)")
    if root is None:
        return []
    _prune(root)
    if writing.unspaced(html):
        _unwrap(root)
    for element in root.iter(*_CONTAINERS, *_HEADINGS, "pre", "br"):
        element.tail = "\n" + (element.tail or "")
        if element.tag not in {"pre", "br"}:
            element.text = "\n" + (element.text or "")
    walk = _Walk()
    walk.visit(_main(root))
    walk.flush()
    return walk.found


def _unwrap(root: etree._Element) -> None:
    """Take out the line ends of the source that are no spaces, as in Chinese; code keeps its own."""
    code = {element for block in root.iter("pre") for element in block.iter()}
    for element in root.iter():
        if element not in code and element.text:
            element.text = writing.unwrapped(element.text)
        if (element not in code or element.tag == "pre") and element.tail:
            element.tail = writing.unwrapped(element.tail)


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
