"""The digest of a stage's code: what DVC runs the stage again for, and nothing else."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import small
from burnish import provenance
from burnish.errors import InputError
from conftest import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


@pytest.mark.parametrize("name", STAGES)
def test_it_covers_the_stages_code_deps(name: str) -> None:
    """The files are the code that dvc.yaml declares, under the same names, templates included."""
    declared = {dep for dep in STAGES[name]["deps"] if dep.startswith(("src/", "stages/"))}
    assert set(provenance.files(ROOT / STAGES[name]["cmd"].split()[1])) == declared


def test_sha256sum_can_check_it() -> None:
    """One line a file, sorted by name, in the form that the docstring promises."""
    names = sorted(dep for dep in STAGES["train"]["deps"] if dep.startswith(("src/", "stages/")))
    lines = [f"{name}\0{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}\n" for name in names]
    assert provenance.digest(ROOT / "stages/train.py") == hashlib.sha256("".join(lines).encode()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """The digests of three stages by the code of a clone in `folder`."""
    names = ("train", "export", "report")
    line = f"print(*(provenance.digest(Path('stages') / f'{{name}}.py') for name in {names}))"
    source = f"from pathlib import Path; from burnish import provenance; {line}"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, env={"PYTHONPATH": "src"}, capture_output=True, text=True, check=True
    )
    return dict(zip(names, done.stdout.split(), strict=True))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, with no Git."""
    folder = tmp_path_factory.mktemp("clone")
    small.copy_code(folder)
    return folder


def test_another_clone_gives_the_same(clone: Path) -> None:
    """Neither the place nor the process counts."""
    assert digests(clone) == {name: provenance.digest(ROOT / f"stages/{name}.py") for name in ("train", "export", "report")}


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("src/burnish/report/page.py", {"report"}),
        ("src/burnish/report/page.html.j2", {"report"}),
        ("src/burnish/training/losses.py", {"train"}),
        ("src/burnish/training/release.py", {"export"}),
        ("src/burnish/embedding/models.py", {"train", "export"}),
        ("src/burnish/training/__init__.py", {"train", "export", "report"}),
        ("stages/train.py", {"train"}),
        ("src/burnish/documents/pdf.py", set()),
    ],
)
def test_a_change_changes_the_digests_of_its_users(clone: Path, path: str, changed: set[str]) -> None:
    """A byte more in a file is another digest for the stages that import it, through whatever else, and for no other."""
    before, file = digests(clone), clone / path
    content = file.read_bytes()
    file.write_bytes(content + b"\n")
    after = digests(clone)
    file.write_bytes(content)
    assert {name for name, one in after.items() if one != before[name]} == changed


def test_a_recorded_digest_is_read(tmp_path: Path) -> None:
    """As it was written, without its line's end."""
    (tmp_path / provenance.RECORD).write_text("0" * 64 + "\n", encoding="utf-8")
    assert provenance.recorded(tmp_path) == "0" * 64


@pytest.mark.parametrize(("content", "told"), [(None, "found none"), ("", "found none"), ("abc\n", "found abc")])
def test_a_model_that_tells_no_code_is_refused(tmp_path: Path, content: str | None, told: str) -> None:
    """One line with the file, what was found, and what to do."""
    path = tmp_path / provenance.RECORD
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: .*{told}; run the stage that makes it again"):
        provenance.recorded(tmp_path)
