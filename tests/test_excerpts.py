"""Excerpts: windows of a document that outlive the size of passages."""

import polars as pl
import pytest

from burnish.documents import chunking
from burnish.documents.blocks import Block
from burnish.documents.chunking import Sizes
from burnish.synthesis.excerpts import excerpts
from handmade import table

SECTIONS = [
    Block("text", "Cuts a table into windows. Each window has a start and an end. Windows may overlap."),
    Block("heading", "Parameters", 1),
    Block("text", "every : the step between two windows, as a duration. It must be positive."),
    Block("text", "period : the length of a window. It is equal to the step by default."),
    Block("heading", "Notes", 1),
    Block("text", "A window without rows is left out. Use upsample to keep it. Ends belong to no window."),
]


def chunked(sizes: Sizes, blocks: list[Block] = SECTIONS) -> pl.DataFrame:
    """The passages of one document at these sizes, a token being a word."""
    found = chunking.passages(blocks, "T", sizes, lambda texts: [len(text.split()) for text in texts])
    return table(*(("d", "T", one.heading, one.text) for one in found))


@pytest.mark.parametrize("sizes", [Sizes(16, 6, 0), Sizes(24, 8, 8), Sizes(40, 0, 20), Sizes(60, 20, 60)])
def test_excerpts_do_not_depend_on_the_size_of_passages(sizes: Sizes) -> None:
    """Whatever passages are cut to, and however small sections are merged, the windows read the same."""
    whole = excerpts(chunked(Sizes(500, 0, 500)), characters=90, per_document=9)
    assert [one.text for one in excerpts(chunked(sizes), characters=90, per_document=9)] == [one.text for one in whole]


def test_excerpts_hold_the_whole_text_once() -> None:
    """All windows together are the document, headings included, with the overlap of passages said once."""
    found = excerpts(chunked(Sizes(24, 8, 0)), characters=60, per_document=99)
    expected = " ".join(block.text for block in SECTIONS)
    joined = " ".join(one.text for one in found)
    assert expected.startswith(joined)
    assert len(expected) - len(joined) < 16  # a last window too short to ask about


def test_an_excerpt_is_cut_at_a_sentence_end_or_between_words() -> None:
    """No window exceeds its size or cuts a word in two."""
    passages = table(("d", "T", "", "One two three. " + "four " * 40 + "end."))
    texts = [one.text for one in excerpts(passages, characters=24, per_document=99)]
    assert texts[0] == "One two three."
    assert all(len(text) <= 24 and set(text.split()) <= {"One", "two", "three.", "four", "end."} for text in texts)


def test_a_full_stop_without_space_does_not_depend_on_the_cut() -> None:
    """In scripts that put no space after a sentence, none is made up where two passages meet."""
    one = table(("d", "T", "", "一つ。二つ。三つ。"))
    two = table(("d", "T", "", "一つ。 二つ。"), ("d", "T", "", "三つ。"))
    assert [e.text for e in excerpts(one, characters=99, per_document=1)] == [
        e.text for e in excerpts(two, characters=99, per_document=1)
    ]


@pytest.mark.parametrize(("most", "expected"), [(1, [0]), (2, [0, 5]), (4, [0, 2, 5, 7]), (99, list(range(10)))])
def test_windows_are_evenly_spaced_from_the_first(most: int, expected: list[int]) -> None:
    """Fewer windows than there are spread over the document; ordinals are those of all windows."""
    passages = table(("d", "T", "", " ".join(f"word{number:05}." for number in range(10))))
    assert [one.ordinal for one in excerpts(passages, characters=10, per_document=most)] == expected


def test_an_excerpt_belongs_to_the_passage_that_shares_most_of_it() -> None:
    """A window over two passages is answered by the one with more of its characters."""
    passages = table(("d", "T", "", "Short one."), ("d", "T", "", "A much longer passage follows it here."))
    assert [one.passage_id for one in excerpts(passages, characters=99, per_document=1)] == ["d#1"]


def test_the_order_of_rows_changes_nothing() -> None:
    """Excerpts of a shuffled table of passages are the same."""
    passages = chunked(Sizes(16, 6, 0))
    shuffled = passages.sample(fraction=1.0, shuffle=True, seed=3)
    assert excerpts(passages, characters=60, per_document=3) == excerpts(shuffled, characters=60, per_document=3)
