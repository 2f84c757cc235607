"""What every format is read as: blocks of clean text, or the reason why there are none."""

import codecs
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "text", "list", "code", "table"]
MAX_TEXT_BYTES = 64 * 2**20  # of the text of a PDF, and of the XML of a .docx (its tree takes 26 times as much memory)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ufffe\uffff\ud800-\udfff]")
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xa0": " "})


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


def printable(text: str) -> str:
    r"""`text` composed (NFC), without control and zero-width characters, and with ligatures as their letters.

    >>> printable("e\u0301 \ufb01n\u00ad\x07")
    'é fin'
    """
    return unicodedata.normalize("NFC", _UNPRINTABLE.sub("", text.replace("\r\n", "\n")).translate(_LIGATURES))


def decoded(data: bytes, encoding: str = "utf-8") -> str:
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
