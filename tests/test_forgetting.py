"""The sweep of the general share: its frontier, its table, and that it is the pipeline's own stages."""

import contextlib
import io
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

import small
from conftest import ROOT
from test_stages import commands, run_stage

SCRIPT = ROOT / "benchmarks/forgetting.py"
SWEEP = runpy.run_path(str(SCRIPT), run_name="sweep")


def point(share: float, gain: float, change: float) -> Any:
    """A point with these differences, an interval of 0.02 around each."""

    def part(base: float, mean: float) -> dict[str, Any]:
        delta = {"ndcg@10": mean, "ndcg@10_low": mean - 0.01, "ndcg@10_high": mean + 0.01}
        return {"base": {"ndcg@10": base}, "tuned": {"ndcg@10": base + mean}, "delta": delta, "queries": 7}

    return SWEEP["Point"](share, round(share * 100), 100, {"test": part(0.5, gain), "general": part(0.8, change)})


POINTS = [point(0, 0.12, -0.05), point(0.1, 0.11, -0.01), point(0.2, 0.10, -0.02), point(0.4, 0.08, 0.0)]


def test_the_frontier_is_what_nothing_beats() -> None:
    """A share that loses more general language for less domain gain than another is not on it; equal ones both are."""
    assert SWEEP["on_frontier"](POINTS) == [True, True, False, True]
    assert SWEEP["on_frontier"]([POINTS[0], POINTS[0]]) == [True, True]


def test_the_table_has_a_row_for_each_share() -> None:
    """With gain, change and intervals."""
    table = SWEEP["table"](SWEEP["rows"](POINTS))
    assert "0.5000 on 7 domain queries, 0.8000 on 7 general ones" in table
    assert "| 20% | 20 for 100 | 0.6000 | +0.1000 (+0.0900 to +0.1100) | 0.7800 | -0.0200 (-0.0300 to -0.0100) | no |" in table
    assert len(table.splitlines()) == 2 + 2 + len(POINTS)


def test_an_entry_says_when_and_by_what() -> None:
    """A heading as LOG.md's, the flags and the table."""
    told = SWEEP["entry"](SWEEP["rows"](POINTS), "--work here")
    assert re.match(
        r"\n## \d{4}-\d\d-\d\d: domain gain against general loss\n\n`python benchmarks/forgetting.py --work here`\. Base", told
    )
    assert told.endswith("|\n")


def sweep(*words: str) -> tuple[int | str | None, str, str]:
    """Exit status, standard output and error of the benchmark."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = [str(SCRIPT), *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        sys.argv = before
    return stopped.value.code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--root", "{tmp}"], "dvc.yaml: expected the pipeline's dvc.yaml, found none"),
        (["--set", "train.epoch=1"], "--set train.epoch: no such knob in params.yaml"),
    ],
)
def test_what_cannot_be_swept_is_told(tmp_path: Path, words: list[str], told: str) -> None:
    """Before anything runs."""
    given = [word.format(tmp=tmp_path) for word in words]
    status, _, said = sweep("--work", str(tmp_path / "work"), *given)
    assert status == 2
    assert told in said


@pytest.mark.deep
def test_a_sweep_runs_the_stages_and_a_rerun_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On the small repository; a share beyond the general set's size is the one before it."""
    root = tmp_path / "repository"
    root.mkdir()
    small.write(root, {"synthesize.provider": "extractive"})
    monkeypatch.chdir(root)
    given = commands(root)
    for stage in ("base", "extract", "collect", "synthesize", "embed-base"):
        run_stage(given[stage])
    monkeypatch.chdir(tmp_path)
    words = [
        "--root",
        str(root),
        "--work",
        str(tmp_path / "work"),
        "--queries",
        "30",
        "--share",
        "0",
        "--share",
        "5",
        "--share",
        "9",
        "--log",
        str(tmp_path / "LOG.md"),
    ]
    status, first, _ = sweep(*words)
    assert status == 0
    lines = [line.split(" | ") for line in first.splitlines() if line.startswith("| ") and "%" in line and "share" not in line]
    assert [line[1].split(" ")[0] for line in lines] == ["0", "6", "6"]
    assert lines[1][2:] == lines[2][2:]
    trained = capfd.readouterr().err.count("train: ")
    assert sweep(*words)[1] == first
    assert (trained, capfd.readouterr().err.count("train: ")) == (2, 0)
    assert (tmp_path / "LOG.md").read_text(encoding="utf-8").count(first.strip()) == 2
    assert not (root / "models/tuned").exists()
