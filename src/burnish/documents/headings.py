"""Which paragraphs are headings, and how deep: by bookmarks, numbers, size, capitals and weight, in this order of trust."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from burnish import writing
from burnish.documents.lines import CLAUSE, COMMAS, SECTION, SENTENCE_STOPS, Line, division

_LATIN = re.compile(r"[a-zA-Zª-ɏḀ-ỿ]")


@dataclass(frozen=True)
class Look:
    """What sets a document's headings off: its body's size, the levels of larger sizes, the titles of its bookmarks."""

    body: float
    levels: dict[int, int]
    outline: dict[str, int]

    @classmethod
    def of(cls, lines: Sequence[Line], outline: dict[str, int]) -> "Look":
        """The look of a document of these lines."""
        weights: Counter[float] = Counter()
        for line in lines:
            weights[line.size] += len(line.text)
        body = weights.most_common(1)[0][0]
        larger = sorted({round(line.size) for line in lines if line.size > 1.15 * body}, reverse=True)
        return cls(body, {size: min(level, 4) for level, size in enumerate(larger, 1)}, outline)


def heading_level(group: Sequence[Line], text: str, look: Look, *, listed: bool) -> int:
    """The depth of a heading from 1, 0 for all other text; the most reliable sign decides.

    Args:
        group: the lines of a paragraph.
        text: the paragraph.
        look: what headings of this document look like.
        listed: whether the paragraph before or after is numbered as this one is, as items of a list are.
    """
    if level := look.outline.get(bare_title(text), 0):
        return min(level, 6)
    if not is_title(text):
        return 0
    signs = [level for sign in _SIGNS if (level := sign(group, text, look))]
    return signs[0] if signs else 0 if listed else _by_number_alone(text)


def bare_title(title: str) -> str:
    """A title's letters and figures, in which a bookmark and the heading it points to agree."""
    return re.sub(r"[\W_]+", "", title).casefold()


def is_title(text: str) -> bool:
    """Whether a text could be a heading: short, mostly letters, begun with a capital and not ended within a clause."""
    letters = sum(character.isalpha() for character in text)
    return (
        writing.word_count(text) <= 15
        and writing.width(text) <= 120
        and letters >= max(2, len(text) // 3)
        and text[-1] not in ",;，、；،؛。"
        and not next(character for character in text if character.isalpha()).islower()
    )


def title_case(title: str) -> bool:
    """Whether capitals could tell a title from a sentence: it begins in Latin script, where English puts them on each word.

    Chinese and Arabic have none, and a Russian title has one, as a sentence has.
    """
    first = next((character for character in title if character.isalpha()), "A")
    return _LATIN.match(first) is not None


def _by_division(group: Sequence[Line], text: str, look: Look) -> int:
    """`ARTICLE IV`, `Exhibit A: Prices`, `Глава 2`: 1; `Section 3`: 2; `Section 3.2`: 3."""
    level, title = division(text) or (0, "")
    return 0 if title and (title[0].islower() or title[-1] in ".,;。，；،؛") else level


def _by_number(group: Sequence[Line], text: str, look: Look) -> int:
    """`3. TERM`, `3 Term`: 2; `3.2 Term of Agreement`: 3; running text that begins with a number is none."""
    match = SECTION.fullmatch(text)
    if match is None or not match[2][0].isalpha():
        return 0
    title = match[2]
    stands_out = title.isupper() or group[0].bold or group[0].size > 1.15 * look.body
    least = 1.0 if title[-1] in ".:" else 0.6
    if not stands_out and (not title_case(title) or len(title.split()) > 10 or capitalised(title) < least):
        return 0
    return 2 + match[1].count(".")


def _by_number_alone(text: str) -> int:
    """`3. Срок договора`, `一、总则`: 2, where no capital tells a title from a sentence but no other item is beside it."""
    match = SECTION.fullmatch(text) or CLAUSE.fullmatch(text)
    if match is None or title_case(match[2]) or match[2][-1] in SENTENCE_STOPS + COMMAS or writing.word_count(match[2]) > 10:
        return 0
    return 2 + match[1].count(".")


def _by_size(group: Sequence[Line], text: str, look: Look) -> int:
    return look.levels.get(round(group[0].size), 0) if group[0].size > 1.15 * look.body else 0


def _by_capitals(group: Sequence[Line], text: str, look: Look) -> int:
    """A short line in capitals, one level under the larger sizes."""
    fits = text.isupper() and len(text.split()) <= 12 and sum(map(str.isalpha, text)) >= 4 and not re.search("__|:$", text)
    return 1 + max(look.levels.values(), default=0) if fits else 0


def _by_weight(group: Sequence[Line], text: str, look: Look) -> int:
    """A short paragraph all in bold, one level under capitals."""
    return 2 + max(look.levels.values(), default=0) if group[0].bold and len(group) == 1 and text[-1] not in ".:。：" else 0


_SIGNS = (_by_division, _by_number, _by_size, _by_capitals, _by_weight)


def capitalised(title: str) -> float:
    """The share of a title's words, those of up to three letters left out, that do not begin in lower case."""
    long = [word for word in re.findall(r"\w+", title) if len(word) > 3]
    return sum(not word[0].islower() for word in long) / max(1, len(long))
