"""docs/reranking.md: each fragment fits over params.yaml, and the page tells of every knob."""

import re
import runpy
from typing import Any

import pytest
import yaml

from conftest import ROOT

PAGE = (ROOT / "docs/reranking.md").read_text(encoding="utf-8")
FRAGMENTS = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
KNOBS = runpy.run_path(str(ROOT / "stages/rerank.py"))["RerankKnobs"]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda one: one["rerank"]["base"][:4])
def test_each_fragment_is_accepted(fragment: dict[str, Any]) -> None:
    """Over params.yaml's section, by the stage's own knobs."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert set(fragment) == {"rerank"}
    KNOBS.model_validate(params["rerank"] | fragment["rerank"])


def test_the_first_fragment_is_whole() -> None:
    """It shows every knob of the stage."""
    assert set(FRAGMENTS[0]["rerank"]) == set(KNOBS.model_fields)


def test_the_reranker_is_off_by_default() -> None:
    """As the page says."""
    assert not yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["rerank"]["base"]
