"""dvc.yaml against the code: what DVC cannot see, a test does."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from burnish import compute
from conftest import ROOT

LIBRARY = ROOT / "src" / "burnish"
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, Any] = PIPELINE["stages"]


def files_of(name: str) -> set[Path]:
    """The files that importing `name` runs: its module, its packages' `__init__.py`, its template; none for another library."""
    parts = name.split(".")
    if parts[0] != "burnish":
        return set()
    path = LIBRARY.joinpath(*parts[1:])
    packages = {LIBRARY.joinpath(*parts[1:depth], "__init__.py") for depth in range(1, len(parts) + 1)}
    return {one for one in {path.with_suffix(".py"), *path.parent.glob(f"{path.name}.*.j2"), *packages} if one.is_file()}


def imported(path: Path) -> set[Path]:
    """The library's files that a file imports itself."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {file for name in names for file in files_of(name)} - {path}


def closure(script: Path) -> set[str]:
    """The library files that a script imports, directly or through another, as dvc.yaml names them."""
    seen: set[Path] = set()
    waiting = imported(script)
    while waiting:
        file = waiting.pop()
        seen.add(file)
        waiting |= (imported(file) if file.suffix == ".py" else set()) - seen
    return {str(file.relative_to(ROOT)) for file in seen}


def script_of(stage: dict[str, Any]) -> str:
    """The path of the script that a stage runs."""
    return str(stage["cmd"].split()[1])


@pytest.mark.parametrize("name", STAGES)
def test_deps_are_the_import_closure(name: str) -> None:
    """A stage depends on its script and on every module that the script imports, and on no other code."""
    stage = STAGES[name]
    code = {dep for dep in stage["deps"] if dep.startswith(("src/", "stages/"))}
    assert code == closure(ROOT / script_of(stage)) | {script_of(stage)}


@pytest.mark.parametrize("name", STAGES)
def test_command_paths_are_deps_and_outs(name: str) -> None:
    """Each path in a command is a dependency, an output, the store of paid replies, or lies in .cache; each dependency and
    output is in the command.
    """
    stage = STAGES[name]
    words = stage["cmd"].split()[2:]
    paths = {word for word in words if not word.startswith("--") and word != "params.yaml" and not word.startswith(".cache/")}
    outs = {next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]}
    data = {dep for dep in stage["deps"] if not dep.startswith(("src/", "stages/"))} | outs
    assert paths - {"data/paid"} == data


def knobs_read(script: Path) -> list[tuple[str, type[BaseModel]]]:
    """Each section that a stage's script reads, with the model that it is read by."""
    source = script.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": f"stage_{script.stem}"}
    exec(compile(source, str(script), "exec"), namespace)  # noqa: S102 (a stage is a script, not a module)
    return [(section, namespace[kind]) for section, kind in re.findall(r'knobs\.section\(params, "(\w+)", (\w+)\)', source)]


@pytest.mark.parametrize("name", STAGES)
def test_params_are_the_stage_section(name: str) -> None:
    """A stage that takes --params depends on the section which its script reads, or on those knobs of another stage's section
    that it reads, and on no other; `compute` is nobody's, since it decides where work is done and never what comes out.
    """
    stage = STAGES[name]
    expected = []
    for section, kind in knobs_read(ROOT / script_of(stage)):
        a_part = kind.model_config["extra"] == "ignore"
        expected += [f"{section}.{knob}" for knob in kind.model_fields] if a_part else [section]
    assert stage.get("params", []) == expected
    reads = bool(expected) or "compute.chosen(params)" in (ROOT / script_of(stage)).read_text(encoding="utf-8")
    assert ("--params params.yaml" in " ".join(stage["cmd"].split())) == reads


def test_knobs_and_params_agree() -> None:
    """Every section of params.yaml is accepted by the knobs of its stage, and every stage's section is there."""
    sections = set()
    for script in sorted((ROOT / "stages").glob("*.py")):
        for section, kind in knobs_read(script):
            kind.model_validate(PARAMS[section])
            assert all(field.is_required() for field in kind.model_fields.values()), f"{kind} has a default in code"
            sections.add(section)
    assert compute.chosen(ROOT / "params.yaml").engine == "local"
    assert all(field.is_required() for field in compute.Compute.model_fields.values())
    assert sections | {"paths", "compute"} == set(PARAMS)


def test_every_knob_is_explained() -> None:
    """Each knob in params.yaml has a comment: above it, beside it, or above the knobs right before it."""
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    bare = []
    for number, line in enumerate(lines):
        if re.match(r"^  [a-z_]+:", line) and "#" not in line:
            above = number - 1
            while re.match(r"^  [a-z_]+:", lines[above]):
                above -= 1
            if not lines[above].lstrip().startswith("#"):
                bare.append(line)
    assert bare == []


def test_costly_stages_keep_the_run_cache() -> None:
    """Only score and report write outside DVC's cache: such an output spoils the run cache for its stage."""
    uncached = {name for name, stage in STAGES.items() if any(isinstance(out, dict) for out in stage["outs"])}
    assert uncached == {"score", "report"}


def test_base_does_not_depend_on_the_tuned_model() -> None:
    """Nothing that the baseline needs comes after training: a retrain does not redo it."""
    producers = {
        next(iter(out)) if isinstance(out, dict) else out: name for name, stage in STAGES.items() for out in stage["outs"]
    }

    def ancestors(name: str) -> set[str]:
        direct = {
            producers[out] for dep in STAGES[name]["deps"] for out in producers if dep == out or dep.startswith(f"{out}/")
        }
        return direct | {further for one in direct for further in ancestors(one)}

    assert "train" in ancestors("embed-tuned")
    assert not {"train", "export"} & ancestors("embed-base")
    assert not {"train", "export"} & ancestors("mine")


def test_artifact_names_can_be_pulled() -> None:
    """Artifact names hold letters, digits and hyphens alone: `dvc artifacts get` refuses others."""
    assert PIPELINE["artifacts"]
    assert all(re.fullmatch(r"[a-zA-Z0-9-]+", name) for name in PIPELINE["artifacts"])


def test_stages_never_import_stages() -> None:
    """A stage imports the library, never another stage."""
    names = {path.stem for path in (ROOT / "stages").glob("*.py")}
    for path in (ROOT / "stages").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not modules & (names | {f"stages.{name}" for name in names}), path


def test_the_library_has_no_cycle() -> None:
    """No module of the library imports itself through others."""
    for module in LIBRARY.rglob("*.py"):
        name = str(module.relative_to(ROOT))
        assert module.stem == "__init__" or all(name not in closure(one) for one in imported(module)), module


def test_the_library_knows_no_pipeline() -> None:
    """No library module but the command line names params.yaml, dvc.yaml or click."""
    for module in LIBRARY.rglob("*.py"):
        if module.stem == "cli":
            continue
        tree = ast.parse(module.read_text(encoding="utf-8"))
        roots = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        roots |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not roots & {"click", "dvc", "stages"}, module
