"""Near-duplicates: what is grouped, whatever the order, and that similarity is the exact Jaccard index."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.documents import duplicates

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
        padded = f" {duplicates.normalised(text)} "
        return {padded[at : at + 4] for at in range(max(1, len(padded) - 3))}

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
    plain = duplicates.normalised(text)
    assert duplicates.normalised(plain) == plain
    assert all(word.isalnum() for word in plain.split(" ") if plain)
