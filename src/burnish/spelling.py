"""Which spellings are one question: signs that make another question of the same words are read, all else is `normalised`."""

import unicodedata

import regex

from burnish.writing import UNSPACED, normalised

# Of two signs at least: a lone stroke, dash or ampersand is punctuation. What also stands in addresses and names must stand alone.
_OPERATOR = regex.compile(r"([!=]==|<=>|[-!%&*+/:<=>^|~]=|&&|\|\||[-=|]>|<[-<>]|>>|=~|(?<!\S)(?:\*\*|//|::|%%)(?!\S))")
_MEANT = regex.compile(rf"(?<=\w)[+#]|(?<![[\w.)\]]--[{UNSPACED}]])\.(?=\w)", regex.V1)  # C++ and C# are no C, .NET is no net
_SIGN = regex.compile(r"[-!#%&*+./:<=>^|~]")  # without one of them nothing above is found
_NAMES = {"+": " plus ", "#": " sharp ", ".": " dot "}


def spelling(text: str) -> str:
    """What all spellings of a question have in common; the text itself where it has no letter and no digit.

    >>> spelling("What's a lien?") == spelling("what s a  lien"), spelling("&&") == spelling("||")
    (True, False)
    >>> spelling("Sort in C++?"), spelling("sort in c#"), spelling("a&&b"), spelling(".NET core")
    ('sort in c plus', 'sort in c sharp', 'a && b', 'dot net core')
    """
    if not _SIGN.search(plain := text if text.isascii() else unicodedata.normalize("NFKC", text)):
        return normalised(plain) or text
    parts = _OPERATOR.split(plain)
    return " ".join(filter(None, (part if at % 2 else _named(part) for at, part in enumerate(parts)))) or text


def _named(text: str) -> str:
    return normalised(_MEANT.sub(lambda sign: _NAMES[sign[0]], text))
