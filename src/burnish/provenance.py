"""Which code made something: a script, and every module of the library that it imports, directly or through another."""

import ast
import hashlib
import re
from pathlib import Path

from burnish.errors import InputError

RECORD = "code.sha256"  # beside what the code made; not among the files that are a model's identity

_LIBRARY = Path(__file__).parent
_PREFIX = f"src/{_LIBRARY.name}"


def digest(script: Path) -> str:
    """A sha256 over the names and contents of `files(script)`: the same for the same code, wherever the clone lies.

    It is read from the files and not from what a process has imported, so that neither an earlier import nor a branch that is
    not taken changes it. It needs neither Git nor dvc.yaml. Other libraries are not in it: requirements.lock has their versions.
    `sha256sum` gives it too, over these files' lines of name, a zero byte, and sha256.
    """
    total = hashlib.sha256()
    for name, path in sorted(files(script).items()):
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def files(script: Path) -> dict[str, Path]:
    """The script, the library's modules that it imports, directly or through another, and those modules' templates.

    They are the code among the stage's deps in dvc.yaml, by the names that stand there: DVC runs the stage again whenever its
    digest changes.

    Args:
        script: a file in the folder of stages.
    """
    seen: set[Path] = set()
    waiting = _imported(script)
    while waiting:
        seen |= waiting
        waiting = {further for one in waiting if one.suffix == ".py" for further in _imported(one)} - seen
    named = {f"{_PREFIX}/{one.relative_to(_LIBRARY).as_posix()}": one for one in seen}
    return named | {f"{script.resolve().parent.name}/{script.name}": script}


def recorded(folder: Path) -> str:
    """The digest of the code that made what lies in `folder`, as it was written down there.

    Raises:
        InputError: there is none.
    """
    path = folder / RECORD
    found = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if not re.fullmatch("[0-9a-f]{64}", found):
        raise InputError(
            f"{path}: expected the sha256 of the code that made this folder, found {found[:80] or 'none'}; run the stage that "
            "makes it again"
        )
    return found


def _imported(path: Path) -> set[Path]:
    """The library's files that a file imports itself, in functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {file for name in names for file in _files_of(name)}


def _files_of(name: str) -> set[Path]:
    """What importing `name` runs: its module, its packages' `__init__.py`, and its template; none for another library."""
    first, *parts = name.split(".")
    if first != _LIBRARY.name:
        return set()
    path = _LIBRARY.joinpath(*parts)
    packages = {_LIBRARY.joinpath(*parts[:depth], "__init__.py") for depth in range(len(parts) + 1)}
    return {one for one in (path.with_suffix(".py"), *path.parent.glob(f"{path.name}.*.j2"), *packages) if one.is_file()}
