"""Where sentences end, in any script, and where a sentence that is too long may be cut."""

import regex

from burnish import writing

# A sentence ends at ., ! or ? before white space (not before a small Cyrillic letter: an abbreviation), or at their wide forms,
# which no space follows, with the closing quotes and brackets after them. An abbreviation that is missing below costs one
# sentence's context, no text.
_WIDE = "。！？｡।॥።။។"
_CLOSING = "」』”’）】》〉］"
_AT_SPACE = r"(?<=[.!?…؟۔։])\s+(?![\sа-яёіїєґў])"
_END = regex.compile(
    rf"{_AT_SPACE}"
    rf"|(?<=[{_WIDE}]|．(?![0-9０-９]))(?![{_WIDE}{_CLOSING}])\s*"
    rf"|(?<=[{_WIDE}][{_CLOSING}]{{1,2}})(?![{_WIDE}{_CLOSING}])\s*"
)
_END_WITHOUT_WIDE = regex.compile(_AT_SPACE)  # 15 times as fast, and most texts have no wide form
_HAS_WIDE = regex.compile(f"[{_WIDE}．]")
# After these no sentence ends. None is a word or an abbreviation of English, whose cuts stay as they were. One pattern each: the
# search for several at once takes four times as long.
_ABBREVIATIONS = [
    regex.compile(one)
    for one in (
        r"\b(?:z\.\s?B|d\.\s?h|u\.\s?a|o\.\s?ä|i\.\s?d\.\s?R|i\.\s?V\.\s?m|s\.\s?o|m\.\s?E)\.",
        r"\b(?:bzw|vgl|ggf|Nr|Nrn|Ziff|evtl|inkl|zzgl|einschl|sog|Mio|Mrd|Hrsg)\.",
        r"\b\d{1,2}\.\s(?=(?:Januar|Jänner|Februar|März|Mai|Juni|Juli|Oktober|Dezember|Jahrhundert)\b)",
        r"(?<![\w.])[А-ЯЁІЇЄҐ]\.(?:\s?[А-ЯЁІЇЄҐ]\.)*",  # initials
        r"(?<![\w.]|\d\s|\b[а-яё]\.\s)[а-яёіїєґ]\.",  # г. Москва, and all but the last of т. е.
        r"\b(?:ул|рис|табл|гл|ст|стр|см|ср|им|тел|кв|обл|корп|напр|пп|разд|прим)\.",
    )
]


def sentences(text: str) -> list[str]:
    """`text` cut at sentence ends.

    >>> sentences("One. Two? 三。四！「五。」六")
    ['One.', 'Two?', '三。', '四！', '「五。」', '六']
    >>> sentences("Siehe Nr. 5, z. B. Öl. Dann weiter."), sentences("См. рис. 2 и т. д. Далее А. С. Пушкин.")
    (['Siehe Nr. 5, z. B. Öl.', 'Dann weiter.'], ['См. рис. 2 и т. д.', 'Далее А. С. Пушкин.'])
    """
    inside = {at for one in _ABBREVIATIONS for found in one.finditer(text) for at in range(found.start(), found.end() + 1)}
    parts, start = [], 0
    for end in (_END if _HAS_WIDE.search(text) else _END_WITHOUT_WIDE).finditer(text):
        if end.start() in inside:
            continue
        parts.append(text[start : end.start()])
        start = end.end()
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def middle(part: str) -> int:
    """Where to halve `part`: at the white space nearest before its middle, else after it, else at the middle.

    Where words run together: after the comma nearest to the middle, else anywhere but between a letter and its marks. 0 for
    what cannot be halved.

    >>> middle("one two three"), middle("一二三四，五六七八九十"), middle("x")
    (7, 5, 0)
    """
    half = len(part) // 2
    if half and writing.unspaced(part[half - 1 : half + 1]):
        commas = [at + (not sign.isspace()) for at, sign in enumerate(part) if sign.isspace() or sign in "，、；：,;:"]
        near = min(commas, key=lambda at: abs(at - half), default=0)
        return near if len(part) // 4 < near < len(part) - len(part) // 4 else writing.boundary(part, half)
    before = max(part.rfind(space, 0, half + 1) for space in " \n\t")
    after = min((at for space in " \n\t" if (at := part.find(space, half)) > 0), default=0)
    return before if before > len(part) // 4 else after or max(before, 0) or (half and writing.boundary(part, half))
