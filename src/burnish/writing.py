"""How texts are written, in any script: which signs need no space, what is a word, which spellings are one."""

import unicodedata
from itertools import pairwise

import regex

# Scripts that put no space between words. Of the first group a sign is a syllable or a word, of the second a letter.
_SYLLABLES = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Bopomofo}\p{Yi}"
_LETTERS = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
UNSPACED = _SYLLABLES + _LETTERS
DENSE = _SYLLABLES + r"\p{Hangul}"  # one sign says as much as two or three letters
_GRAMS = UNSPACED + r"\p{Hangul}"  # Korean has spaces, but its particles are part of the word
WIDE_PUNCTUATION = r"\u3000-\u3003\u3008-\u3020\u3030\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"

_UNSPACED = regex.compile(f"[{UNSPACED}]")
_DENSE = regex.compile(f"[{DENSE}]")
_JOINS = regex.compile(f"[{UNSPACED}{WIDE_PUNCTUATION}]")
_WIDE = regex.compile(f"[{WIDE_PUNCTUATION}]")
_WRAP = regex.compile(rf"(?<=[{UNSPACED}{WIDE_PUNCTUATION}])[^\S\n]*\n\s*(?=[{UNSPACED}{WIDE_PUNCTUATION}])")
_COUNTED = regex.compile(rf"[{_SYLLABLES}]{{1,2}}|[{_LETTERS}]{{1,5}}|[[\w\p{{M}}]--[{UNSPACED}]]+", regex.V1)
_TERM = regex.compile(rf"[{_GRAMS}]\p{{M}}*+(?:[{_GRAMS}]\p{{M}}*+)*+|[[\w\p{{M}}]--[{_GRAMS}]]+", regex.V1)
_IN_PAIRS = regex.compile(f"[{_GRAMS}]")
_LEFTWARDS = regex.compile(r"[\p{Arabic}\p{Hebrew}\p{Syriac}\p{Thaana}\p{Nko}&&\p{L}]", regex.V1)
_CLUSTER = regex.compile(r"\X")
_NOT_WORD = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_LOOSE = regex.compile(f"(?<=[{UNSPACED}]) | (?=[{UNSPACED}])")

# Accents, vowel points and tatweel: what people leave out when they type. Marks of Indic scripts, Thai and kana are letters.
_MARKS = regex.compile(
    r"(?<!и)\u0306|[\u0300-\u0305\u0307-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f"
    r"\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    r"\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\p{Cf}]"
)
_DIGIT = regex.compile(r"[^\P{Nd}0-9]")
_ALIKE = str.maketrans({"ٱ": "ا", "ى": "ي", "ی": "ي", "ې": "ي", "ک": "ك", "ة": "ه", "ہ": "ه", "ھ": "ه"}
                       | {"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})  # fmt: skip


def folded(text: str) -> str:
    """`text` with everything made alike that people vary in typing: case, width, accents, vowel points, digits.

    Unicode's compatibility forms (NFKC) and case folding, then without accents of Latin, Greek and Cyrillic (й stays), Hebrew
    points, Arabic vowel signs, hamza and tatweel; the Arabic letters that Lucene's ArabicNormalizer makes one are one here too.

    >>> folded("Ｓtraße Ещё élan ３"), folded("العَقــدُ") == folded("العقد")
    ('strasse еще elan 3', True)
    """
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    bare = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", plain)))
    return str(_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), bare)).translate(_ALIKE)


def normalised(text: str) -> str:
    """`text` folded, without punctuation, its words parted by one space, and by none in scripts that need none.

    Two texts of one normalised form say the same. Simplified and traditional Chinese are not made one.

    >>> normalised("  How do I  pin a “Version”? "), normalised("如何 安装「Ｐｙｔｈｏｎ」？")
    ('how do i pin a version', '如何安装python')
    """
    words = " ".join(_NOT_WORD.sub(" ", folded(text)).split())
    return words if words.isascii() else str(_LOOSE.sub("", words))


def terms(text: str) -> list[str]:
    """The words of `text` as a search by words knows them; overlapping pairs of signs in scripts where words run together.

    Pairs as in Lucene's CJKAnalyzer, of user-perceived signs (a Thai letter with its vowel is one); a lone sign stands alone.
    An underscore is part of a word.

    >>> terms("安装Python包 read_csv"), terms("हिन्दी में")
    (['安装', 'Python', '包', 'read_csv'], ['हिन्दी', 'में'])
    """
    return [term for run in runs(text) for term in (pairs(run) if in_pairs(run) else [run])]


def runs(text: str) -> list[str]:
    """The words of `text`, and each stretch of signs that no space parts.

    >>> runs("安装Python包")
    ['安装', 'Python', '包']
    """
    found: list[str] = _TERM.findall(text)
    return found


def has_pairs(text: str) -> bool:
    """Whether any sign of `text` is of a script where words run together."""
    return not text.isascii() and _IN_PAIRS.search(text) is not None


def in_pairs(run: str) -> bool:
    """Whether a run, as `runs` gives it, is of a script where words run together."""
    return not run.isascii() and _IN_PAIRS.match(run) is not None


def clusters(text: str) -> list[str]:
    """The signs of `text` as a reader sees them: a letter with its marks is one.

    >>> clusters("ได้")
    ['ไ', 'ด้']
    """
    found: list[str] = _CLUSTER.findall(text)
    return found


def pairs(run: str) -> list[str]:
    """The overlapping pairs of signs of a run.

    >>> pairs("取消订单"), pairs("茶")
    (['取消', '消订', '订单'], ['茶'])
    """
    signs = clusters(run)
    return [one + two for one, two in pairwise(signs)] or signs


def word_count(text: str) -> int:
    """The number of words, parted by white space; without it two Chinese or five Thai signs count as one, about as they are.

    >>> word_count("How do I pin it ?"), word_count("如何取消订单？")
    (6, 3)
    """
    return len(_COUNTED.findall(text)) if unspaced(text) else len(text.split())


def width(text: str) -> int:
    """The number of letters, where a Chinese, Japanese or Korean sign counts as two of an alphabet.

    >>> width("abc"), width("退货")
    (3, 4)
    """
    return len(text) if text.isascii() else len(text) + len(_DENSE.findall(text))


def right_to_left(text: str) -> bool:
    """Whether most letters of `text` are of a script that is written from right to left.

    >>> right_to_left("العقد No"), right_to_left("the word عقد")
    (True, False)
    """
    return not text.isascii() and 2 * len(_LEFTWARDS.findall(text)) > sum(map(str.isalpha, text))


def unspaced(text: str) -> bool:
    """Whether any sign of `text` is of a script that puts no space between words."""
    return not text.isascii() and _UNSPACED.search(text) is not None


def joint(before: str, after: str) -> str:
    """What stands between two pieces of a text that are put together: a space, or nothing where the script has none.

    >>> joint("一。", "二"), joint("one.", "Two"), joint("है।", "वह")
    ('', ' ', ' ')
    """
    last, first = before[-1:], after[:1]
    if last.isascii() and first.isascii():
        return " "
    return "" if wide(last) or wide(first) or (_JOINS.match(last) and _JOINS.match(first)) else " "


def wide(sign: str) -> bool:
    """Whether a sign is full-width punctuation, whose own white stands for a space.

    >>> wide("。"), wide(".")
    (True, False)
    """
    return _WIDE.match(sign) is not None


def unwrapped(text: str) -> str:
    r"""`text` without the line ends that stand between two signs of a script without spaces.

    >>> unwrapped("第一\n  行 and\nmore")
    '第一行 and\nmore'
    """
    return str(_WRAP.sub("", text)) if "\n" in text and unspaced(text) else text


def clipped(text: str, most: int) -> str:
    r"""`text`, or its beginning and an ellipsis, at most `most` characters; no letter loses its marks.

    >>> clipped("abcdef", 4), clipped("cafe\u0301s", 5) == "caf…"
    ('abc…', True)
    """
    return text if len(text) <= most else text[: boundary(text, most - 1)].rstrip() + "…"


def boundary(text: str, at: int) -> int:
    r"""The place nearest before `at`, or `at` itself, that parts no letter from its marks; `at` where that leaves nothing.

    >>> boundary("cafe\u0301s", 4), boundary("cafes", 4)
    (3, 4)
    """
    start = max(0, at - 32)
    window = text[start : at + 32]
    if window.isascii():
        return at
    ends = [start + cluster.end() for cluster in _CLUSTER.finditer(window)]
    return max((end for end in ends if end <= at), default=at)
