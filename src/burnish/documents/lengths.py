"""How many of the model's own tokens a text has."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer

_REMEMBERED = 500_000  # words; with their numbers some 60 MB in each process
_LONGEST = 32  # characters of a word that is remembered; where scripts know no spaces, a "word" is a sentence
_SPLITS_AT_SPACE = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}


class Lengths:
    """Counts tokens of texts, special tokens left out.

    The tokenizer reads most of what extract reads three times: a block, its sentences, the passage made of them. A tokenizer that
    splits at white space before all else (those of BERT's family) gives a text as many tokens as its words have, so each word's
    number is remembered. Others read each text whole.
    """

    def __init__(self, tokenizer_file: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._word_by_word = _word_by_word(tokenizer_file)
        self._of_word: dict[str, int] = {}
        self.special = len(self._tokenizer.encode("").ids)

    def __call__(self, texts: Iterable[str]) -> list[int]:
        """The number of tokens of each text, shape (texts,)."""
        if not self._word_by_word:
            return self._read(list(texts))
        # Only these two: what else counts as white space is the tokenizer's to say.
        split = [text.replace("\n", " ").split(" ") for text in texts]
        known = self._of_word
        if len(known) > _REMEMBERED:
            known.clear()
        fresh = list({word for words in split for word in words if word not in known})
        known.update(zip(fresh, self._read(fresh), strict=True))
        lengths = [sum(map(known.__getitem__, words)) for words in split]
        for word in fresh:
            if len(word) > _LONGEST:
                del known[word]
        return lengths

    def _read(self, texts: Sequence[str]) -> list[int]:
        return [len(encoded.ids) for encoded in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _word_by_word(tokenizer_file: Path) -> bool:
    found = json.loads(tokenizer_file.read_text(encoding="utf-8"))
    first = found.get("pre_tokenizer") or {}
    while first.get("type") == "Sequence":
        first = first["pretokenizers"][0]
    # Files of before tokenizers 0.9 name no type; theirs are read whole.
    return found["model"].get("type") == "WordPiece" and first.get("type") in _SPLITS_AT_SPACE
