"""Several processes: the single one's model, each row once, a failure told in one line, a kill survived."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, BertModel

import together
from burnish.embedding import models
from burnish.training import launch, processes
from conftest import ROOT

TWO = {"processes": 2, "machines": 1, "machine": 0, "address": ""}


def started(out: Path, work: str, *, together: dict[str, Any] = TWO, **flags: Any) -> subprocess.Popen[str]:
    """The script, under way."""
    out.mkdir(exist_ok=True)
    words = [
        sys.executable,
        str(ROOT / "tests/together.py"),
        json.dumps({"out": str(out), "work": work, "launch": together} | flags),
    ]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 (our own script)


def ended(script: subprocess.Popen[str]) -> tuple[int, str]:
    """(exit status, what it told) of a script that was started."""
    told = script.communicate(timeout=1800)[1]
    return script.returncode, told


def test_alone_nothing_is_shared() -> None:
    """In one process each helper is the identity, and nothing is waited for."""
    columns, labels = [torch.ones(2, 3)], torch.tensor([4, 5])
    assert (processes.count(), processes.rank(), processes.first()) == (1, 0, True)
    assert (processes.shared(lambda: 7), processes.share([3, 1, 2])) == (7, [3, 1, 2])
    assert processes.gathered(columns, labels) == (columns, labels, range(2))
    assert processes.total(columns[0]) is columns[0]
    assert not launch.launched()


def alone(count: int) -> tuple[float, Tensor]:
    """(loss, gradient) of tests/together.py's batch of so many rows, by one process."""
    torch.manual_seed(0)
    whole, layer = torch.randn(6, 3), torch.nn.Linear(3, 2)
    loss = (layer(whole[:count]) @ layer(2 * whole[:count]).T).exp().sum()
    loss.backward()
    assert layer.weight.grad is not None
    return float(loss.detach()), layer.weight.grad


def test_a_shared_batch_has_the_loss_and_the_gradient_of_the_whole(tmp_path: Path) -> None:
    """Of even parts, uneven ones, and one row for two processes; on both processes the same."""
    assert ended(started(tmp_path, "gather")) == (0, "")
    found = [json.loads((tmp_path / f"gathered-{at}.json").read_text(encoding="utf-8")) for at in range(2)]
    for count in (6, 5, 1):
        loss, gradient = alone(count)
        parts = [one[str(count)] for one in found]
        assert [row for part in parts for row in part["own"]] == list(range(count))
        for part in parts:
            assert part["rows"] == list(range(count))
            assert part["loss"] == pytest.approx(loss, rel=1e-5)
            assert torch.allclose(torch.tensor(part["weight"]), gradient, rtol=1e-4)
    assert [one["shared"] for one in found] == ["from 0", "from 0"]
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("input", "error: train.batch_size: expected more, found less; raise it"),
        ("fault", "error: training process 1 of 2 failed with ZeroDivisionError: nothing to; "),
        ("killed", "error: training process 1 of 2 ended: Signal 9 (SIGKILL)"),
    ],
)
def test_a_failure_is_told_in_one_line(tmp_path: Path, how: str, told: str) -> None:
    """That of the process that failed, not of those that waited for it; a fault's traceback is kept.

    torch's C++ may log a line of its own when a connection breaks; it comes before, and is none of ours.
    """
    status, said = ended(started(tmp_path, "fail", how=how))
    assert status == 2
    assert said.splitlines()[-1].startswith(told), said
    assert said.count("error: ") == 1, said
    assert "Traceback" not in said
    assert not (tmp_path / "went-on").exists()
    if how == "fault":
        assert "ZeroDivisionError: nothing to\ndivide by" in (tmp_path / "logs/process-1.txt").read_text(encoding="utf-8")


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    """Killed, it cannot end them; they end by themselves, and a rerun has the checkpoints to itself."""
    script = started(tmp_path, "wait")
    assert script.stdout is not None
    assert script.stdout.readline() == "ready\n"
    workers = psutil.Process(script.pid).children()
    script.kill()
    script.wait()
    assert len(workers) == 2
    assert psutil.wait_procs(workers, timeout=120)[1] == []


@pytest.mark.deep
def test_two_machines_meet_at_a_port(tmp_path: Path) -> None:
    """Each started by itself, with its number and where machine 0 is."""
    place = {"processes": 1, "machines": 2, "address": "localhost:29417"}
    scripts = [started(tmp_path / str(at), "gather", together=place | {"machine": at}) for at in range(2)]
    assert [ended(one) for one in scripts] == [(0, ""), (0, "")]
    found = [json.loads((tmp_path / str(at) / f"gathered-{at}.json").read_text(encoding="utf-8")) for at in range(2)]
    assert found[0]["5"]["loss"] == found[1]["5"]["loss"] == pytest.approx(alone(5)[0], rel=1e-5)


@pytest.fixture(scope="module")
def small(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained model of two narrow layers."""
    folder = tmp_path_factory.mktemp("models") / "small"
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    models.save(models.load(folder, "cpu"), folder)
    return folder


JOBS: dict[str, dict[str, Any]] = {
    "mnrl": {},
    "base": {"learning_rate": 1e-4, "widths": [384, 64]},
    "cached-gist": {"loss": "cached-gist", "batch_size": 6, "hardness": "all_negatives", "hardness_strength": 5.0},
    "triplet": {"loss": "triplet", "batch_size": 6},
    "contrastive": {"loss": "contrastive"},
    "margin-mse": {"loss": "margin-mse", "learning_rate": 1e-4},
    "kl": {"loss": "kl"},
}


def weights(folder: Path) -> dict[str, Tensor]:
    """Those that a training wrote."""
    return load_file(str(folder / "weights.safetensors"))


def curve(folder: Path) -> list[dict[str, float]]:
    """Its learning curve."""
    found: list[dict[str, float]] = json.loads((folder / "curve.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.deep
def test_two_processes_end_at_the_model_of_one_and_see_each_row_once(base_model: Path, small: Path, tmp_path: Path) -> None:
    """The real base model, and every kind of loss on a small one, with masks, two weights and an odd last batch.

    Batches of 6 leave one row of 13 for two processes: then both compute it, and the loss counts it once.
    """
    jobs = {name: job | {"base": str(base_model if name == "base" else small)} for name, job in JOBS.items()}
    assert ended(started(tmp_path / "two", "train", jobs=jobs))[0] == 0
    for name, job in copy.deepcopy(jobs).items():
        one, two = tmp_path / "one" / name, tmp_path / "two" / name
        one.mkdir(parents=True)
        base = models.load(Path(job["base"]), "cpu").state_dict()
        together.train(Path(job.pop("base")), one, job)
        alone, other = weights(one), weights(two)
        moved = sum(float((alone[part] - base[part]).square().sum()) for part in alone) ** 0.5
        apart = sum(float((alone[part] - other[part]).square().sum()) for part in alone) ** 0.5
        assert moved > 0.01, name
        assert apart < 0.01 * moved, name
        for point, same in zip(curve(one), curve(two), strict=True):
            assert point == pytest.approx(same, rel=1e-3, abs=1e-5), name
        whole = json.loads((one / "rows-0.json").read_text(encoding="utf-8"))
        parts = [json.loads((two / f"rows-{at}.json").read_text(encoding="utf-8")) for at in range(2)]
        assert [first + second if len(rows) > 1 else first for rows, first, second in zip(whole, *parts, strict=True)] == whole
        assert sorted(row for rows in whole for row in rows) == sorted([*range(together.ROWS)] * 2), name


@pytest.mark.deep
def test_a_killed_process_ends_all_and_the_same_command_goes_on(small: Path, tmp_path: Path) -> None:
    """The second process is killed after a checkpoint; the rerun takes it up, and ends as if nothing had been."""
    job = {"base": str(small)}
    assert ended(started(tmp_path / "whole", "train", jobs={"job": job}))[0] == 0
    status, told = ended(started(tmp_path / "killed", "train", jobs={"job": job | {"dies": [1, 5]}}))
    assert status == 2
    assert "error: training process 1 of 2 ended: Signal 9 (SIGKILL)" in told.splitlines()[-1]  # after a bar of progress
    assert "Traceback" not in told
    assert [one.name for one in (tmp_path / "killed/job/checkpoints").glob("checkpoint-*")] == ["checkpoint-3"]
    assert ended(started(tmp_path / "killed", "train", jobs={"job": job}))[0] == 0
    found, expected = weights(tmp_path / "killed/job"), weights(tmp_path / "whole/job")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert curve(tmp_path / "killed/job") == curve(tmp_path / "whole/job")
    assert len(json.loads((tmp_path / "killed/job/rows-1.json").read_text(encoding="utf-8"))) == 3
