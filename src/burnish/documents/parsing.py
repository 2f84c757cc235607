"""Files as blocks of text: headings, paragraphs, lists, code and tables, in reading order.

Documents are treated as hostile: nothing of theirs is run, nothing they name is opened, and what they expand to is
limited. Time is not: a caller that takes files from strangers should also give each a process and a deadline. PDFium is
not thread-safe, so use processes, never threads.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from burnish.documents.blocks import Block, ParseError, printable
from burnish.documents.hypertext import html_blocks
from burnish.documents.markup import docx_blocks, markdown_blocks, rst_blocks
from burnish.documents.paragraphs import text_blocks
from burnish.documents.pdf import pdf_blocks

MAX_BYTES = 256 * 2**20  # of a file as it lies on the disk
FORMATS: dict[str, Callable[[Path], list[Block]]] = {
    ".pdf": pdf_blocks,
    ".html": html_blocks,
    ".htm": html_blocks,
    ".docx": docx_blocks,
    ".md": markdown_blocks,
    ".markdown": markdown_blocks,
    ".rst": rst_blocks,
    ".txt": text_blocks,
}


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
    found = [replace(block, text=printable(block.text).strip("\n")) for block in found]
    found = [block for block in found if any(map(str.isalnum, block.text))]
    if not found:
        raise ParseError("empty", f"{path}: holds no text (a scanned PDF needs OCR first)")
    return found
