"""How many tokens a text has for a model: by tiktoken where it can tell without the network, else by a stated rule."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tiktoken

BYTES_PER_TOKEN = 4  # of UTF-8, the rule of thumb where no tokenizer is at hand; what it misses by is in docs/synthesis.md
_FRAME = 7  # tokens that a chat adds around one message
_SAMPLE = 500  # messages that are counted; the rest goes by their bytes
_FILES = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"  # only the name of tiktoken's own cache
_STORED_AS = {"o200k_harmony": "o200k_base"}  # an encoding that is another one's file with further special tokens


@dataclass(frozen=True)
class TokenCounter:
    """Counts the tokens of a text; `how` says by what."""

    how: str
    count: Callable[[str], int]

    def total(self, messages: Sequence[str]) -> int:
        """The tokens of all messages, each in a chat of its own; beyond 500 of them by the share of bytes counted.

        The first ones are counted: give them in an order that has nothing to do with their length.
        """
        sample = messages[:_SAMPLE]
        counted = sum(self.count(one) for one in sample)
        size, whole = (sum(len(one.encode()) for one in part) for part in (sample, messages))
        return round(counted * whole / max(1, size)) + _FRAME * len(messages)


def token_counter(model: str) -> TokenCounter:
    """The counter for a model's texts.

    tiktoken fetches an encoding from the network when it does not have it. A plan must not wait for that: the encoding is
    used if tiktoken's cache has it.

    >>> token_counter("a-model-of-your-own").how
    'estimated at 4 bytes a token: tiktoken knows no model a-model-of-your-own'
    """
    estimate = f"estimated at {BYTES_PER_TOKEN} bytes a token"
    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        return TokenCounter(f"{estimate}: tiktoken knows no model {model}", _estimated)
    if not _cached(name):
        return TokenCounter(f"{estimate}: tiktoken's file for {name} is not on this machine", _estimated)
    encoding = tiktoken.get_encoding(name)
    return TokenCounter(f"counted by tiktoken, {name}", lambda text: len(encoding.encode(text, disallowed_special=())))


def most_tokens(message: str) -> int:
    """More tokens than a chat of this one message can have: a token of a byte-level vocabulary holds a byte at least."""
    return len(message.encode()) + _FRAME


def _estimated(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def _cached(name: str) -> bool:
    """Whether tiktoken's cache holds the encoding: a file named by the sha1 of its address (tiktoken/load.py)."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    place = Path(tempfile.gettempdir()) / "data-gym-cache" if folder is None else Path(folder)
    address = _FILES.format(_STORED_AS.get(name, name))
    return (place / hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()).is_file()
