"""The service's knobs: every fragment that the page about it shows is whole and asks a server, and the page names all of them."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import loopback
from burnish import tables
from burnish.synthesis.completions import Dialect, body
from burnish.synthesis.prompt import Question
from burnish.synthesis.service import Service, Traffic
from burnish.tables import DOCUMENTS, PASSAGES, QRELS
from conftest import ROOT
from handmade import SUBJECTS, corpus, documents_of

PAGE = (ROOT / "docs/synthesis-service.md").read_text(encoding="utf-8")
FRAGMENTS = [yaml.safe_load(part) for part in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
KNOBS = runpy.run_path(str(ROOT / "stages/synthesize.py"))["SynthesizeKnobs"]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda one: one["synthesize"]["model"])
def test_each_fragment_of_the_page_is_whole_and_accepted(fragment: dict[str, Any]) -> None:
    """A fragment has every knob of the service, and is accepted in the place of those in params.yaml."""
    assert set(fragment) == {"synthesize"}
    assert set(fragment["synthesize"]["service"]) == set(PARAMS["synthesize"]["service"])
    chosen = KNOBS.model_validate({**PARAMS["synthesize"], **fragment["synthesize"]})
    assert Service(**chosen.service.model_dump()).address.startswith("http")


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda one: one["synthesize"]["model"])
def test_each_fragment_of_the_page_asks(
    fragment: dict[str, Any], stage: Callable[..., int | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage runs with it, its address alone changed to that of a server on loopback: its model is asked about every document,
    by single requests or in a batch.
    """
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    tables.write(corpus(), PASSAGES, tmp_path / "passages.parquet")
    tables.write(documents_of(corpus()), DOCUMENTS, tmp_path / "documents.parquet")
    own = {**PARAMS["synthesize"], "max_passages_per_query": len(SUBJECTS), **fragment["synthesize"]}
    reply = '{"queries": ["a query"]}'
    with loopback.serving(lambda message, before: loopback.says(reply)) as server:
        server.batch_script = lambda message: (200, loopback.completion(reply))
        own["service"] = {**own["service"], "base_url": server.url}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"synthesize": own, "compute": PARAMS["compute"]}))
        read = {name: tmp_path / f"{name}.parquet" for name in ("passages", "documents")}
        places = {name: tmp_path / name for name in ("recorded", "store", "training", "out")}
        assert stage("synthesize", params=tmp_path / "params.yaml", prompts=ROOT / "prompts", **read, **places) == 0
    assert (len(server.sent), {one["model"] for one in server.sent}) == (len(SUBJECTS), {own["model"]})
    assert len(server.batches) == (own["service"]["mode"] == "batch")
    assert tables.read(QRELS, tmp_path / "out/qrels.parquet").height == len(SUBJECTS)


def test_the_page_has_each_server() -> None:
    """OpenAI twice, and the four servers of one's own."""
    assert len(FRAGMENTS) == 6
    for name in ("OpenAI", "vLLM", "Ollama", "llama.cpp", "TGI"):
        assert f"**{name}" in PAGE


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("http://localhost:8000/v1", "max_tokens"),
    ],
)
def test_the_cap_has_the_name_that_the_server_knows(base_url: str, name: str) -> None:
    """OpenAI's newer models refuse the older name, and many servers do not know the newer one."""
    one = Question("q", {"model": "m", "parameters": {"temperature": 0.0, "max_output_tokens": 9}})
    sent = body(one, Dialect.first(Service(base_url, 1, 1), one))
    assert sent == {"model": "m", "messages": [{"role": "user", "content": "q"}], "temperature": 0.0, name: 9}


def test_what_asking_took_is_one_line() -> None:
    """Without shapes or further tries the line says how many replies there are and no more."""
    assert Traffic(3).told() == "asked: 3 replies"
