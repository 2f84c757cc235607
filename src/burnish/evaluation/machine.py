"""Is this machine large enough: Python, memory, disk? Only needs that follow from the corpus and the base model are claimed."""

import json
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet

from burnish.evaluation.doctor import Finding

_FLOAT = 4  # bytes
_GIB = 2**30


@dataclass(frozen=True)
class Sizes:
    """What needs follow from: bytes of the base's weights, dimensions of its vectors, passages of the corpus; 0 is not known."""

    weights: int
    width: int
    passages: int

    @property
    def vectors(self) -> int:
        """Bytes of the vectors of all passages by one model."""
        return self.passages * self.width * _FLOAT


def sizes(base: Path, passages: int) -> Sizes:
    """The sizes of the base model in the folder `base`, as far as its files tell, and of a corpus of so many passages."""
    weights = sum(path.stat().st_size for path in [*base.glob("*.safetensors"), *base.glob("*/*.safetensors")])
    return Sizes(weights, _width(base), passages)


def _width(base: Path) -> int:
    """The dimensions that the last module which names any puts out; those of the transformer if none does."""
    configs = [base / "config.json"]
    if (base / "modules.json").is_file():
        modules = json.loads((base / "modules.json").read_text(encoding="utf-8"))
        configs += [base / one["path"] / "config.json" for one in modules if one["path"]]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in configs if path.is_file()]
    names = ("out_features", "word_embedding_dimension", "embedding_dimension", "hidden_size")
    told = [one[name] for one in found for name in names if isinstance(one.get(name), int)]
    return told[-1] if told else 0


def python(running: str, wanted: str) -> Finding:
    """Whether this Python is one that burnish is made for.

    Args:
        running: its version.
        wanted: the range, as pyproject.toml's `requires-python` has it.

    >>> [python(one, ">=3.11,<3.14").level for one in ("3.11.0", "3.13.9", "3.14.0", "3.10.2")]
    ['ok', 'ok', 'stop', 'stop']
    """
    if SpecifierSet(wanted).contains(running, prereleases=True):
        return Finding("ok", f"Python {running} ({wanted} needed)")
    return Finding(
        "stop", f"Python {running}, {wanted} needed: remove .venv and run `make setup PYTHON=...` with a Python of this range"
    )


def memory(available: int, total: int, need: Sizes) -> Finding:
    """Whether the vectors of all passages fit into memory, where `mine` and `retrieve` hold them at once.

    Args:
        available: bytes that programs can still have.
        total: bytes that the machine has.
        need: what is known of base and corpus.
    """
    found = f"{available / _GIB:.1f} GiB of memory available, of {total / _GIB:.1f}"
    if not need.vectors:
        return Finding("ok", f"{found} (what is needed is known once there is a corpus)")
    found += (
        f"; at least {need.vectors / _GIB:.2f} needed: {need.passages} passages x {need.width} dimensions x {_FLOAT} bytes, "
        "which mine and retrieve hold at once"
    )
    if need.vectors > total:
        return Finding("stop", f"{found}: use a larger machine, or a base of fewer dimensions")
    if need.vectors > available:
        return Finding("note", f"{found}: end other programs first")
    return Finding("ok", found)


def disk(free: int, need: Sizes, *, embedded: bool, adapters: bool) -> Finding:
    """Whether there is room for what a run still writes.

    Vectors: of the tuned model, and of the base unless they are there, each in the store and as an output; and in the index.
    Weights: the tuned model and the release; without adapters also a checkpoint, which holds AdamW's two moments too.

    Args:
        free: bytes.
        need: what is known of base and corpus.
        embedded: whether the base's vectors are there.
        adapters: whether adapters alone are trained (LoRA), whose checkpoints are small.
    """
    found = f"{free / _GIB:.1f} GiB of disk free"
    written = need.vectors * (3 if embedded else 5) + need.weights * (2 if adapters else 5)
    if not written:
        return Finding("ok", f"{found} (what is needed is known once there is a base model)")
    what = "models, checkpoint, vectors, index" if need.vectors else "models and checkpoint; vectors are known with the corpus"
    found += f"; at least {written / _GIB:.2f} needed ({what}), up to twice that where DVC's cache cannot link"
    if free < written:
        return Finding("stop", f"{found}: free some, or move the repository to a larger disk")
    if free < 2 * written:
        return Finding("note", f"{found}: free some, or put DVC's cache elsewhere (`dvc cache dir`)")
    return Finding("ok", found)
