"""The vector store: each vector once, none of another model, none from a damaged file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from burnish.arrays import Vectors
from burnish.embedding import vectors
from burnish.embedding.vectors import VectorStore
from burnish.errors import InputError


class Encoder:
    """An encoder that remembers what it was asked for; a text's vector is decided by its letters."""

    def __init__(self, factor: float = 1.0) -> None:
        self.asked: list[str] = []
        self.factor = factor

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Three numbers a text."""
        self.asked += texts
        return np.array([[len(text), sum(text.encode()), self.factor] for text in texts], dtype=np.float32)


def store(root: Path, *, model: str = "m", prompt: str = "", precision: str = "float32") -> VectorStore:
    """The store for a model, prompt and precision."""
    return VectorStore.of(root, model_digest=model, prompt=prompt, precision=precision)


def test_the_second_call_computes_nothing(tmp_path: Path) -> None:
    """What one stage computed another stage reads, bit for bit."""
    first, again = Encoder(), Encoder()
    one, computed = store(tmp_path).vectors(["a", "bb", "ccc"], first)
    other, none = store(tmp_path).vectors(["ccc", "a", "bb"], again)
    assert (computed, none, again.asked) == (3, 0, [])
    assert np.array_equal(one[[2, 0, 1]], other)


def test_only_new_texts_are_computed(tmp_path: Path) -> None:
    """One more document costs its own texts alone."""
    store(tmp_path).vectors(["a", "bb"], Encoder())
    more = Encoder()
    found, computed = store(tmp_path).vectors(["a", "new", "bb"], more)
    assert (computed, more.asked) == (1, ["new"])
    assert np.array_equal(found, Encoder()(["a", "new", "bb"]))


def test_a_text_that_stands_twice_is_computed_once(tmp_path: Path) -> None:
    """And comes back in each of its places."""
    encoder = Encoder()
    found, computed = store(tmp_path).vectors(["a", "bb", "a"], encoder)
    assert (computed, encoder.asked) == (2, ["a", "bb"])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("other", [{"model": "n"}, {"prompt": "query: "}, {"precision": "bfloat16"}])
def test_models_prompts_and_precisions_do_not_mix(tmp_path: Path, other: dict[str, str]) -> None:
    """The same text by another model, under another prompt or in another precision is another vector."""
    store(tmp_path).vectors(["a"], Encoder(1.0))
    found, computed = store(tmp_path, **other).vectors(["a"], Encoder(2.0))
    assert (computed, found[0, 2]) == (1, 2.0)


def test_a_damaged_shard_is_set_aside_and_computed_again(tmp_path: Path) -> None:
    """A torn file is no reason to stop, and is not read a second time."""
    shelf = store(tmp_path)
    expected, _ = shelf.vectors(["a", "bb"], Encoder())
    (shard,) = shelf.folder.iterdir()
    shard.write_bytes(shard.read_bytes()[:40])
    found, computed = shelf.vectors(["a", "bb"], Encoder())
    assert (computed, np.array_equal(found, expected)) == (2, True)
    assert shelf.vectors(["a", "bb"], Encoder())[1] == 0
    assert sorted(path.suffix for path in shelf.folder.iterdir()) == [".damaged", ".parquet"]


def test_an_empty_shard_is_set_aside(tmp_path: Path) -> None:
    """A file of no bytes, as a full disk leaves it, is damaged too."""
    shelf = store(tmp_path)
    shelf.vectors(["a"], Encoder())
    (shard,) = shelf.folder.iterdir()
    shard.write_bytes(b"")
    assert shelf.vectors(["a"], Encoder())[1] == 1


def test_what_was_computed_before_a_failure_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run killed in its second shard computes the first no more."""
    monkeypatch.setattr(vectors, "SHARD", 2)

    def failing(texts: Sequence[str]) -> Vectors:
        if "ccc" in texts:
            raise KeyboardInterrupt
        return Encoder()(texts)

    with pytest.raises(KeyboardInterrupt):
        store(tmp_path).vectors(["a", "bb", "ccc", "dddd"], failing)
    encoder = Encoder()
    store(tmp_path).vectors(["a", "bb", "ccc", "dddd"], encoder)
    assert encoder.asked == ["ccc", "dddd"]


def test_a_file_gives_vectors_in_the_order_asked(tmp_path: Path) -> None:
    """`read` follows the ids, not the file."""
    vectors.write(tmp_path / "v.parquet", ["a", "b", "c"], np.eye(3, dtype=np.float32))
    assert np.array_equal(vectors.read(tmp_path / "v.parquet", ["c", "a"]), np.eye(3, dtype=np.float32)[[2, 0]])


def test_a_missing_id_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Vectors of an older table are never taken for those of this one."""
    vectors.write(tmp_path / "v.parquet", ["a"], np.eye(1, dtype=np.float32))
    with pytest.raises(InputError, match="'b'"):
        vectors.read(tmp_path / "v.parquet", ["a", "b"])


def test_no_text_gives_a_file_that_reads_back(tmp_path: Path) -> None:
    """A collection without passages or queries goes through the store and the file."""
    found, computed = store(tmp_path / "store").vectors([], Encoder())
    vectors.write(tmp_path / "v.parquet", [], found)
    assert (computed, len(vectors.read(tmp_path / "v.parquet", []))) == (0, 0)
