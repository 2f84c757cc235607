"""Knobs: the strict, typed sections of a params file."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from burnish.errors import InputError


class Knobs(BaseModel):
    """One section of the params file: frozen, strict, no unknown keys, no defaults in code."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


K = TypeVar("K", bound=Knobs)


def section(path: Path, name: str, kind: type[K]) -> K:
    """The section `name` of the YAML file `path`, checked.

    Raises:
        InputError: naming each unknown, missing or impossible knob, what was expected and what was found.
    """
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
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
        known = ", ".join(sorted(kind.model_fields))
        return f"{path}: unknown knob `{where}`; the knobs of this section are: {known}"
    if part["type"] == "missing":
        return f"{path}: knob `{where}` is missing; add it (its meaning stands in the repository's params.yaml)"
    return f"{path}: knob `{where}`: {part['msg']}; found {part['input']!r}"
