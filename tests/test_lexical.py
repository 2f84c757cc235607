"""BM25 against its formula."""

import math

import numpy as np
import pytest

from burnish.search.analysis import query_terms
from burnish.search.lexical import bm25


def test_scores_are_lucenes_formula() -> None:
    """Three passages, one query word: idf times tf saturated with k1 1.5 and b 0.75, computed here by hand."""
    passages = ["zebra zebra stone", "zebra river bridge water", "river stone"]
    indices, scores = bm25(["zebra"], passages, 3, ["xx"] * 3)
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    lengths, counts, mean = [3, 4, 2], [2, 1, 0], 3.0
    expected = [
        idf * count / (count + 1.5 * (1 - 0.75 + 0.75 * length / mean)) for count, length in zip(counts, lengths, strict=True)
    ]
    assert indices.tolist() == [[0, 1, 2]]
    assert scores[0] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)


@pytest.mark.parametrize(("language", "first"), [("en", 1), ("de", 0)])
def test_the_language_chooses_the_stemmer(language: str, first: int) -> None:
    """English "running" finds "runs"; German "Häuser" finds "Haus" only with the German stemmer."""
    queries = {"en": "running", "de": "Häusern"}
    assert bm25([queries[language]], ["ein Häuser", "he runs"], 1, [language] * 2)[0].tolist() == [[first]]


@pytest.mark.parametrize(
    ("language", "query", "right", "wrong"),
    [
        ("ru", "возвраты товаров", "Возврат товара", "Доставка заказа"),
        ("ru", "ещё счета", "еще один счёт", "один заказ"),
        ("de", "STRASSEN", "die Straße", "das Haus"),
        ("ar", "كِتَابٌ", "قراءة الكتاب", "البيت الكبير"),
        ("ar", "ازاله الكلس", "إزالة الكِلْس", "البيت الكبير"),
        ("zh", "取消订单", "如何取消我的订单", "如何查询物流"),
        ("zh", "茶", "绿茶和红茶", "咖啡"),
        ("ja", "注文をキャンセル", "ご注文のキャンセル方法", "配送状況の確認"),
        ("th", "ยกเลิกคำสั่งซื้อ", "วิธียกเลิกคำสั่งซื้อของฉัน", "ติดตามพัสดุ"),
        ("ko", "주문 취소", "주문을 취소하는 방법", "배송 조회"),
        ("hi", "किताबें", "किताब का नाम", "कितना समय"),
        ("tr", "ISLAK", "ıslak zemin", "kuru zemin"),
        ("uk", "Договір", "ДОГОВІР поставки", "акт приймання"),  # no stemmer
        ("en", "Договоры", "the Договор of 1990", "the treaty"),  # the script's own stemmer
        ("zh", "Connections", "一个connection。", "一个socket。"),
        ("mul", "Ｃｏｎｎｅｃｔ", "we connected", "we left"),
    ],
)
def test_the_passage_is_found_in_its_language(language: str, query: str, right: str, wrong: str) -> None:
    """Through stemmer, pairs of signs and folding; what it shares nothing with scores 0."""
    indices, scores = bm25([query], [wrong, right], 2, [language] * 2)
    assert indices.tolist() == [[1, 0]]
    assert scores[0, 0] > 0 == scores[0, 1]


def test_a_query_is_cut_as_each_passage_was() -> None:
    """A word finds itself in any language's passages, though stemmers differ."""
    passages = ["two servers", "zwei Servers", "три Servers"]
    indices, scores = bm25(["Servers"], passages, 3, ["en", "de", "ru"])
    assert sorted(indices[0].tolist()) == [0, 1, 2]
    assert scores.min() > 0


def test_stop_words_find_nothing() -> None:
    """In English "the" is no word to search for: all passages score 0."""
    assert bm25(["the"], ["the sun", "the moon"], 2, ["en"] * 2)[1].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("query", ["unheard of words xyzzy", "???", ""])
def test_a_query_of_unknown_words_scores_nothing_anywhere(query: str) -> None:
    """It comes back in the order of the passages, and is no error."""
    indices, scores = bm25([query], ["sun light", "moon light"], 2, ["en"] * 2)
    assert (indices.tolist(), scores.tolist()) == ([[0, 1]], [[0.0, 0.0]])


@pytest.mark.parametrize(("language", "word"), [("ar", "فِي"), ("ru", "ещё"), ("fi", "että"), ("de", "der"), ("nb", "og")])
def test_stop_words_of_a_language(language: str, word: str) -> None:
    """From bm25s or stopwords-iso, with marks or without."""
    assert query_terms(word, language) == []


def test_passages_without_a_word_are_no_error() -> None:
    """Nothing is found in them."""
    assert bm25(["sun"], ["???", ""], 2, ["en", "zh"])[1].tolist() == [[0.0, 0.0]]


def test_equal_scores_come_in_the_order_of_the_passages() -> None:
    """Whatever sorting does with ties."""
    assert bm25(["sun"], ["sun"] * 50, 5, ["en"] * 50)[0].tolist() == [[0, 1, 2, 3, 4]]


def test_the_order_of_passages_changes_no_score() -> None:
    """A shuffled corpus ranks the same texts with the same scores."""
    passages = [f"word{at} word{at % 3} stone{at % 5} river" for at in range(20)]
    order = np.random.default_rng(0).permutation(20)
    plain, scores = bm25(["word1 stone2 word7"], passages, 20, ["en"] * 20)
    found, same_scores = bm25(["word1 stone2 word7"], [passages[at] for at in order], 20, ["en"] * 20)
    assert same_scores == pytest.approx(scores)
    assert order[found[0, 0]] == plain[0, 0]
