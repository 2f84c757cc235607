"""Personal data in query texts, in several scripts, and what must not be taken for it."""

from collections.abc import Callable, Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.clicks.privacy import MASK, SUSPECT, masked


@pytest.mark.parametrize(
    ("text", "kept", "kind"),
    [
        ("mail bob@example.com now", "mail […] now", "email"),
        ("пишите на иван@почта.рф", "пишите на […]", "email"),
        ("ｂｏｂ＠ｅｘａｍｐｌｅ．ｃｏｍ", "[…]", "email"),
        ("Konto DE89 3704 0044 0532 0130 00 Betrag", "Konto […] Betrag", "iban"),
        ("iban gb82west12345698765432", "iban […]", "iban"),
        ("card 4111 1111 1111 1111 declined", "card […] declined", "card"),
        ("карта 5105-1051-0510-5100", "карта […]", "card"),
        ("call +49 (0)30 123456-78", "call […]", "phone"),
        ("tel:030/1234567", "tel:[…]", "phone"),
        ("415 555 2671 who", "[…] who", "phone"),
        ("ssn 123-45-6789", "ssn […]", "phone"),
        ("电话138-0013-8000吗", "电话[…]吗", "phone"),
        ("رقم ٠١٢٣٤٥٦٧٨٩", "رقم […]", "phone"),
        ("电话13800138000", "电话[…]", "number"),
        ("order ９８７６５４３２１", "order […]", "number"),
        ("route to 8.8.8.8:53", "route to […]:53", "address"),
        ("ping 2001:4860:4860::8888", "ping […]", "address"),
        ("lease 00:1A:2B:3C:4D:5E", "lease […]", "mac"),
        ("session 550e8400-e29b-41d4-a716-446655440000", "session […]", "token"),
        ("paid 4111 1111 1111 1112 twice", "paid […] twice", "number"),
        ("карта 5105-1051-0510-5101", "карта […]", "number"),
        ("card 4111.1111.1111.1112 123", "card […]", "number"),
        ("卡4111 1111 1111 1112 12/26吗", "卡[…]吗", "number"),
        ("id 110101 19900101 1234", "id […]", "number"),
        ("iban DE88 3704 0044 0532 0130 00", "iban DE88 […]", "number"),
        ("decode eyJhbGci.eyJzdWIi now", "decode […] now", "token"),
        ("jwt=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4ifQ.dBjf-_XW", "jwt=[…]", "token"),
        ("ｅｙＪhbGci….𝐞yJzdWIi", "[…]", "token"),
        ("key ghp_16C7e42F292c6912E7710c838347Ae178B4a", "key […]", "token"),
    ],
)
def test_each_kind_is_masked(text: str, kept: str, kind: str) -> None:
    """What is around it stays."""
    found = masked(text, 8)
    assert (found.text, found.kinds) == (kept, (kind,))


@pytest.mark.parametrize(
    "text",
    [
        "python 3.12.4 and 3.13.0",
        "error 0x80070057",
        "between 2024-01-15 and 2024-01-16",
        "seit 15.01.2024",
        "12345678 rows",
        "127.0.0.1 refused on 192.168.1.10:8080",
        "std::vector a::b fe80::1",
        "iso 9001 27001",
        "iso 9001 2015",
        "covid 19 2020-2021",
        "gdp 2018 2019 2020 2021",
        "gdp 2010 2011 2012 2013",
        "budget (2019-2020)",
        "from 2024-01-15 2024-01-16 2024-01-17",
        "http 301 302 303",
        "eyJack in eyJ.md",
        "networkx.algorithms.shortest_path_length_2021",
        "read_csv_infer_schema_length_10000",
        "@property in a class",
        "ratio 1:1000:2000",
        "第12章 3.4节",
    ],
)
def test_what_names_nobody_stays(text: str) -> None:
    """Versions, dates, error codes, private addresses and names of functions are what people search for."""
    assert masked(text, 8).kinds == ()
    assert masked(text, 8).text == text


def test_a_card_and_an_iban_must_pass_their_checks() -> None:
    """One digit wrong is another kind, or none where longer numbers are allowed than a card or an account has."""
    assert masked("4111 1111 1111 1112", 15).kinds == ("number",)
    assert masked("4111 1111 1111 1112", 16).kinds == ()
    assert masked("4111 1111 1111 1112", 30).kinds == ()
    assert masked("4111 1111 1111 1112 222", 30).kinds == ()
    assert "iban" not in masked("DE88370400440532013000", 30).kinds


def test_long_numbers_are_a_knob() -> None:
    """Where people search by article numbers, thirteen digits are no secret."""
    assert masked("ean 4006381333931", 8).text == f"ean {MASK}"
    assert masked("ean 4006381333931", 13).kinds == ()


LIKELY = st.sampled_from(
    ["@", "＠", "﹫", ".", ":", "：", "-", " ", "+", "①", "⑩", "㍙", "½", "٣", "५", "９", "ab", "example.com", "f"]
    + ["eyJ", "ｅ", "ʸ", "🄹", "eyJhbGci"]
)


@pytest.fixture(scope="module")
def spared() -> Iterator[Callable[[str], bool]]:
    """A function that says whether SQL would spare a text the slow look."""
    with duckdb.connect() as connection:
        yield lambda text: connection.execute(f"select not regexp_matches(?, '{SUSPECT}')", [text]).fetchall() == [(True,)]


@settings(deadline=None)
@given(text=st.lists(LIKELY | st.integers(0, 99_999).map(str) | st.text(max_size=6), max_size=14).map("".join))
def test_no_text_that_would_be_masked_is_spared(spared: Callable[[str], bool], text: str) -> None:
    """SQL asks Python about every text in which Python would find something."""
    assert not (masked(text, 4).kinds and spared(text))
