"""A slip in params.yaml: each stage that can know it says so in one line, before any work, and leaves nothing."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from conftest import ROOT

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
Stage = Callable[..., int | None]
COMMENT = "; its comment in params.yaml tells what it may be"


def said(stage: Stage, capsys: pytest.CaptureFixture[str], folder: Path, name: str, params: dict[str, Any], base: Path) -> str:
    """What a stage says that stops over the knobs: nothing that it would read but the base model is there."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    main = runpy.run_path(str(ROOT / f"stages/{name}.py"))["main"]
    flags = {option.opts[0].removeprefix("--"): folder / "none" for option in main.params if option.required}
    models = {flag: base for flag in ("model", "base", "tuned") if flag in flags and name in {"extract", "train", "export"}}
    assert isinstance(main, click.Command)
    assert stage(name, **flags | models | {"params": folder / "params.yaml"}) == 2
    told = capsys.readouterr().err
    assert not (folder / "none").exists()
    lines = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in told
    return lines[0]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The shipped knobs with others, named `section.knob`."""
    params = {name: dict(section) for name, section in PARAMS.items()}
    for name, value in changes.items():
        section, knob = name.split(".")
        params[section][knob] = value
    return params


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        (
            "extract",
            {"extract.max_tokens": 15},
            f"knob `extract.max_tokens`: Input should be greater than or equal to 16; found 15{COMMENT}",
        ),
        (
            "extract",
            {"extract.min_tokens": 300},
            "extract.min_tokens: expected at most extract.max_tokens, 230, found 300; lower it",
        ),
        (
            "extract",
            {"extract.overlap_tokens": 230},
            "extract.overlap_tokens: expected less than extract.max_tokens, 230, found 230; lower it",
        ),
        (
            "extract",
            {"extract.max_token": 99},
            "unknown knob `extract.max_token`; correct its name or take it out; the knobs of this section are: duplicate_threshold,",
        ),
        (
            "collect",
            {"collect.shares": {"test": 2.0, "dev": 0.1}},
            f"knob `collect.shares.test`: Input should be less than 1; found 2.0{COMMENT}",
        ),
        (
            "mine",
            {"mine.per_query": -1},
            f"knob `mine.per_query`: Input should be greater than or equal to 0 or be 'auto'; found -1{COMMENT}",
        ),
        (
            "mine",
            {"mine.per_query": "some"},
            f"knob `mine.per_query`: Input should be a valid integer or be 'auto'; found 'some'{COMMENT}",
        ),
        ("train", {"train.widths": [385]}, "train.widths: 385 is larger than the model's 384 dimensions; leave it out"),
        ("train", {"export.width": 385}, "export.width: 385 is larger than the model's 384 dimensions; choose at most 384"),
        (
            "train",
            {"retrieve.widths": [385]},
            "retrieve.widths: 385 is larger than the release's 384 dimensions (export.width, or",
        ),
        ("train", {"export.width": 128}, "retrieve.widths: 256 is larger than the release's 128 dimensions (export.width, or"),
        (
            "train",
            {"retrieve.baselines": ["models/tuned"]},
            "retrieve.baselines: models/tuned would be called tuned, as what is compared already; give it as",
        ),
        (
            "train",
            {"retrieve.baselines": ["none/such"]},
            "retrieve.baselines none/such: no such folder; a hub id needs its commit, as in",
        ),
        (
            "retrieve",
            {"retrieve.baselines": ["a/x", "b/x"]},
            "retrieve.baselines: a/x and b/x would both be called x; give it as a folder of another name",
        ),
        (
            "retrieve",
            {"retrieve.depth": 10},
            f"knob `retrieve.depth`: Input should be greater than or equal to 100; found 10{COMMENT}",
        ),
        (
            "score",
            {"score.sed": 1},
            "unknown knob `score.sed`; correct its name or take it out; the knobs of this section are: min_slice, seed",
        ),
    ],
)
def test_a_slip_is_one_line(
    tmp_path: Path,
    base_model: Path,
    stage: Stage,
    capsys: pytest.CaptureFixture[str],
    name: str,
    changes: dict[str, Any],
    told: str,
) -> None:
    """The knob, what was expected, what was found, what to do."""
    assert told in said(stage, capsys, tmp_path, name, changed(changes), base_model)


@pytest.mark.parametrize(
    "name", ["base", "extract", "collect", "synthesize", "mix", "mine", "train", "retrieve", "rerank", "score"]
)
def test_an_unknown_section_is_told_by_every_stage(
    tmp_path: Path, base_model: Path, stage: Stage, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Whichever runs first: the one whose section is misspelt may be the last."""
    params = changed({})
    params["reports"] = {}
    told = said(stage, capsys, tmp_path, name, params, base_model)
    assert "unknown section `reports`; correct its name or take it out; the sections are: paths, compute, base," in told


@pytest.mark.parametrize("section", ["export", "retrieve"])
def test_a_later_stages_missing_section_is_told_before_the_training(
    tmp_path: Path, base_model: Path, stage: Stage, capsys: pytest.CaptureFixture[str], section: str
) -> None:
    """By train, which looks into both."""
    params = changed({})
    del params[section]
    told = said(stage, capsys, tmp_path, "train", params, base_model)
    assert f"expected a section `{section}`, found none; copy it from the repository's params.yaml" in told
