"""Numbers and others' texts as a reader of the report sees them."""

import math
import re
import unicodedata

from burnish.writing import clipped


class Given(str):
    """Text that others wrote."""

    __slots__ = ()


def clean(text: str, most: int = 10_000) -> str:
    r"""`text` on one line, without control and direction characters, cut to `most` characters, no letter from its marks.

    Joiners stay, since Persian, Indic scripts and emoji need them.

    >>> clean("a\n b\x1b[0m\u202ec")
    'a b[0mc'
    >>> clean("abcdef", 4)
    'abc…'
    """
    shown = "".join(
        one for one in " ".join(text.split()) if one in "\u200c\u200d" or unicodedata.category(one) not in {"Cc", "Cf"}
    )
    return clipped(shown, most)


def code_span(text: str) -> str:
    r"""`text` as Markdown code within a table cell: no HTML, link, reference or @mention in it is one.

    The fence is longer than any run of backticks inside; a pipe is escaped, which GitHub's tables undo within code too.

    >>> print(code_span("<b> @all `x` | [y](z)"))
    ``<b> @all `x` \| [y](z)``
    """
    shown = clean(text) or "(empty)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{pad}{shown}{pad}{fence}".replace("|", r"\|")


def number(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` decimals, or a dash where there is none.

    >>> number(0.42549), number(None)
    ('0.425', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """`value` as a difference: its sign always shown, none for what rounds to 0.

    >>> signed(0.11), signed(-0.0104, 4), signed(-0.0001)
    ('+0.110', '−0.0104', '0.000')
    """
    shown = number(value, digits)
    if not any(one in "123456789" for one in shown):
        return shown.removeprefix("−")
    return shown if shown.startswith("−") else f"+{shown}"


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval of differences, or nothing where it was not computed.

    >>> interval(-0.01, 0.11)
    '−0.010 to +0.110'
    """
    return "" if low is None or high is None else f"{signed(low, digits)} to {signed(high, digits)}"
