"""The store of paid replies shared between machines by real DVC: what one machine paid for, no other pays for again."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import loopback
from burnish import tables
from burnish.synthesis.replies import ReplyStore
from burnish.tables import DOCUMENTS, PASSAGES

pytestmark = pytest.mark.deep

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/synthesis-service.md").read_text(encoding="utf-8")
SUBJECTS = ["Frames", "Joins", "Windows", "Graphs", "Paths", "Trees"]


@dataclass(frozen=True)
class Machine:
    """A clone, and the environment that its commands run in."""

    folder: Path
    environment: dict[str, str]

    def run(self, words: str, status: int = 0) -> str:
        """What a shell command prints, once it has ended with `status`."""
        done = subprocess.run(
            ["bash", "-c", words], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, f"{words} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def synthesize(self, server: loopback.Service, documents: list[str]) -> dict[str, str]:
        """Run the real stage over a document for each subject; the digests of the tables that it wrote."""
        places = write(self.folder, server, documents)
        flags = " ".join(f"--{name} {place}" for name, place in places.items())
        self.run(f"{sys.executable} {ROOT / 'stages/synthesize.py'} {flags}")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((self.folder / "out").iterdir())}


def write(folder: Path, server: loopback.Service, documents: list[str]) -> dict[str, Any]:
    """Write tables and knobs for the stage; the flags that name them."""
    rows = [(f"{name}#0", name, 0, name, "", f"{name} hold values. They are made in one call.", 9) for name in documents]
    tables.write(pl.DataFrame(rows, PASSAGES.columns, orient="row"), PASSAGES, folder / "passages.parquet")
    empty = {name: pl.lit("") for name in DOCUMENTS.columns}
    own = {"document_id": pl.col("document_id"), "language": pl.lit("en")}
    every = pl.DataFrame({"document_id": sorted(documents)}).select(**{**empty, **own})
    tables.write(every, DOCUMENTS, folder / "documents.parquet")
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params = shipped["synthesize"]
    params |= {"provider": "openai", "prompt": "general.txt", "accept_coverage": 1.0, "max_bad_share": 0.0}
    params["service"]["base_url"] = server.url
    (folder / "params.yaml").write_text(yaml.safe_dump({"synthesize": params, "compute": shipped["compute"]}), encoding="utf-8")
    return {
        "params": "params.yaml",
        "passages": "passages.parquet",
        "documents": "documents.parquet",
        "recorded": "recorded",
        "store": "data/paid",
        "prompts": ROOT / "prompts",
        "training": "training",
        "out": "out",
    }


def answers(message: str, before: int) -> loopback.Act:
    """Two queries about the subject that a prompt names, and about no other."""
    (subject,) = {name for name in [*SUBJECTS, "Dates", "Lists"] if f"{name} hold values" in message}
    return loopback.says(json.dumps({"queries": [f"what are {subject}", f"make {subject} in one call"]}))


def asked(server: loopback.Service) -> list[str]:
    """The subjects asked about since the last look."""
    found = sorted(re.findall(r"(\w+) hold values", message)[0] for message in server.asked.elements())
    server.asked.clear()
    return found


def block(after: str) -> list[str]:
    """The commands that the page shows below a sentence."""
    part = PAGE.split(after, 1)[1]
    lines = re.match(r".*?\n\n((?:    [^\n]+\n)+)", part, re.DOTALL)
    assert lines
    return [line.split("  #")[0].strip() for line in lines[1].splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with the repository's DVC and Git settings, whose remotes are folders."""
    folder = tmp_path / "one"
    (folder / "data").mkdir(parents=True)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    for name in (".gitignore", ".gitattributes", ".dvcignore"):
        shutil.copyfile(ROOT / name, folder / name)
    search = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": f"{ROOT / 'src'}"}
    git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    git |= {f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dvc = {"DVC_SITE_CACHE_DIR": f"{tmp_path / 'site-cache'}", "DVC_NO_ANALYTICS": "1"}
    service = {"OPENAI_API_KEY": loopback.KEY, "NO_PROXY": "127.0.0.1", "TQDM_DISABLE": "1"}
    made = Machine(folder, {**os.environ, **search, **git, **dvc, **service})
    made.run(f"git init --quiet --bare --initial-branch main {tmp_path / 'hub.git'} && git init --quiet --initial-branch main")
    made.run(f"git remote add origin {tmp_path / 'hub.git'} && git config push.autoSetupRemote true")
    made.run(f"dvc remote add --quiet -d storage {tmp_path / 'storage'}")
    made.run("git add --all && git commit --quiet -m Start && git push --quiet")
    return made


def test_what_one_machine_paid_for_no_other_pays_for(machine: Machine, tmp_path: Path) -> None:
    """The page's commands: a second clone that pulls and adds one document asks once; both machines then ask for a document of
    their own, and after a merge each has all replies, asks nothing, and makes the same bytes as the other.
    """
    share, fetch, merging = block("DVC tracks by itself:"), block("On another machine:"), block("names the file)")
    assert share[0].startswith("dvc remote add")
    with loopback.serving(answers) as server:
        machine.synthesize(server, SUBJECTS)
        assert asked(server) == sorted(SUBJECTS)
        machine.run(" && ".join(share[1:]))

        machine.run(f"git clone --quiet {tmp_path / 'hub.git'} {tmp_path / 'two'}")
        other = Machine(tmp_path / "two", machine.environment)
        for one in (machine, other):
            one.run(merging[0])
        other.run(" && ".join(fetch))
        other.synthesize(server, [*SUBJECTS, "Dates"])
        assert asked(server) == ["Dates"]
        other.run(" && ".join(share[1:]))

        machine.synthesize(server, [*SUBJECTS, "Lists"])
        assert asked(server) == ["Lists"]
        machine.run("burnish repair data/paid && dvc add data/paid && dvc push && git commit --quiet -am Lists")
        machine.run(" && ".join(block("DVC needs their list")))
        other.run(" && ".join(fetch))
        every = [*SUBJECTS, "Dates", "Lists"]
        assert machine.synthesize(server, every) == other.synthesize(server, every)
        assert asked(server) == []
    assert len(ReplyStore(machine.folder / "data/paid")) == len(every)


def test_replies_that_were_never_added_survive_a_pull(machine: Machine, tmp_path: Path) -> None:
    """`dvc pull` over replies that DVC does not know refuses, and leaves them; notes of batches and files put aside stay out."""
    with loopback.serving(answers) as server:
        machine.synthesize(server, SUBJECTS[:2])
        note = {"address": "https://example.org/v1", "requests": {}, "batch_id": ""}
        for name in ("batches", "damaged"):
            (machine.folder / "data/paid" / name).mkdir()
            (machine.folder / "data/paid" / name / "note.json").write_text(json.dumps(note), encoding="utf-8")
        machine.run("dvc add data/paid && dvc push && git add data/paid.dvc && git commit --quiet -m Two && git push --quiet")
        assert len(json.loads(machine.run("dvc ls . data/paid --json"))) == 1
        machine.synthesize(server, SUBJECTS[:4])
        assert "unsaved files" in machine.run("dvc pull", status=1)
    assert len(ReplyStore(machine.folder / "data/paid")) == 4
    assert (machine.folder / "data/paid/batches/note.json").exists()
