"""Personal data in query texts: found by its form in any script, and masked before the text reaches a file."""

import ipaddress
import itertools
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

MASK = "[…]"  # no word of any language

# What RE2 must find in a text before `masked` can find anything: the sign of an address, two characters that are numbers or
# hold one (NFKC makes "10" of ⑩), or the beginning of a JSON web token in letters of any width or style. Every form below needs
# one of them, so all other texts are spared the slow look.
_STYLED = r"\x{2B8}\x{1D2C}-\x{1D6A}\x{2071}-\x{24E9}\x{FF21}-\x{FF5A}\x{1D400}-\x{1F169}"
SUSPECT = (
    r"[@:\x{FF20}\x{FE6B}\x{FF1A}\x{FE55}\x{FE13}]|(?:[\p{N}\p{So}](?s:.*)){2}"
    rf"|[e{_STYLED}][y{_STYLED}][J{_STYLED}]"
)

_SIGN = r"[ .()/\-‐-―−]"
_GAP = _SIGN + "{0,3}"
_START, _END = r"(?<![\dA-Za-z_])", r"(?![\dA-Za-z_])"  # letters of scripts without spaces may touch
_YEAR = re.compile(r"(?:1[89]|20)\d\d")
_GROUPED = 13  # digits from which groups are a number, as those of cards are; fewer may be counts, codes or standards
_DATE = re.compile(r"(?<!\d)(?:\d{4}([-./])\d{1,2}\1\d{1,2}|\d{1,2}([-./])\d{1,2}\2\d{4})(?!\d)")


@dataclass(frozen=True)
class Masked:
    """A text without personal data, and the kinds that it held, sorted."""

    text: str
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """What a kind of data looks like, and how much of what looks so is it indeed: so many characters from the start."""

    kind: str
    pattern: re.Pattern[str]
    length: Callable[[str], int]


def masked(text: str, max_digits: int) -> Masked:
    """`text` with e-mail, network and MAC addresses, IBANs, cards, tokens, phone numbers and long numbers masked.

    Forms are looked for after NFKC, so full-width letters and digits count, and digits of every script are digits. Cards must
    pass Luhn's check and IBANs their own (ISO 13616); addresses of private networks tell of nobody and stay. Names and street
    addresses have no form: what keeps those out is that a query must have been asked by several people (`min_users`).

    Args:
        text: what somebody asked.
        max_digits: a number with more digits than this is masked whatever it may be; in groups, if it has 13 too (`_groups`).

    >>> masked("invoice for Ann.B@example.org, card 4111 1111 1111 1111", 8)
    Masked(text='invoice for […], card […]', kinds=('card', 'email'))
    >>> masked("error 0x80070057 after 2024-01-15 on 127.0.0.1", 8).kinds
    ()
    """
    plain = unicodedata.normalize("NFKC", text)
    found: set[str] = set()
    grouped = Form("number", _NUMBERS, lambda found: _groups(found, max(max_digits + 1, _GROUPED)))
    for form in (*_FORMS, grouped, Form("number", re.compile(rf"\d{{{max_digits + 1},}}"), len)):
        plain, held = _without(plain, form)
        found |= {form.kind} if held else set()
    return Masked(plain if found else text, tuple(sorted(found)))


def _without(text: str, form: Form) -> tuple[str, bool]:
    """(`text` with what has the form masked, whether there was any)."""
    parts, end, held = [], 0, False
    for match in form.pattern.finditer(text):
        if length := form.length(match[0]):
            parts += [text[end : match.start()], MASK]
            end, held = match.start() + length, True
    return "".join([*parts, text[end:]]), held


def _digits(text: str) -> list[int]:
    return [unicodedata.decimal(one) for one in text if one.isdecimal()]


def _address(found: str) -> int:
    """The whole length of a public IPv4 or global unicast IPv6 address; `a::b` of a programming language is none."""
    try:
        address = ipaddress.ip_address(found.rstrip(".:"))
    except ValueError:
        return 0
    unicast = address.version == 4 or address in ipaddress.ip_network("2000::/3")
    return len(found) if address.is_global and unicast else 0


def _mac(found: str) -> int:
    return len(found) if ":" in found or len(_digits(found)) >= 4 else 0


def _iban(found: str) -> int:
    """The length of the longest start of `found` whose remainder by 97 is 1, as ISO 13616 wants it; 0 without one."""
    ends = [at + 1 for at, one in enumerate(found) if one.isalnum()]
    for count in range(min(len(ends), 34), 14, -1):
        plain = "".join(one for one in found[: ends[count - 1]] if one.isalnum())
        number = int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4]))
        if number % 97 == 1 and len(_digits(plain)) >= 4:
            return ends[count - 1]
    return 0


def _card(found: str) -> int:
    """The whole length if the digits pass Luhn's check (ISO/IEC 7812-1), as those of some years do."""
    doubled = [digit * (1 + at % 2) for at, digit in enumerate(reversed(_digits(found)))]
    valid = sum(digit - 9 * (digit > 9) for digit in doubled) % 10 == 0
    return len(found) if valid and not _of_years(found) else 0


def _token(found: str) -> int:
    """The whole length if letters and digits alternate, as in keys and session ids and hardly in names.

    >>> _token("550e8400-e29b-41d4-a716-446655440000"), _token("read_parquet_2024")
    (36, 0)
    """
    kinds = [kind for kind, _ in itertools.groupby(one.isdecimal() for one in found if one.isalnum())]
    digits = len(_digits(found))
    return len(found) if digits >= 4 and (len(kinds) > 4 or (digits >= 8 and len(kinds) > 1)) else 0


def _phone(found: str) -> int:
    """The whole length of what has as many digits as a phone number (E.164: fifteen at most) and is no date and no address.

    After a plus, a bracket or a leading nought seven digits are enough; joined by hyphens nine; otherwise ten in groups, of
    which not all are years (`_of_years`).
    """
    digits = _digits(found)
    marked = found[0] in "+(" or digits[0] == 0
    if found[0] != "+" and digits[0] and _of_years(found):
        return 0
    least = 7 if marked else 9 if not re.search(r"[^\d-]", found) else 10
    quad = re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", found)
    grouped = marked or not found.isdecimal()
    return len(found) if grouped and least <= len(digits) <= 15 and not quad and not _DATE.search(found) else 0


def _groups(found: str, least: int) -> int:
    """The whole length of groups that have so many digits together and are not years.

    A card or an account with a digit mistyped passes no check, and is as much of a secret.

    >>> _groups("4111 1111 1111 1112", 13), _groups("2019 2020 2021 2022", 13)
    (19, 0)
    """
    return len(found) if len(_digits(found)) >= least and not _of_years(found) else 0


def _of_years(found: str) -> bool:
    """Whether groups are years, two at least, but for two digits.

    >>> _of_years("19 2020-2021"), _of_years("415 555 2020")
    (True, False)
    """
    groups = re.findall(r"\d+", found)
    years = [one for one in groups if _YEAR.fullmatch(one)]
    return len(years) > 1 and len("".join(groups)) <= 4 * len(years) + 2


# Three groups of three digits or more, and two shorter ones, such as the date that a card expires.
_NUMBERS = re.compile(rf"{_START}\d{{3,}}(?:{_SIGN}{{1,3}}\d{{3,}}){{2,}}(?:{_SIGN}{{1,3}}\d{{1,2}}){{0,2}}{_END}")
_WEB_TOKEN = re.compile(rf"{_START}eyJ[A-Za-z0-9_-]{{5,}}(?:\.+[A-Za-z0-9_-]+)*")  # JSON's {" in Base64
_FORMS = (  # what has a check of its own comes before what is told by its length alone
    Form("token", _WEB_TOKEN, len),
    Form("email", re.compile(r"[^\s@<>()\[\],;:\"']+@[^\s@<>()\[\],;:\"']+\.[^\W\d_]{2,}"), len),
    Form("iban", re.compile(rf"{_START}[A-Za-z]{{2}}[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{11,38}}"), _iban),
    Form("card", re.compile(rf"{_START}\d(?:{_GAP}\d){{12,18}}{_END}"), _card),
    Form("address", re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)"), _address),
    Form("address", re.compile(rf"{_START}[0-9A-Fa-f:]+:[0-9A-Fa-f:]+{_END}"), _address),
    Form("mac", re.compile(rf"{_START}[0-9A-Fa-f]{{2}}(?:[:-][0-9A-Fa-f]{{2}}){{5}}{_END}"), _mac),
    Form("token", re.compile(rf"{_START}[A-Za-z0-9_-]{{16,}}{_END}"), _token),
    Form("phone", re.compile(rf"{_START}[+(]?\d(?:{_GAP}\d){{6,18}}{_END}"), _phone),
)
