"""Files and folders are whole or not there, and a full disk is told in one line."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from burnish import atomic, errors


class Stop(Exception):
    """Any fault inside a block."""


def full(*_: object) -> None:
    """What the system says when the disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed(code: str, folder: Path) -> int:
    """The exit status of a process that runs `code`, which kills itself, in `folder`."""
    program = f"import os, signal\nfrom pathlib import Path\nfrom burnish import atomic\n{code}"
    return subprocess.run([sys.executable, "-c", program], cwd=folder, check=False).returncode


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    """Until the block ends, the old content stands."""
    path = tmp_path / "deep" / "a.txt"
    atomic.write_text(path, "old")
    with atomic.file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [part.name for part in path.parent.iterdir()] == ["a.txt"]


def test_a_fault_leaves_the_old_file(tmp_path: Path) -> None:
    """Nothing half-written takes the name, and the temporary file goes."""
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")
    with pytest.raises(Stop), atomic.file(path) as temporary:
        temporary.write_text("half")
        raise Stop
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_fault_leaves_the_old_folder(tmp_path: Path) -> None:
    """A folder is replaced as a whole or not at all."""
    path = tmp_path / "made"
    with atomic.folder(path) as temporary:
        (temporary / "old").touch()
    with pytest.raises(Stop), atomic.folder(path) as temporary:
        (temporary / "new").touch()
        raise Stop
    assert [part.name for part in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_folder_keeps_nothing_of_the_old(tmp_path: Path) -> None:
    """A file that is no longer made is no longer there."""
    for name in ("old", "new"):
        with atomic.folder(tmp_path / "made") as temporary:
            (temporary / name).touch()
    assert [part.name for part in (tmp_path / "made").iterdir()] == ["new"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_kill_leaves_nothing_that_is_believed(tmp_path: Path, kind: str) -> None:
    """Killed inside the block, a process leaves no `made`, whatever it had written."""
    inside = "(made / 'a' if made.is_dir() else made).write_text('half')"
    code = f"with atomic.{kind}(Path('made')) as made:\n    {inside}\n    os.kill(os.getpid(), signal.SIGKILL)"
    assert killed(code, tmp_path) == -signal.SIGKILL
    assert not (tmp_path / "made").exists()


def test_a_kill_leaves_the_old_file(tmp_path: Path) -> None:
    """Killed inside the block, a process leaves what stood there."""
    atomic.write_text(tmp_path / "made", "old")
    code = "with atomic.file(Path('made')) as made:\n    made.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)"
    assert killed(code, tmp_path) == -signal.SIGKILL
    assert (tmp_path / "made").read_text() == "old"


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    """Temporary files are private; what takes the name is not."""
    atomic.write_text(tmp_path / "a", "x")
    with atomic.folder(tmp_path / "made"):
        pass
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "made")] == [0o644, 0o755]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failing: str
) -> None:
    """Exit status 2, the system's own words on stderr, no traceback; the old file stands and nothing else."""
    path = tmp_path / "a.json"
    atomic.write_json(path, {"old": 1})
    monkeypatch.setattr(*((os, "fsync", full) if failing == "fsync" else (Path, "replace", full)))
    with pytest.raises(SystemExit) as stopped:
        errors.run(lambda: atomic.write_json(path, {"new": 1}))
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: No space left on device; nothing was recorded")
    assert told.count("\n") == 1
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


WRITERS = {
    "python": "path.write_text('x' * 100_000)",
    "polars": "polars.DataFrame({'a': numbers}).write_parquet(path)",
    "duckdb": "duckdb.execute(f\"copy (select random() from range(100_000)) to '{path}' (format parquet)\")",
    "safetensors": "safetensors.numpy.save_file({'a': numbers}, path)",
    "usearch": "graph.save(str(path))",
    "torch": "torch.save({'a': torch.from_numpy(numbers)}, path)",
}


@pytest.mark.parametrize("library", WRITERS)
def test_a_refused_write_is_one_line(tmp_path: Path, library: str) -> None:
    """The system stops a real write in its middle: whoever writes, it ends like any full disk."""
    program = (
        "import resource, duckdb, numpy, polars, safetensors.numpy\nfrom pathlib import Path\nfrom burnish import atomic, errors\n"
        "import torch, usearch.index\nnumbers = numpy.random.default_rng(0).random(100_000)\n"
        "graph = usearch.index.Index(ndim=100)\ngraph.add(numpy.arange(1000), numbers.reshape(1000, 100).astype('float32'))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "def write():\n    with atomic.file(Path('made')) as path:\n"
        f"        {WRITERS[library]}\n"
        "errors.run(write)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    told = "error: a file could not be written (" if library in {"usearch", "torch"} else "error: File too large;"
    assert done.stderr.splitlines()[-1].startswith(told)
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    """Only what a user can mend is told in one line."""
    with pytest.raises(ZeroDivisionError):
        errors.run(lambda: 1 // 0)


@pytest.mark.parametrize("kind", [errors.InputError, errors.UnfinishedError])
def test_an_expected_failure_is_one_line(capsys: pytest.CaptureFixture[str], kind: type[Exception]) -> None:
    """Exit status 2 and the message alone."""

    def fail() -> None:
        raise kind("mend it")

    with pytest.raises(SystemExit) as stopped:
        errors.run(fail)
    assert (stopped.value.code, capsys.readouterr().err) == (2, "error: mend it\n")


def test_success_is_exit_status_zero() -> None:
    """A command that ends well says so to the shell."""
    with pytest.raises(SystemExit) as stopped:
        errors.run(lambda: None)
    assert stopped.value.code == 0


def test_the_same_value_is_the_same_json(tmp_path: Path) -> None:
    """The order of keys does not matter, and letters of any script stay letters."""
    for name, value in (("one", {"b": 1, "a": "ß"}), ("other", {"a": "ß", "b": 1})):
        atomic.write_json(tmp_path / name, value)
    assert (tmp_path / "one").read_text(encoding="utf-8") == '{\n  "a": "ß",\n  "b": 1\n}\n'
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_numbers_are_rounded_at_any_depth(tmp_path: Path) -> None:
    """Floats to the digits asked for, integers and truth values not at all; what is no number is null."""
    value = {"a": [0.123456, (float("nan"), 7, True)], "b": {2: float("inf")}}
    atomic.write_json(tmp_path / "a", value, digits=3)
    assert json.loads((tmp_path / "a").read_text()) == {"a": [0.123, [None, 7, True]], "b": {"2": None}}
