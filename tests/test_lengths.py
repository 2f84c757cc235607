"""Counting tokens: always as many as the model's tokenizer reads."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from burnish.documents import lengths
from burnish.documents.lengths import Lengths

TEXTS = (
    "",
    "One two  three\n\nfour\tfive\r\nsix.",
    "no\u00a0break, thin\u2009space, line\u2028end, next\u0085line, unit\u001fseparator, zero\u200bwidth, nul\0, \ufffd",
    "naïve a\u0308 \u0301apart Straße İstanbul ΟΔΟΣ 👩‍👩‍👧 e\u0301",
    "文書は長い。 Смотри рис. 2 العَقد ราคา",
    "[MASK] [CLS]word [SEP]. ##ing don't f(x)=x**2 https://example.org/a?b=c#d",
    "x" * 101 + " " + "y" * 100 + " " + "文" * 120,
    "unbelievable " * 300,
)


def read(file: Path, text: str) -> int:
    """The number of tokens of a text read whole."""
    loaded = Tokenizer.from_file(str(file))
    loaded.no_truncation()
    loaded.no_padding()
    return len(loaded.encode(text, add_special_tokens=False).ids)


@pytest.fixture
def by_pieces(tmp_path: Path) -> Path:
    """The file of a tokenizer that writes a word otherwise when a space stands before it."""
    pieces = {"▁a": 0, "a": 1, "b": 2, "▁": 3, "ab": 4, "[UNK]": 5}
    made = Tokenizer(models.BPE(pieces, [("▁", "a"), ("a", "b")], unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_a_text_has_as_many_tokens_as_the_tokenizer_reads(base_model: Path) -> None:
    """Whatever signs stand in it, the first time and again."""
    counted = Lengths(base_model / "tokenizer.json")
    expected = [read(base_model / "tokenizer.json", text) for text in TEXTS]
    assert [counted(TEXTS), [counted([text])[0] for text in TEXTS]] == [expected, expected]
    assert counted.special == 2


def test_words_are_forgotten(base_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of words memory does not grow, and the counts stay right."""
    monkeypatch.setattr(lengths, "_REMEMBERED", 3)
    counted = Lengths(base_model / "tokenizer.json")
    expected = [read(base_model / "tokenizer.json", text) for text in TEXTS]
    assert [counted([text])[0] for text in TEXTS] == expected
    assert counted(TEXTS[:1]) == [0]
    assert len(counted._of_word) <= 3  # noqa: SLF001 - that memory is bounded shows nowhere else


def test_a_tokenizer_that_reads_over_spaces_reads_whole_texts(by_pieces: Path) -> None:
    """Its words have another number of tokens alone than in a text."""
    texts = ["a a", "ab ab ab", "b a"]
    assert Lengths(by_pieces)(texts) == [read(by_pieces, text) for text in texts]
    assert read(by_pieces, "ab ab") != 2 * read(by_pieces, "ab")


def test_a_file_of_an_older_version_is_read_too(base_model: Path, tmp_path: Path) -> None:
    """It does not name its model's type."""
    old = json.loads((base_model / "tokenizer.json").read_text(encoding="utf-8"))
    del old["model"]["type"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(old))
    assert Lengths(tmp_path / "tokenizer.json")(TEXTS) == Lengths(base_model / "tokenizer.json")(TEXTS)
