"""The hub's failures, met by the stages that ask it: each is one line that says what to mend, and nothing is half there.

The clients are huggingface_hub and datasets themselves, in a process whose HF_ENDPOINT is a hub on this machine.
"""

import errno
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import small
from burnish.hub import telling
from conftest import ROOT
from hub_server import COMMIT, TOKEN, Client, Hub, Repository, Told

WEIGHTS = b"".join(hashlib.sha256(b"%d" % at).digest() for at in range(100_000))  # 3.2 MB
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
MODEL = {
    "config.json": b"{}",
    "modules.json": b"[]",
    "sentence_bert_config.json": b'{"max_seq_length": 128}',
    "model.safetensors": WEIGHTS,
    "README.md": b"a card",
}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub with a model, a gated one, and one whose weights were overwritten in the middle."""
    damaged = WEIGHTS[:5000] + b"x" + WEIGHTS[5001:]
    with Hub(
        models={
            "team/model": Repository(MODEL),
            "team/long": Repository(MODEL),
            "team/gated": Repository(MODEL, gated=True),
            "team/damaged": Repository(MODEL | {"model.safetensors": damaged}),
        }
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A process that asks it."""
    with Client(hub.address, tmp_path_factory.mktemp("home")) as running:
        yield running


def fetched(client: Client, root: Path, model: str, *, revision: str = COMMIT, sha256: str = SHA256, token: str = "") -> Told:
    """What the stage `base` says; the model is put into `root`/base."""
    knobs = {"model": model, "revision": revision, "sha256": sha256, "query_prompt": None, "passage_prompt": None}
    (root / "params.yaml").write_text(json.dumps({"base": knobs}))
    return client.run("stages/base.py", token=token, params=root / "params.yaml", out=root / "base")


def test_a_model_is_fetched(client: Client, tmp_path: Path) -> None:
    """From the hub that HF_ENDPOINT names, at its commit."""
    told = fetched(client, tmp_path, "team/model")
    assert told.status == 0, told.err
    assert (tmp_path / "base/model.safetensors").read_bytes() == WEIGHTS
    assert told.out.startswith("base: team/model, reads 128 tokens")


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("team/model", {"revision": "0" * 40}, "it has no such revision; copy a commit, 40 hexadecimal digits"),
        ("team/nothing", {}, "there is no such repository, or it is private: mend the name, or set HF_TOKEN"),
        ("a b", {}, "that is no name of a repository, which is OWNER/NAME"),
        ("team/gated", {}, "it is gated: accept its terms on its page, then set HF_TOKEN to a token of that account"),
        ("team/gated", {"token": "hf_of_another_account"}, "it is gated: accept its terms on its page, then set HF_TOKEN"),
    ],
)
def test_what_the_user_must_mend_is_told(
    client: Client, tmp_path: Path, model: str, options: dict[str, str], said: str
) -> None:
    """With the model's name and revision."""
    error = fetched(client, tmp_path, model, **options).error
    assert error.startswith(f"error: base.model {model} at revision {options.get('revision', COMMIT)}: the hub did not give it")
    assert said in error
    assert not (tmp_path / "base").exists()


def test_a_gated_model_is_fetched_with_a_token(client: Client, tmp_path: Path) -> None:
    """Which is in no file."""
    assert fetched(client, tmp_path, "team/gated", token=TOKEN).status == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []


def test_an_interrupted_download_goes_on(client: Client, hub: Hub, tmp_path: Path) -> None:
    """Cut in the middle of the weights, again and again: one line; the next run asks for that file alone."""
    hub.cut["model.safetensors"] = 1_000_000
    try:
        error = fetched(client, tmp_path, "team/long").error
    finally:
        hub.cut.clear()
    assert f"error: base.model team/long at revision {COMMIT}: the connection to {hub.address} failed" in error
    assert "run the same command again: files that have arrived are kept" in error
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
    hub.asked.clear()
    assert fetched(client, tmp_path, "team/long").status == 0
    assert (tmp_path / "base/model.safetensors").read_bytes() == WEIGHTS
    files = [path.rsplit("/", 1)[1] for method, path, _ in hub.asked if method == "GET" and "/resolve/" in path]
    assert files == ["model.safetensors"]


def test_damaged_weights_are_refused(client: Client, hub: Hub, tmp_path: Path) -> None:
    """The line names the file to delete; then a rerun takes the whole one."""
    error = fetched(client, tmp_path, "team/damaged").error
    assert f"expected {SHA256}" in error
    path = Path(re.search(r"; (\S+) is damaged or not the model that you named: delete it", error)[1])  # type: ignore[index]
    assert not (tmp_path / "base").exists()
    path.unlink()
    hub.models["team/damaged"] = hub.models["team/model"]
    told = fetched(client, tmp_path, "team/damaged")
    assert told.status == 0, told.err


def test_a_failing_hub_is_told(client: Client, hub: Hub, tmp_path: Path) -> None:
    """Answers of 500; what the cache holds whole needs no hub."""
    hub.failing = True
    try:
        error = fetched(client, tmp_path, "team/other").error
        cached = fetched(client, tmp_path, "team/model")
    finally:
        hub.failing = False
    assert f"the connection to {hub.address} failed" in error
    assert cached.status == 0, cached.err


def test_nobody_answers(tmp_path: Path) -> None:
    """The line has the address, for models and data sets alike."""
    with Client("http://127.0.0.1:9", tmp_path / "home") as nobody:
        assert "the connection to http://127.0.0.1:9 failed" in fetched(nobody, tmp_path, "team/model").error
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        nano = {"dataset": "team/nano", "revision": COMMIT, "sets": ["NanoNQ"], "language": "en"}
        (tmp_path / "params.yaml").write_text(json.dumps({"collect": params["collect"] | {"nanobeir": nano}}))
        small.write_corpus(tmp_path / "corpus", {"d1": "d1#a"})
        folders = {name: ROOT / "data" / name for name in ("judged", "logs", "general")}
        where = folders | {"out": tmp_path / "out"}
        told = nobody.run("stages/collect.py", params=tmp_path / "params.yaml", corpus=tmp_path / "corpus", **where)
    assert "team/nano queries NanoNQ" in told.error
    assert "the connection to http://127.0.0.1:9 failed" in told.error


def test_a_full_disk_is_not_the_hubs_fault(tmp_path: Path) -> None:
    """It is told as everywhere else, and a file that is missing here too."""
    with pytest.raises(OSError, match="No space left"), telling("a model"):
        raise OSError(errno.ENOSPC, "No space left on device", "cache")
    with pytest.raises(FileNotFoundError), telling("a model"):
        (tmp_path / "none").read_text()
