"""docs/training.md: each fragment fits over params.yaml, and the page tells of every loss, family and knob."""

import re
import runpy
from typing import Any

import numpy as np
import pytest
import yaml

from burnish.embedding.families import FAMILIES
from burnish.training import objectives
from conftest import ROOT

PAGE = (ROOT / "docs/training.md").read_text(encoding="utf-8")
FRAGMENTS = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda one: ",".join(one))
def test_each_fragment_is_accepted(fragment: dict[str, Any]) -> None:
    """Over params.yaml's sections, by the stages' own knobs, and by the losses' own check."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in fragment.items():
        kind = runpy.run_path(str(ROOT / f"stages/{section}.py"))[f"{section.capitalize()}Knobs"]
        kind.model_validate(params[section] | values)
        params[section] |= values
    train = params["train"]
    objectives.check(
        train["loss"],
        teacher=train["teacher"],
        guide=train["guide"],
        hardness=train["hardness"],
        hardness_strength=train["hardness_strength"],
    )
    mined = params["mine"]["per_query"]
    objectives.check_negatives(train["loss"], train["hardness"], np.array([0 if mined == "auto" else mined]))


def test_every_loss_is_told_and_shown() -> None:
    """Each stands in the table; each that is more than the cached form of another has a fragment."""
    table = PAGE.split("| `train.loss` |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(objectives.LOSSES)
    shown = {one["train"]["loss"] for one in FRAGMENTS if "loss" in one.get("train", {})}
    assert shown | {"cached-gist"} == set(objectives.LOSSES)


def test_every_family_is_told_with_its_prompts() -> None:
    """As the code has them; an instruction is told by its beginning."""
    table = PAGE.split("| family |")[1].split("\n\n")[0].replace(r"\|", "|")
    for family in FAMILIES:
        row = next(line for line in table.splitlines() if re.search(rf"(?:\| |, ){re.escape(family.name)}(?: \||,)", line))
        wanted = "Instruct: " if family.query.startswith("Instruct: ") else f"`{family.query}`"
        assert wanted in row
        assert not family.document or f"`{family.document}`" in row


def test_every_knob_of_this_page_is_told() -> None:
    """Those that choose a loss, its negatives and its teacher."""
    for knob in ("guide", "teacher", "teacher_scale", "margin", "hardness", "hardness_strength", "rounds", "lora_rank", "miners", "denoise", "launch"):  # fmt: skip
        assert re.search(rf"(?<!\w){knob}(?!\w)", PAGE), knob
