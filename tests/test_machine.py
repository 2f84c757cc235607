"""The machine: what it needs follows from base and corpus, and nothing else is claimed."""

import json
from pathlib import Path

import pytest

from burnish.evaluation import machine
from burnish.evaluation.machine import Sizes

GIB = 2**30
LARGE = Sizes(weights=GIB, width=1024, passages=2**20)  # vectors of 4 GiB
EMPTY = Sizes(0, 0, 0)


def test_vectors_take_four_bytes_a_dimension() -> None:
    """Two to the twenty passages of 1,024 dimensions are 4 GiB."""
    assert LARGE.vectors == 4 * GIB


def test_the_base_tells_weights_and_width(base_model: Path) -> None:
    """The size of its weights' file, 384 dimensions."""
    found = machine.sizes(base_model, 10)
    assert found == Sizes((base_model / "model.safetensors").stat().st_size, 384, 10)
    assert found.vectors == 15_360


def test_a_projection_decides_the_width(tmp_path: Path) -> None:
    """The last module that names its output does; one that names none, such as the normalisation, changes nothing."""
    files = {
        "config.json": {"hidden_size": 768},
        "modules.json": [{"path": path} for path in ("", "1_Pooling", "2_Dense", "3_Normalize")],
        "1_Pooling/config.json": {"word_embedding_dimension": 768},
        "2_Dense/config.json": {"in_features": 768, "out_features": 256},
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    assert machine.sizes(tmp_path, 1).width == 256
    (tmp_path / "modules.json").unlink()
    assert machine.sizes(tmp_path, 1).width == 768


def test_no_base_tells_nothing(tmp_path: Path) -> None:
    """So nothing is claimed."""
    assert machine.sizes(tmp_path / "none", 10) == Sizes(0, 0, 10)


@pytest.mark.parametrize(
    ("version", "level"), [("3.12.4", "ok"), ("3.10.9", "stop"), ("3.14.0", "stop"), ("3.14.0rc1", "stop")]
)
def test_another_python_stops(version: str, level: str) -> None:
    """What is found, what is needed, what to do."""
    found = machine.python(version, ">=3.11,<3.14")
    assert found.level == level
    assert version in found.text
    assert ">=3.11,<3.14 needed" in found.text
    assert ("make setup" in found.text) == (level == "stop")


@pytest.mark.parametrize(
    ("available", "total", "level", "advice"),
    [
        (5, 8, "ok", ""),
        (3, 8, "note", "end other programs"),
        (3, 3.9, "stop", "a larger machine, or a base of fewer dimensions"),
    ],
)
def test_memory_must_hold_the_vectors(available: float, total: float, level: str, advice: str) -> None:
    """Of all passages at once; short of it for now is a note, a machine that never has so much a stop."""
    found = machine.memory(int(available * GIB), int(total * GIB), LARGE)
    assert found.level == level
    assert "at least 4.00 needed: 1048576 passages x 1024 dimensions x 4 bytes" in found.text
    assert advice in found.text


@pytest.mark.parametrize(
    ("free", "embedded", "adapters", "needed", "level"),
    [
        (100, False, False, "25.00", "ok"),
        (40, False, False, "25.00", "note"),
        (24, False, False, "25.00", "stop"),
        (24, True, False, "17.00", "note"),
        (24, True, True, "14.00", "note"),
        (28, True, True, "14.00", "ok"),
    ],
)
def test_the_disk_must_hold_what_a_run_writes(free: int, embedded: bool, adapters: bool, needed: str, level: str) -> None:  # noqa: FBT001
    """Five times the vectors, three once the base has its own; five times the weights, two where adapters are trained."""
    found = machine.disk(free * GIB, LARGE, embedded=embedded, adapters=adapters)
    assert found.level == level
    assert f"{free}.0 GiB of disk free; at least {needed} needed" in found.text
    assert ("free some" in found.text) == (level != "ok")


def test_without_a_corpus_no_need_is_claimed() -> None:
    """Memory waits for it, the disk for the base model, whose own files are counted before there is a corpus."""
    assert machine.memory(1, 1, EMPTY).text.endswith("(what is needed is known once there is a corpus)")
    assert machine.disk(1, EMPTY, embedded=False, adapters=False).text.endswith(
        "(what is needed is known once there is a base model)"
    )
    early = machine.disk(4 * GIB, Sizes(GIB, 1024, 0), embedded=False, adapters=False)
    assert early.level == "stop"
    assert "at least 5.00 needed (models and checkpoint; vectors are known with the corpus)" in early.text
