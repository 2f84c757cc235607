"""docs/general-set.md: each of its fragments, run by the stage over data of the shape that it names."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import small
from burnish import tables
from conftest import ROOT
from hub_server import Client, Hub, Repository
from test_hub_sets import IDS, NANO, dataset, marco

PAGE = (ROOT / "docs/general-set.md").read_text(encoding="utf-8")
FRAGMENTS: list[dict[str, Any]] = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
CHOSEN = "5" * 40  # what a reader puts where the page says COMMIT
REVISIONS = {
    "microsoft/ms_marco": "a47ee7aae8d7d466ba15f9f0bfac3b3681087b3a",
    "sentence-transformers/msmarco-co-condenser-margin-mse-sym-mnrl-mean-v1": "84ed2d35626f617d890bd493b4d6db69a741e0e2",
    "sentence-transformers/msmarco-corpus": CHOSEN,
    "sentence-transformers/NanoBEIR-en": "beb106fbcfaa599c508c667041bf8c85fd78736b",
}
FOLDERS = ("corpus", "judged", "logs", "general", "out")
TRIPLETS = [{"query": f"ask {at}", "positive": f"Reply {at}.", "negative": f"Wrong {at}."} for at in range(40)]


def sets() -> dict[str, Repository]:
    """Small data sets under the names and commits of the page, in the real ones' shape."""
    nano = {(config, split): rows for split in ("NanoMSMARCO", "NanoNQ", "NanoHotpotQA") for (config, _), rows in NANO.items()}
    parts: dict[str, dict[tuple[str, str], Any]] = {
        "microsoft/ms_marco": {("v2.1", "train"): marco(0, 30), ("v2.1", "validation"): marco(30, 30)},
        "sentence-transformers/msmarco-co-condenser-margin-mse-sym-mnrl-mean-v1": {
            ("triplet", "train"): TRIPLETS,
            ("triplet-ids", "train"): IDS,
        },
        "sentence-transformers/msmarco-corpus": {
            ("query", "train"): [{"qid": at, "text": f"ask {at}"} for at in range(50)],
            ("passage", "train"): [{"pid": at, "text": f"Passage {at}."} for at in range(400)],
        },
        "sentence-transformers/NanoBEIR-en": nano,
    }
    return {name: dataset(rows, commit=REVISIONS[name]) for name, rows in parts.items()}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A process that asks a hub with these sets."""
    with Hub(datasets=sets()) as hub, Client(hub.address, tmp_path_factory.mktemp("home")) as running:
        yield running


def msmarco(folder: Path) -> None:
    """Files of MS MARCO's names in `folder`, dev.small a part of dev."""
    rows = {"train": range(200), "dev": range(1000, 1040), "dev.small": range(1000, 1020)}
    for split, ids in rows.items():
        (folder / f"queries.{split}.tsv").write_text("".join(f"{one}\tquestion {one}\n" for one in ids))
        (folder / f"qrels.{split}.tsv").write_text("".join(f"{one}\t0\t{one}\t1\n" for one in ids))
    (folder / "collection.tsv").write_text("".join(f"{one}\tPassage {one}.\n" for one in range(2000)))
    (folder / "qidpidtriples.train.full.2.tsv").write_text("".join(f"{one}\t{one}\t{one + 1}\n" for one in range(200)))


@pytest.mark.parametrize("number", range(len(FRAGMENTS)))
def test_a_fragment_runs(client: Client, tmp_path: Path, number: int) -> None:
    """Its knobs are those of params.yaml, and the stage makes every split, with the licence in words."""
    fragment = copy.deepcopy(FRAGMENTS[number])
    if texts := fragment["collect"].get("general", {}).get("texts"):
        assert {part["revision"] for part in texts.values()} == {"COMMIT"}
        for part in texts.values():
            part["revision"] = CHOSEN
    assert set(fragment) <= {"paths", "collect"}
    assert set(fragment.get("paths", {})) <= set(PARAMS["paths"])
    assert set(fragment["collect"]) <= set(PARAMS["collect"])
    for name in fragment["collect"]:
        if name == "general":
            fragment["collect"][name]["most"] = {"train": 12, "dev": 2, "test": 3}
    msmarco(tmp_path)
    small.write_corpus(tmp_path / "corpus", {"d1": "d1#a"})
    (tmp_path / "params.yaml").write_text(json.dumps({"collect": PARAMS["collect"] | {"judgments": []} | fragment["collect"]}))
    general = tmp_path if fragment["collect"].get("general", {}).get("kind") == "files" else ROOT / "data/general"
    where = {"corpus": tmp_path / "corpus", "judged": tmp_path, "logs": tmp_path, "general": general, "out": tmp_path / "out"}
    told = client.run("stages/collect.py", params=tmp_path / "params.yaml", **where)
    assert told.status == 0, told.err
    queries = tables.read(tables.QUERIES, tmp_path / "out/queries.parquet")
    sizes = dict(queries.group_by("split").len().iter_rows())
    told = json.loads((tmp_path / "out/general.json").read_text())
    assert "non-commercial research purposes only" in told["licence"]
    if "general" in fragment["collect"]:
        assert sizes == {"train": 12, "dev": 2, "test": 3}
    else:
        assert queries["query_id"].str.starts_with("general:Nano").sum() == 6
        assert told["licence"].startswith(PARAMS["collect"]["general"]["licence"])
        assert told["nanobeir"] == fragment["collect"]["nanobeir"] | {"sha256": told["nanobeir"]["sha256"]}


def test_the_word_commit_is_refused(client: Client, tmp_path: Path) -> None:
    """Whoever forgets to put a commit there is told what it is and where it stands, before the hub is asked."""
    (given,) = (one["collect"] for one in FRAGMENTS if "COMMIT" in json.dumps(one))
    (tmp_path / "params.yaml").write_text(json.dumps({"collect": PARAMS["collect"] | given}))
    told = client.run("stages/collect.py", params=tmp_path / "params.yaml", **dict.fromkeys(FOLDERS, tmp_path))
    assert told.status == 2
    assert re.search(r"texts\.queries\.revision`: .*40 hexadecimal digits.*dataset_info.*found 'COMMIT'", told.err)


def test_the_page_tells_how_to_find_a_commit(client: Client, tmp_path: Path) -> None:
    """The command that it gives prints the newest one."""
    (command,) = re.findall(r"^    python -c '(.*)'$", PAGE, re.MULTILINE)
    (tmp_path / "newest.py").write_text(command.replace("; ", "\n"))
    told = client.run(str(tmp_path / "newest.py"))
    assert (told.out, told.err) == (f"{CHOSEN}\n", "")


def test_the_page_has_every_way() -> None:
    """Files, the hub's shapes, ids with their texts, NanoBEIR."""
    kinds = [one["collect"].get("general", {}).get("kind", "nanobeir") for one in FRAGMENTS]
    assert kinds == ["files", "hub", "hub", "hub", "nanobeir"]


def test_every_knob_of_a_hub_set_is_explained() -> None:
    """On the page or in params.yaml."""
    text = PAGE + (ROOT / "params.yaml").read_text(encoding="utf-8")
    for name in (
        "max_rows",
        "candidates",
        "labels",
        "positives",
        "negatives",
        "texts",
        "distractors",
        "revision",
        "splits",
        "sha256",
    ):
        assert f"`{name}`" in text or f"{name}:" in text
