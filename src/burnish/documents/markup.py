"""The formats that have a good way to HTML: Word, Markdown and reStructuredText."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from xml.parsers.expat import ExpatError

import docutils.core
import docutils.nodes
import docutils.parsers.rst
import docutils.utils
import mammoth
from docutils.parsers.rst import directives
from markdown_it import MarkdownIt

from burnish.documents.blocks import MAX_TEXT_BYTES, Block, ParseError, decoded
from burnish.documents.hypertext import blocks_of

MAX_EXPANDED_BYTES = 2**30  # of all members of a .docx
MAX_RATIO = 200  # expanded to packed; Word's own style sheets reach 32
MIN_SUSPECT_BYTES = 16 * 2**20  # below this a high ratio does no harm
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


def docx_blocks(path: Path) -> list[Block]:
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
    return blocks_of(result.value)


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


def markdown_blocks(path: Path) -> list[Block]:
    """The blocks of a CommonMark file with tables; HTML inside it is read as HTML, YAML before it is left out."""
    text = re.sub(r"\A---\n.*?\n(?:---|\.\.\.)[ \t]*\n", "", decoded(path.read_bytes()), count=1, flags=re.DOTALL)
    return blocks_of(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


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


def rst_blocks(path: Path) -> list[Block]:
    """The blocks of a reStructuredText file, Sphinx's roles and directives read as the text that they hold."""
    text = _ROLE.sub(lambda role: role[1].lstrip("~!"), decoded(path.read_bytes()))
    try:
        parts = docutils.core.publish_parts(text, writer="html5", settings_overrides=_RST_SETTINGS)
    except (docutils.utils.SystemMessage, docutils.ApplicationError) as error:
        raise ParseError("corrupt", f"not readable as reStructuredText: {error}") from error
    return blocks_of(parts["html_body"])


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
