"""Passages keep every word, fit their size, follow the document's structure, and keep their ids."""

import re
from collections.abc import Sequence

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.documents import chunking
from burnish.documents.blocks import Block
from burnish.documents.chunking import Passage, Sizes
from burnish.documents.sentences import sentences

SEPARATORS = {"text": [" ", ". ", "\n", "。"], "list": ["\n", " "], "code": ["\n", " "], "table": ["\n", " "], "heading": [" "]}


def words(texts: Sequence[str]) -> list[int]:
    """A token a word; the sign of a heading's path counts too."""
    return [len(text.replace("。", " ").split()) for text in texts]


def heading(text: str, level: int = 1) -> Block:
    return Block("heading", text, level)


def prose(text: str) -> Block:
    return Block("text", text)


def cut(*blocks: Block, most: int = 50, overlap: int = 0, minimum: int = 0, title: str = "t") -> list[Passage]:
    return chunking.passages(blocks, title, Sizes(most, overlap, minimum), words)


@st.composite
def documents(draw: st.DrawFn) -> list[Block]:
    """Blocks of every kind, no word of which stands twice."""
    number = 0
    blocks = []
    for kind in draw(st.lists(st.sampled_from(["heading", "text", "list", "code", "table"]), min_size=1, max_size=12)):
        count = draw(st.integers(1, 3 if kind == "heading" else 40))
        text = f"w{number}"
        for _ in range(count - 1):
            number += 1
            text += draw(st.sampled_from(SEPARATORS[kind])) + f"w{number}"
        number += 1
        blocks.append(Block(kind, text, draw(st.integers(1, 3)) if kind == "heading" else 0))
    return blocks


def split(text: str) -> list[str]:
    return re.findall(r"w\d+", text)


sizes = st.builds(Sizes, most=st.integers(24, 60), overlap=st.integers(0, 12), minimum=st.integers(0, 24))


@given(documents(), sizes)
@settings(max_examples=100, deadline=None)
def test_every_word_is_in_some_passage(blocks: list[Block], chosen: Sizes) -> None:
    """Whatever is cut and merged, the text and the headings of a document are all there."""
    found = chunking.passages(blocks, "t", chosen, words)
    kept = {word for one in found for word in split(f"{one.heading} {one.text}")}
    assert [word for block in blocks for word in split(block.text) if word not in kept] == []


@given(documents(), st.integers(24, 60), st.integers(0, 24))
@settings(max_examples=100, deadline=None)
def test_words_keep_their_order_and_stand_once(blocks: list[Block], most: int, minimum: int) -> None:
    """Without overlap the passages' texts, one after the other, are the document's."""
    headings = {word for block in blocks if block.kind == "heading" for word in split(block.text)}
    found = chunking.passages(blocks, "t", Sizes(most, 0, minimum), words)
    texts = [word for one in found for word in split(one.text) if word not in headings]
    assert texts == [word for block in blocks if block.kind != "heading" for word in split(block.text)]


@given(documents(), sizes)
@settings(max_examples=100, deadline=None)
def test_no_passage_is_too_large(blocks: list[Block], chosen: Sizes) -> None:
    """Title, heading, text and the model's two special tokens fit, since headings here take less than half."""
    found = chunking.passages(blocks, "t", chosen, words)
    assert [one for one in found if sum(words(["t", one.heading, one.text])) + 2 > chosen.most] == []


@given(documents(), sizes)
@settings(max_examples=50, deadline=None)
def test_ids_are_unique_and_repeat(blocks: list[Block], chosen: Sizes) -> None:
    """Two runs give the same ids, and no two passages of a document share one."""
    ids = [chunking.passage_ids("d", chunking.passages(blocks, "t", chosen, words)) for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])


@given(documents(), documents(), st.integers(24, 60))
@settings(max_examples=50, deadline=None)
def test_ids_survive_changes_in_other_chapters(chapter: list[Block], other: list[Block], most: int) -> None:
    """What a chapter before it says changes no passage of a chapter where sections are not merged."""
    mine = [heading("mine"), prose("first words"), *chapter]
    alone = chunking.passage_ids("d", cut(*mine, most=most))
    renamed = [Block(block.kind, block.text.replace("w", "v"), block.level) for block in other]
    after = chunking.passage_ids("d", cut(*renamed, prose("the end"), *mine, most=most))
    assert after[-len(alone) :] == alone


def test_ids_tell_documents_apart() -> None:
    """The same text in two documents is two passages."""
    same = [Passage("", "x")]
    assert chunking.passage_ids("a", same) != chunking.passage_ids("b", same)


def test_a_passage_carries_the_headings_above_it() -> None:
    """The path of headings, outermost first; a heading of the same level ends the one before it."""
    found = cut(heading("A"), prose("a"), heading("B", 2), prose("b"), heading("C", 2), prose("c"), heading("D"), prose("d"))
    assert [(one.heading, one.text) for one in found] == [("A", "a"), ("A > B", "b"), ("A > C", "c"), ("D", "d")]


def test_a_heading_without_text_is_text() -> None:
    """Its words would stand nowhere else."""
    assert cut(heading("A"), heading("B"), prose("b")) == [Passage("", "A"), Passage("B", "b")]


def test_a_small_section_takes_in_the_next() -> None:
    """Below the minimum, the section that follows joins, under its own heading."""
    blocks = (heading("A"), prose("a"), heading("B"), prose("b"), heading("C"), prose("c"))
    assert cut(*blocks, minimum=3) == [Passage("A", "a\n\nB\nb"), Passage("C", "c")]


def test_a_section_of_the_minimum_stays_alone() -> None:
    """A section that is large enough ends its passage."""
    assert len(cut(heading("A"), prose("a a a"), heading("B"), prose("b"), minimum=3)) == 2


def test_a_new_chapter_is_not_merged() -> None:
    """A section whose chapter began with it is kept apart, since its line would not tell the chapter's heading."""
    found = cut(heading("A"), prose("a"), heading("B"), heading("C", 2), prose("c"), minimum=20)
    assert found == [Passage("A", "a"), Passage("B > C", "c")]


def test_a_heading_may_hold_the_sign_of_a_path() -> None:
    """A menu path stays whole where a section is merged."""
    found = cut(heading("A"), prose("a"), heading("File > Save"), prose("b"), minimum=20)
    assert found == [Passage("A", "a\n\nFile > Save\nb")]


def test_prose_is_cut_at_sentence_ends() -> None:
    """A paragraph that is too large is cut between sentences."""
    found = cut(prose("One two three four. Five six seven eight. Nine ten."), most=11)
    assert [one.text for one in found] == ["One two three four. Five six seven eight.", "Nine ten."]


def test_code_is_cut_at_line_ends() -> None:
    """Lines stay whole and keep their indentation."""
    found = cut(Block("code", "def f():\n    return 1\ndef g():\n    return 2"), most=8)
    assert [one.text for one in found] == ["def f():\n    return 1", "def g():\n    return 2"]


def test_a_block_that_fits_is_whole() -> None:
    """Code is not cut to fill the passage before it."""
    found = cut(prose("x x x x x"), Block("code", "a b c\nd e f"), most=12)
    assert [one.text for one in found] == ["x x x x x", "a b c\nd e f"]


def test_a_long_word_beside_short_ones_is_not_cut() -> None:
    """White space is taken before a word is broken, wherever it stands."""
    long = "x" * 50
    assert [one.text for one in cut(prose(f"a {long} b"), title="", most=4)] == [f"a {long}", "b"]


def test_script_without_spaces_is_cut_anywhere() -> None:
    """A text of one long line is cut to size and loses no sign."""
    text = "文" * 100
    found = chunking.passages([prose(text)], "", Sizes(20, 0, 0), lambda texts: [len(one) for one in texts])
    assert "".join(one.text for one in found) == text
    assert max(len(one.text) for one in found) <= 18


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("这是第一句。这是第二句！“第三句？”第四句", ["这是第一句。", "这是第二句！", "“第三句？”", "第四句"]),
        ("他说：「好。」然后走了。", ["他说：「好。」", "然后走了。"]),
        ("يصل غدا. هل هو كبير؟ نعم.", ["يصل غدا.", "هل هو كبير؟", "نعم."]),
        ("یہ ایک ہے۔ یہ دو ہے۔", ["یہ ایک ہے۔", "یہ دو ہے۔"]),
        ("यह एक है। यह दो है।", ["यह एक है।", "यह दो है।"]),
        (
            "Срок до 2020 г. Далее по ул. Мира, д. 5 и т. д. Конец.",
            ["Срок до 2020 г.", "Далее по ул. Мира, д. 5 и т. д.", "Конец."],
        ),
        ("Цена 5 руб. за шт. и выше. А. С. Пушкин писал.", ["Цена 5 руб. за шт. и выше.", "А. С. Пушкин писал."]),
        ("Das gilt z. B. ab dem 3. März, vgl. Nr. 5. Ende.", ["Das gilt z. B. ab dem 3. März, vgl. Nr. 5.", "Ende."]),
        ("See e.g. Smith. Then J. Doe.", ["See e.g.", "Smith.", "Then J.", "Doe."]),  # English is cut as it always was
        ("价格是３．５元。完", ["价格是３．５元。", "完"]),
    ],
)
def test_sentences_end_where_readers_of_the_script_end_them(text: str, parts: list[str]) -> None:
    """With the quotes that close them, and not after the abbreviations that are known."""
    assert sentences(text) == parts


def signs(texts: Sequence[str]) -> list[int]:
    """A token a sign."""
    return [len(text) for text in texts]


def test_a_long_sentence_without_spaces_is_cut_after_a_comma() -> None:
    """Near its middle; put together again the parts have no space between them."""
    text = "甲方应当按照约定的时间交付全部货物，乙方应当在收到货物后付清全部货款。"
    found = chunking.passages([prose(text)], "", Sizes(22, 0, 0), signs)
    assert [one.text for one in found] == ["甲方应当按照约定的时间交付全部货物，", "乙方应当在收到货物后付清全部货款。"]
    assert chunking.passages([prose(text * 2)], "", Sizes(42, 0, 0), signs)[0].text == text


@given(st.text("กดีไ้ख़क\u094dष가👩\u200d👧e\u0301", min_size=1, max_size=60), st.integers(16, 24))
@settings(max_examples=100, deadline=None)
def test_no_letter_is_parted_from_its_marks(text: str, most: int) -> None:
    """Wherever a text without spaces is cut, each part begins with a whole letter, as far as one fits."""
    found = chunking.passages([prose(text)], "", Sizes(most, 0, 0), signs)
    whole = regex.findall(r"\X", text)
    if max(map(len, whole)) <= most // 4:
        assert [sign for one in found for sign in regex.findall(r"\X", one.text)] == whole


def test_overlap_repeats_the_end_of_a_section() -> None:
    """The last sentence of a passage begins the next one of the same section."""
    found = cut(prose("One two. Three four. Five six. Seven eight."), most=9, overlap=2)
    assert [one.text for one in found] == ["One two. Three four. Five six.", "Five six. Seven eight."]


def test_overlap_stays_inside_a_section() -> None:
    """Sections that were taken in before are not repeated under the heading of the last."""
    blocks = (heading("A"), prose("a b"), prose("c d"), heading("B"), prose("e f g"), prose("h i j k l m n o p"))
    found = cut(*blocks, most=18, overlap=9, minimum=10)
    assert found[-1] == Passage("B", "e f g\n\nh i j k l m n o p")


def test_no_blocks_are_no_passages() -> None:
    """Nothing in, nothing out."""
    assert cut() == []


@pytest.mark.parametrize("long", ["title", "heading"])
def test_long_titles_leave_half_of_the_room(long: str) -> None:
    """A title or heading larger than the passage does not stop the cutting."""
    many = "w " * 100
    found = cut(
        *([heading(many)] if long == "heading" else []), prose("x. " * 30), title=many if long == "title" else "", most=20
    )
    assert [words([one.text])[0] for one in found] == [10, 10, 10]
