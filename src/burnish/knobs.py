"""Knobs: the strict, typed sections of a params file."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from burnish.errors import InputError


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
        InputError: naming each unknown, missing or impossible knob, what was expected and what was found.
    """
    try:
        params = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(params, dict) or name not in params:
        raise InputError(f"{path}: expected a section `{name}`, found none; copy it from the repository's params.yaml")
    try:
        return kind.model_validate(params[name])
    except ValidationError as error:
        raise InputError("; ".join(_complaint(path, name, kind, part) for part in error.errors())) from error


def _complaint(path: Path, name: str, kind: type[Knobs], part: object) -> str:
    assert isinstance(part, dict)
    where = ".".join([name, *map(str, part["loc"])])
    if part["type"] == "extra_forbidden":
        known = f"; the knobs of this section are: {', '.join(sorted(kind.model_fields))}" if len(part["loc"]) == 1 else ""
        return f"{path}: unknown knob `{where}`{known}"
    if part["type"] == "missing":
        return f"{path}: knob `{where}` is missing; add it (its meaning stands in the repository's params.yaml)"
    return f"{path}: knob `{where}`: {part['msg']}; found {part['input']!r}"
