"""Knobs: the strict, typed sections of a params file."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from burnish.errors import InputError

# Of the params file, in its order.
SECTIONS = (
    "paths",
    "compute",
    "base",
    "extract",
    "collect",
    "synthesize",
    "mix",
    "mine",
    "train",
    "export",
    "retrieve",
    "rerank",
    "score",
)


class Knobs(BaseModel):
    """One section of the params file: frozen, strict, no unknown keys, no defaults in code."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


K = TypeVar("K", bound=Knobs)


class _Loader(yaml.SafeLoader):
    """YAML, in which a key that stands twice is an error: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        """The mapping of a node."""
        keys = [key.value for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.MarkedYAMLError(problem=f"{min(twice)!r} stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def section(path: Path, name: str, kind: type[K]) -> K:
    """The section `name` of the YAML file `path`, checked.

    Raises:
        InputError: naming each unknown, missing or impossible knob, what was expected and what was found; or a section that no
            stage has, anywhere in the file: the stage whose section is misspelt may come last.
    """
    try:
        params = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from error
    if isinstance(params, dict) and (unknown := sorted(set(map(str, params)) - {*SECTIONS, name})):
        raise InputError(
            f"{path}: unknown section `{unknown[0]}`; correct its name or take it out; the sections are: {', '.join(SECTIONS)}"
        )
    if not isinstance(params, dict) or name not in params:
        raise InputError(f"{path}: expected a section `{name}`, found none; copy it from the repository's params.yaml")
    try:
        return kind.model_validate(params[name])
    except ValidationError as error:
        raise InputError("; ".join(_complaints(path, name, kind, params[name], error.errors()))) from error


def _complaints(path: Path, name: str, kind: type[Knobs], given: object, faults: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One of each knob, though pydantic has a fault for each member of a union, of which one would do."""
    wrong: dict[str, list[str]] = {}
    found = {}
    for fault in faults:
        where = ".".join([name, *_place(given, fault)])
        if fault["type"] == "extra_forbidden":
            known = f"; the knobs of this section are: {', '.join(sorted(kind.model_fields))}" if len(fault["loc"]) == 1 else ""
            yield f"{path}: unknown knob `{where}`; correct its name or take it out{known}"
        elif fault["type"] == "missing":
            yield f"{path}: knob `{where}` is missing; add it (its meaning stands in the repository's params.yaml)"
        else:
            wrong.setdefault(where, []).append(fault["msg"])
            found[where] = fault["input"]
    for where, expected in wrong.items():
        either = " or ".join([expected[0], *(one.removeprefix("Input should ") for one in expected[1:])])
        yield f"{path}: knob `{where}`: {either}; found {found[where]!r}; its comment in params.yaml tells what it may be"


def _place(given: object, fault: Mapping[str, Any]) -> Iterator[str]:
    """The steps to a fault that the file has: of a union pydantic also names the member that it tried."""
    for step in fault["loc"]:
        if (isinstance(given, dict) and step in given) or (isinstance(given, list) and isinstance(step, int)):
            given = given[step]
            yield str(step)
    if fault["type"] == "missing":
        yield str(fault["loc"][-1])
