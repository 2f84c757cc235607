"""Which language a reply is in: short queries in many scripts, and English full of names."""

import json

import pytest

from burnish.synthesis.reply_language import off_language
from conftest import ROOT

QUERIES = {
    "en": ["pin a version", "rows vanish after a join"],
    "de": ["Version festlegen", "Zeilen verschwinden nach dem Verbinden"],
    "fr": ["fixer une version", "des lignes disparaissent après la jointure"],
    "es": ["fijar una versión", "desaparecen filas tras la unión"],
    "pl": ["przypiąć wersję", "wiersze znikają po złączeniu"],
    "ru": ["закрепить версию", "строки пропадают после соединения"],
    "tr": ["sürümü sabitlemek", "birleştirmeden sonra satırlar kayboluyor"],
    "zh": ["固定版本", "连接后行消失了"],
    "ja": ["バージョンを固定する", "結合後に行が消える"],
    "ko": ["버전 고정", "조인 후 행이 사라짐"],
    "ar": ["تثبيت الإصدار", "تختفي الصفوف بعد الدمج"],
    "he": ["קיבוע גרסה", "שורות נעלמות אחרי צירוף"],
    "hi": ["संस्करण स्थिर करें", "जोड़ने के बाद पंक्तियाँ गायब"],
}


@pytest.mark.parametrize("language", QUERIES)
def test_two_short_queries_tell_their_language(language: str) -> None:
    """They are taken for their own language and for none of the others; a few Chinese characters may be Japanese too."""
    text = "\n".join(QUERIES[language])
    taken = {other for other in QUERIES if not off_language(text, other)}
    assert taken - ({"ja"} if language == "zh" else set()) == {language}


def test_names_do_not_make_a_query_foreign() -> None:
    """Of the 1,360 recorded replies, full of an API's terms, none is taken for another language."""
    lines = (ROOT / "data/replies/api_reference-1360.jsonl").read_text(encoding="utf-8").splitlines()
    replies = [json.loads(json.loads(line)["reply"]["text"])["queries"] for line in lines]
    assert sum(off_language("\n".join(one), "en") for one in replies) == 0


def test_a_language_that_is_not_known_is_never_missed() -> None:
    """Nothing can be said of it; and Bokmål is Norwegian."""
    assert not off_language("bara wana ni kusoma", "xx")
    assert not off_language("rader forsvinner etter sammenslåing", "nb")
