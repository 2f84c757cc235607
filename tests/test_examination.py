"""`burnish doctor` at each state of a repository, from the knobs alone to the queries: what lacks is told, with what to do."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import small
from burnish import tables
from burnish.cli import cli
from burnish.embedding import vectors
from burnish.errors import InputError
from burnish.evaluation import examination
from burnish.synthesis.service import KEY_VARIABLE
from conftest import ROOT

COUNTS = {
    "documents": 2,
    "passages": 2,
    "passage_tokens": {"p5": 20.0, "p50": 80.0, "p95": 200.0},
    "truncated_share": 0.0,
    "near_duplicate_document_share": 0.0,
    "failures": {},
}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a key of the machine's."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def repository(folder: Path, **knobs: Any) -> Path:
    """A folder with params.yaml and two documents, nothing built; knobs as section__knob."""
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    files = {"extract.sources": [{"kind": "files", "path": "**/*.md", "language": "en"}]}
    small.edit(folder / "params.yaml", files | {name.replace("__", "."): value for name, value in knobs.items()})
    for name in ("bread", "boats"):
        path = folder / "data/documents" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# All about {name}\n", encoding="utf-8")
    return folder


def extracted(folder: Path) -> None:
    """What `extract` makes."""
    small.write_corpus(folder / "data/corpus", {"bread": "bread#1", "boats": "boats#1"})
    (folder / "data/corpus/counts.json").write_text(json.dumps(COUNTS), encoding="utf-8")


def mixed(folder: Path, *, origin: str = "curated") -> None:
    """What `mix` makes of one training and one test query."""
    for name, split in (("training", "train"), ("test", "test")):
        row = (name, f"how about {name}", "en", origin, split)
        queries = pl.DataFrame([row], schema=tables.QUERIES.columns, orient="row")
        qrels = pl.DataFrame([(name, "bread#1", "passage", 1, 1.0, origin)], schema=tables.QRELS.columns, orient="row")
        tables.write(queries, tables.QUERIES, folder / "data/mixed" / name / "queries.parquet")
        tables.write(qrels, tables.QRELS, folder / "data/mixed" / name / "qrels.parquet")


def embedded(folder: Path) -> None:
    """What `embed-base` makes: the test query lies at its answer."""
    for name, ids in (("passages", ["bread#1", "boats#1"]), ("queries", ["test", "training"])):
        vectors.write(folder / "data/vectors/base" / f"{name}.parquet", ids, np.eye(2, 384, dtype=np.float32))


def with_base(folder: Path, base_model: Path) -> None:
    """The base model, where the stage `base` puts it."""
    (folder / "models").mkdir()
    (folder / "models/base").symlink_to(base_model)


def examined(folder: Path) -> dict[str, str]:
    """What the doctor says: levels by text."""
    return {one.text: one.level for one in examination.findings(folder, folder / "params.yaml", enough=0.7)}


def level(found: dict[str, str], words: str) -> str:
    """The level of the one finding whose text holds `words`."""
    (only,) = [one for text, one in found.items() if words in text]
    return only


def test_with_nothing_built_the_machine_and_the_inputs_are_told(tmp_path: Path) -> None:
    """Python, memory, disk; documents and judgments; and that no corpus is there, of whose needs nothing is claimed."""
    found = examined(repository(tmp_path))
    assert level(found, "Python 3.") == "ok"
    assert level(found, "of memory available, ") == "ok"
    assert level(found, "needed is known once there is a corpus") == "ok"
    assert level(found, "needed is known once there is a base model") == "ok"
    assert level(found, "extract.sources[0]: documents are there, the first is boats.md") == "ok"
    assert level(found, "1 sources of judgments and 0 search logs") == "ok"
    assert level(found, "no corpus yet: run `dvc repro mix`") == "note"
    assert "stop" not in found.values()


def test_a_source_without_documents_stops(tmp_path: Path) -> None:
    """With its place among the sources and what to do; an installed package is left to the stage."""
    package = {"kind": "python-api", "packages": {"polars": "0"}, "minimum_words": 1, "language": "en"}
    files = {"kind": "files", "path": "*.pdf", "language": "en"}
    records = {
        "kind": "jsonl",
        "path": "no.jsonl",
        "language": "en",
        **dict.fromkeys(("id_field", "title_field", "text_field"), "x"),
    }
    found = examined(repository(tmp_path, extract__sources=[package, files, records]))
    assert level(found, "extract.sources[1] (files): no document found at") == "stop"
    assert level(found, "no.jsonl: expected a jsonl file, found none") == "stop"
    assert not any("sources[0]" in text for text in found)


def test_without_judgments_the_test_will_be_synthetic(tmp_path: Path, base_model: Path) -> None:
    """Before the corpus is there, and after; the test's own queries tell it once they are mixed."""
    folder = repository(tmp_path, collect__judgments=[])
    told = "no judgments and no search logs: the test will be held-out synthetic queries"
    assert level(examined(folder), told) == "note"
    extracted(folder)
    with_base(folder, base_model)
    assert level(examined(folder), told) == "note"
    mixed(folder, origin="synthetic")
    found = examined(folder)
    assert level(found, "the test is synthetic: it measures questions like the training's own") == "note"
    assert not any(told in text for text in found)


def test_an_extracted_corpus_without_a_base_is_told(tmp_path: Path) -> None:
    """As after a pull of one output alone: its counts are told, its tokens cannot be."""
    folder = repository(tmp_path)
    extracted(folder)
    found = examined(folder)
    assert level(found, "2 documents, 2 passages of 20 to 200 tokens") == "ok"
    assert level(found, "no base model yet: run `dvc repro base`") == "note"
    assert any("judgments" in text for text in found)
    assert not any("documents are there" in text for text in found)


def test_a_corpus_without_queries_is_told(tmp_path: Path, base_model: Path) -> None:
    """Needs, tokens and judgments are told; queries cannot be."""
    folder = repository(tmp_path)
    extracted(folder)
    with_base(folder, base_model)
    found = examined(folder)
    assert level(found, "2 passages x 384 dimensions x 4 bytes") == "ok"
    assert level(found, "models, checkpoint, vectors, index") == "ok"
    assert any("tokens of the base model" in text for text in found)
    assert level(found, "no queries yet: run `dvc repro mix`") == "note"


def test_queries_without_vectors_are_told(tmp_path: Path, base_model: Path) -> None:
    """What can be counted is; the recall waits for the vectors."""
    folder = repository(tmp_path)
    extracted(folder)
    with_base(folder, base_model)
    mixed(folder)
    found = examined(folder)
    assert level(found, "1 domain queries to train on") == "note"
    assert level(found, "no vectors of the base: run `dvc repro embed-base`") == "note"
    assert level(found, "1 curated test queries can show") == "note"
    embedded(folder)
    assert level(examined(folder), "recall@10: base 1.000") == "ok"


def test_the_command_fails_where_anything_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a script can go by it: 1 for a stop, 0 for notes; outside a repository one line says where to go."""
    monkeypatch.chdir(repository(tmp_path))
    told = CliRunner().invoke(cli, ["doctor"])
    assert (told.exit_code, "[ note ] no corpus yet" in told.output) == (0, True)
    shutil.rmtree("data/documents")
    told = CliRunner().invoke(cli, ["doctor"])
    assert (told.exit_code, "[ STOP ] extract.sources[0]" in told.output) == (1, True)
    Path("params.yaml").unlink()
    with pytest.raises(InputError, match=r"params\.yaml: expected the knobs here, found none; run `burnish doctor` in the rep"):
        CliRunner().invoke(cli, ["doctor"], catch_exceptions=False)


def test_a_missing_key_stops_only_where_it_will_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No provider but openai needs one; with queries there already it is a note; the key itself is never said."""
    folder = repository(tmp_path, synthesize__provider="openai")
    told = f"expected a key in the environment variable {KEY_VARIABLE}, found none"
    assert level(examined(folder), told) == "stop"
    (folder / "data/synthetic").mkdir()
    (folder / "data/synthetic/queries.parquet").touch()
    assert level(examined(folder), told) == "note"
    monkeypatch.setenv(KEY_VARIABLE, "sk-secret")
    found = examined(folder)
    assert level(found, f"a key is in {KEY_VARIABLE}") == "ok"
    assert not any("sk-secret" in text for text in found)
    monkeypatch.setenv(KEY_VARIABLE, "sk secret")
    assert level(examined(folder), "expected a key without spaces") == "note"


@pytest.mark.parametrize("provider", ["replay", "extractive"])
def test_other_providers_need_no_key(tmp_path: Path, provider: str) -> None:
    """Nothing is said of it."""
    assert not any(KEY_VARIABLE in text for text in examined(repository(tmp_path, synthesize__provider=provider)))
