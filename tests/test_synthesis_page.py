"""docs/synthesis.md: its fragment is whole and runs, and the command that it begins with works."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from burnish import tables
from burnish.cli import cli
from burnish.errors import InputError
from burnish.synthesis.phrases import Kinds, Wordings
from burnish.tables import DOCUMENTS, PASSAGES
from conftest import ROOT
from handmade import corpus, documents_of

PAGE = (ROOT / "docs/synthesis.md").read_text(encoding="utf-8")
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
(FRAGMENT,) = (yaml.safe_load(part) for part in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with dvc.yaml, the page's fragment, and a corpus."""
    folder = tmp_path / "data/corpus"
    tables.write(corpus(), PASSAGES, folder / "passages.parquet")
    tables.write(documents_of(corpus()), DOCUMENTS, folder / "documents.parquet")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(FRAGMENT), encoding="utf-8")
    for name in ("stages", "prompts", "dvc.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_the_fragment_has_every_knob_of_its_sections() -> None:
    """So that it can replace them; each kind and wording that there is stands in it."""
    for section, knobs in FRAGMENT.items():
        assert set(knobs) == set(PARAMS[section])
        for name, part in knobs.items():
            if isinstance(part, dict) and name != "prices":
                assert set(part) == set(PARAMS[section][name])
    assert {"any", *FRAGMENT["synthesize"]["kinds"]} == set(Kinds.model_fields)
    assert {"any", *FRAGMENT["synthesize"]["wordings"]} == set(Wordings.model_fields)


def test_the_fragment_runs(repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """`burnish plan` with it tells requests, tokens, price, time and caps, for queries and judge, and writes nothing."""
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    before = sorted(repository.rglob("*"))
    assert CliRunner().invoke(cli, ["plan"]).exit_code == 0
    told = capfd.readouterr().out
    assert "plan: 12 excerpts of 12 documents" in told
    assert "queries by gpt-5-mini: 0 replayed, 0 replayed_by_document, 0 from_store, 12 without_reply -> 12 requests" in told
    assert "judge by gpt-5-mini" in told
    assert re.search(r"price: \$0\.\d\d, at most \$0\.\d\d", told)
    assert re.search(r"time: about \d+ seconds \(16 at once", told)
    assert "caps of a run: max_requests 20000, max_dollars 20" in told
    assert sorted(repository.rglob("*")) == before


def test_the_command_passes_on_what_is_wrong(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An impossible knob is the stage's own line and status; outside a repository it says where to run it."""
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    wrong = {**FRAGMENT["synthesize"], "personas": ["a nurse"], "prompt": "general.txt", "kinds": [], "wordings": []}
    (repository / "params.yaml").write_text(yaml.safe_dump({"synthesize": wrong}), encoding="utf-8")
    assert CliRunner().invoke(cli, ["plan"]).exit_code == 2
    assert "{persona}" in capfd.readouterr().err
    monkeypatch.chdir(repository / "data")
    assert isinstance(CliRunner().invoke(cli, ["plan"]).exception, InputError)


def test_the_mix_part_is_accepted(
    repository: Path, stage: Callable[..., int | None], capfd: pytest.CaptureFixture[str]
) -> None:
    """mix reads it and then misses its first table: the knobs are right."""
    params = repository / "params.yaml"
    flags = dict.fromkeys(("collected", "synthetic", "vectors", "out"), repository / "absent")
    assert stage("mix", params=params, corpus=repository / "data/corpus", **flags) == 2
    assert "absent/queries.parquet" in capfd.readouterr().err


def test_the_table_of_places_is_the_prompts(repository: Path) -> None:
    """Each knob that the page lists has its place in varied.txt."""
    rows = re.findall(r"^\| `(\w+)` \| .* \| `\{(\w+)\}` \|$", PAGE, re.MULTILINE)
    prompt = (ROOT / "prompts/varied.txt").read_text(encoding="utf-8")
    assert len(rows) == 6
    assert all(knob in FRAGMENT["synthesize"] and f"{{{place}}}" in prompt for knob, place in rows)
