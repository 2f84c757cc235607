"""Vectors: each computed once for a (model, prompt, text), kept in a store, written as sorted files."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from burnish import atomic
from burnish.arrays import Vectors
from burnish.errors import InputError

SHARD = 16_384  # texts computed between two writes: what a kill can cost


@dataclass(frozen=True)
class VectorStore:
    """An append-only store of vectors, one folder for each model and prompt; any number of processes may share it.

    A shard is a Parquet file named by the sha256 of its keys, written whole or not at all. A file that cannot be read
    (a torn disk) is set aside and its vectors are computed again: nothing in the store is paid for.
    """

    folder: Path

    @classmethod
    def of(cls, root: Path, *, model_digest: str, prompt: str, precision: str) -> "VectorStore":
        """The store below `root` for one model identity, prompt and precision ("float32" or "bfloat16")."""
        name = hashlib.sha256(f"{model_digest}\0{prompt}\0{precision}".encode()).hexdigest()
        return cls(root / name[:32])

    def vectors(self, texts: Sequence[str], encode: Callable[[Sequence[str]], Vectors]) -> tuple[Vectors, int]:
        """The vectors of `texts`, shape (texts, dimensions), and how many of them had to be computed.

        A text that stands twice is computed once.
        """
        keys = [_key(text) for text in texts]
        place = {key: at for at, key in enumerate(dict.fromkeys(keys))}
        found = self._read(place)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        wanted = list(missing)
        for start in range(0, len(wanted), SHARD):
            part = wanted[start : start + SHARD]
            computed = encode([missing[key] for key in part])
            self._write(part, computed)
            found.update(zip(part, computed, strict=True))
        return np.stack([found[key] for key in keys]) if keys else np.empty((0, 0), np.float32), len(wanted)

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Those of `texts` whose vectors would have to be computed, each once, in order."""
        keys = {_key(text): text for text in texts}
        found = self._read(dict.fromkeys(keys, 0))
        return [text for key, text in keys.items() if key not in found]

    def keep(self, texts: Sequence[str], computed: Vectors) -> None:
        """Keep the vectors, shape (texts, dimensions), of texts that were missing."""
        self._write([_key(text) for text in texts], computed)

    def _read(self, wanted: dict[str, int]) -> dict[str, Vectors]:
        found: dict[str, Vectors] = {}
        for shard in sorted(self.folder.glob("*.parquet")):
            try:
                frame = pl.read_parquet(shard)
            except pl.exceptions.PolarsError:
                shard.rename(shard.with_suffix(".damaged"))
                continue
            rows = frame.with_row_index("at").filter(pl.col("key").is_in(list(wanted)))
            matrix = frame["vector"].to_numpy()
            found.update((key, matrix[at]) for at, key in rows.select("at", "key").iter_rows())
        return found

    def _write(self, keys: Sequence[str], computed: Vectors) -> None:
        frame = pl.DataFrame({"key": keys, "vector": pl.Series(computed, dtype=pl.Array(pl.Float32, computed.shape[1]))})
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:32]
        with atomic.file(self.folder / f"{name}.parquet") as temporary:
            frame.write_parquet(temporary)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, ids: Sequence[str], vectors: Vectors) -> None:
    """Write vectors with their ids: two columns, `id` and `vector`, in the order given."""
    kind = pl.Array(pl.Float32, vectors.shape[1])
    with atomic.file(path) as temporary:
        pl.DataFrame({"id": ids, "vector": pl.Series(vectors, dtype=kind)}).write_parquet(temporary)


def read(path: Path, ids: Sequence[str]) -> Vectors:
    """The vectors of `ids`, shape (ids, dimensions), from the file that `write` made.

    Raises:
        InputError: the file lacks an id.
    """
    frame = pl.read_parquet(path)
    place = {name: at for at, name in enumerate(frame["id"])}
    try:
        rows = [place[name] for name in ids]
    except KeyError as error:
        raise InputError(f"{path}: no vector for {error}; embed again: the table has changed since") from error
    return np.ascontiguousarray(frame["vector"].to_numpy()[rows])


def width(path: Path) -> int:
    """The dimensions of the vectors in the file that `write` made, which are not read."""
    kind = pl.read_parquet_schema(path)["vector"]
    assert isinstance(kind, pl.Array)
    return kind.size


def by_id(path: Path, ids: Sequence[str]) -> dict[str, Vectors]:
    """The vector of each of `ids`, shape (dimensions,); errors as those of `read`."""
    return dict(zip(ids, read(path, ids), strict=True))
