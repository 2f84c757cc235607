"""Near-duplicates: what is grouped, whatever the order, and that similarity is the exact Jaccard index."""

import tracemalloc
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rensa import RMinHashLSH

from burnish.documents import duplicates
from burnish.writing import normalised

TEXT = "the supplier shall keep the goods insured at its own cost until they have been delivered to the named place " * 3
NEAR = TEXT + "and shall give proof"
OTHER = "a graph is bipartite when its nodes can be split into two sets such that every edge joins one set to the other"
QUERIES = st.lists(st.text("abc dé文", max_size=12), max_size=8)


def grouped(texts: dict[str, str], threshold: float = 0.8) -> dict[str, str]:
    """The group of each id."""
    found = duplicates.groups(list(texts), [duplicates.signature(text) for text in texts.values()], threshold)
    return dict(zip(texts, found, strict=True))


def test_near_duplicates_share_the_smallest_id() -> None:
    """A group is named by its smallest id; a document like no other is a group of its own."""
    assert grouped({"c": NEAR, "b": TEXT, "a": OTHER}) == {"c": "b", "b": "b", "a": "a"}


@given(st.permutations(["a", "b", "c", "d", "e"]))
@settings(max_examples=20, deadline=None)
def test_the_order_of_documents_changes_no_group(order: list[str]) -> None:
    """Groups depend on the documents alone."""
    texts = {"a": TEXT, "b": OTHER, "c": NEAR, "d": OTHER + " set", "e": "nothing like it in the world"}
    assert grouped({name: texts[name] for name in order}) == {"a": "a", "b": "b", "c": "a", "d": "b", "e": "e"}


def test_a_chain_is_one_group() -> None:
    """Two documents that are not alike are in one group when a third is like both."""
    words = [f"word{number}" for number in range(130)]
    texts = {str(start): " ".join(words[start : start + 100]) for start in (0, 10, 20, 30)}
    assert set(grouped(texts, 0.7).values()) == {"0"}
    del texts["10"], texts["20"]
    assert set(grouped(texts, 0.7).values()) == {"0", "30"}


@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=12), max_size=12), st.sampled_from([0.5, 0.8, 1.0]))
@settings(max_examples=100, deadline=None)
def test_groups_are_those_of_all_pairs(ends: list[list[int]], threshold: float) -> None:
    """Every candidate pair of rensa's own index, compared with one another and joined in any order, gives the same groups."""
    texts = {f"{at:02}": f"{OTHER} {' '.join(map(str, end))}" for at, end in enumerate(ends)}
    signatures = [duplicates.signature(text) for text in texts.values()]
    index = RMinHashLSH(threshold=threshold, num_perm=128, num_bands=32)
    index.insert_pairs(list(enumerate(signatures)))
    expected = {name: name for name in texts}
    for one, other in combinations(range(len(texts)), 2):
        if other in index.query(signatures[one]) and signatures[one].jaccard(signatures[other]) >= threshold:
            left, right = sorted((expected[f"{one:02}"], expected[f"{other:02}"]))
            expected = {name: left if group == right else group for name, group in expected.items()}
    assert grouped(texts, threshold) == expected


def test_ten_thousand_alike_take_no_list_of_pairs() -> None:
    """5,000 equal documents and 5,000 that differ from one another in a word are one group, beside another one; the 50 million
    pairs among them would take gigabytes.
    """
    words = TEXT.split()
    texts = {f"a{at:04}": TEXT for at in range(5000)}
    texts |= {f"b{at:04}": " ".join([*words[:30], f"word{at}", *words[31:]]) for at in range(5000)}
    texts |= {"c": OTHER, "d": f"{OTHER} of edges"}
    signatures = [duplicates.signature(text) for text in texts.values()]
    tracemalloc.start()
    found = duplicates.groups(list(texts), signatures, 0.7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ["a0000"] * 10_000 + ["c", "c"]
    assert peak < 100e6


def test_case_and_punctuation_make_no_difference() -> None:
    """Two spellings of one text have one signature."""
    assert duplicates.signature("Pin a Version, please!").jaccard(duplicates.signature("pin a version — please")) == 1


@pytest.mark.parametrize("text", ["", "!", "a", "文書を読む"])
def test_short_texts_have_a_signature(text: str) -> None:
    """Less than three words, or a script without spaces, is like itself and unlike others."""
    assert duplicates.signature(text).jaccard(duplicates.signature(text)) == 1
    assert duplicates.signature(text).jaccard(duplicates.signature(OTHER)) < 0.1


def test_no_documents_are_no_groups() -> None:
    """Nothing in, nothing out."""
    assert grouped({}) == {}


@given(QUERIES, QUERIES, st.sampled_from([0.3, 0.5, 0.7, 1.0]))
@settings(max_examples=100, deadline=None)
def test_similarity_is_the_jaccard_index(texts: list[str], others: list[str], threshold: float) -> None:
    """Every pair and no other, as a loop over all pairs of shingle sets finds them."""

    def shingles(text: str) -> set[str]:
        padded = f" {normalised(text)} "
        pairs = {padded[at : at + 2] for at in range(len(padded) - 1) if "文" in padded[at] or padded[at : at + 2] == " 文"}
        fours = {
            padded[at : at + 4] for at in range(max(1, len(padded) - 3)) if padded[at] != "文" and padded[at : at + 2] != " 文"
        }
        return {"文"} & set(padded) | pairs | {four for four in fours if len(four) == 4 or "文" not in padded}

    expected = []
    for one, text in enumerate(texts):
        for other, against in enumerate(others):
            left, right = shingles(text), shingles(against)
            if len(left & right) / len(left | right) >= threshold:
                expected.append((one, other, len(left & right) / len(left | right)))
    assert duplicates.near_duplicates(texts, others, threshold) == expected


def test_more_texts_than_a_block_are_compared() -> None:
    """The sparse product runs in blocks; a pair in the last block counts as any other."""
    texts = [f"query number {number:04} about thing {number * 7919 % 1000:04}" for number in range(600)]
    assert duplicates.near_duplicates(texts, [texts[599]], 1.0) == [(599, 0, 1.0)]


def test_clusters_are_named_by_their_smallest_text() -> None:
    """Whatever the order of the texts."""
    texts = ["how to pin a version?", "cook rice", "How to pin a version"]
    assert duplicates.clusters(texts, 0.7) == [texts[2], "cook rice", texts[2]]
    assert duplicates.clusters(texts[::-1], 0.7) == [texts[2], "cook rice", texts[2]]
    assert duplicates.clusters([], 0.7) == []


@given(st.text("aB ßéﬁ_.…文", max_size=20))
@settings(deadline=None)
def test_normalised_text_stays_as_it_is(text: str) -> None:
    """Normalising twice is normalising once, and leaves no upper case, punctuation or double space."""
    plain = normalised(text)
    assert normalised(plain) == plain
    assert all(word.isalnum() for word in plain.split(" ") if plain)


def test_a_sign_that_is_a_word_is_a_shingle() -> None:
    """Of Chinese each sign and each pair: "取消订单" and "取消定单" share 3 of 4 signs and 3 of 5 pairs, ends included."""
    found = duplicates.near_duplicates(["取消订单"], ["取消定单"], 0.3)
    assert found == [(0, 0, pytest.approx((3 + 3) / (5 + 7)))]
    assert duplicates.near_duplicates(["上海到北京"], ["北京到上海"], 0.7) == []


@pytest.mark.parametrize(
    "script",
    [
        "买方应当自发票开具之日起十个银行工作日内付款逾期付款的按照每日千分之一的比例支付违约金",
        "กรุณาชำระเงินภายในสิบวันทำการนับจากวันที่ออกใบแจ้งหนี้",
    ],
)
def test_documents_without_spaces_are_near_duplicates_too(script: str) -> None:
    """One sign changed in four times the text makes a near-duplicate; the first half and the second are none."""
    text = script + script[::-1] + script[::2] + script[1::2]
    edited = text[:30] + "一" + text[31:]
    assert grouped({"a": text, "b": edited, "c": script[::-1] + script}) == {"a": "a", "b": "a", "c": "c"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ｐｙｔｈｏｎ 安装「包」", "python安装包"),
        ("Straße GRÖSSE", "strasse grosse"),
        ("Ещё счёт", "еще счет"),
        ("العَقْـــدُ الأوَّل ٣", "العقد الاول 3"),
        ("שָׁלוֹם", "שלום"),
        ("مدرسة علی", "مدرسه علي"),
        ("می\u200cخواهم", "میخواهم"),
        ("İstanbul", "istanbul"),
    ],
)
def test_spellings_of_one_text_are_one(one: str, other: str) -> None:
    """Width, case, accents, points, tatweel, hamza, digits and invisible signs make no difference."""
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(("one", "other"), [("чай", "чаи"), ("किताब", "कतब"), ("がく", "かく"), ("ดี", "ด"), ("取消", "取得")])
def test_letters_are_no_accents(one: str, other: str) -> None:
    """й, vowel signs of Hindi and Thai, and voiced kana tell words apart."""
    assert normalised(one) != normalised(other)
