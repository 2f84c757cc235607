"""Is what the knobs name there: documents, judgments, a key? Asked before the stages that would miss it."""

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict

from burnish.documents.sources import ApiSource, Source, pending
from burnish.errors import InputError
from burnish.evaluation.doctor import Finding
from burnish.knobs import Knobs, section
from burnish.synthesis.service import KEY_VARIABLE, Service


class _Part(Knobs):
    """Some knobs of a section; the stage that owns it checks the others."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _Paths(_Part):
    documents: str


class _Extract(_Part):
    sources: list[Source]


class _Collect(_Part):
    judgments: list[Any]
    logs: list[Any]


class _Synthesize(_Part):
    provider: Literal["replay", "openai", "extractive"]


class _Train(_Part):
    lora_rank: int


def adapters(params: Path) -> bool:
    """Whether adapters alone are trained."""
    return section(params, "train", _Train).lora_rank > 0


def documents(params: Path, root: Path) -> list[Finding]:
    """Whether each source has a document; installed packages are left to the stage, since reading them takes its time.

    Args:
        params: the file of knobs.
        root: the repository's folder.
    """
    folder = root / section(params, "paths", _Paths).documents
    found = []
    for number, source in enumerate(section(params, "extract", _Extract).sources):
        if isinstance(source, ApiSource):
            continue
        try:
            first = next(pending([source], folder))
        except InputError as error:
            found.append(Finding("stop", str(error).replace("sources[0]", f"extract.sources[{number}]")))
        else:
            found.append(Finding("ok", f"extract.sources[{number}]: documents are there, the first is {first.document_id}"))
    return found


def judgments(params: Path) -> list[Finding]:
    """Whether the knobs name anything that real people asked or judged."""
    chosen = section(params, "collect", _Collect)
    if chosen.judgments or chosen.logs:
        return [Finding("ok", f"{len(chosen.judgments)} sources of judgments and {len(chosen.logs)} search logs are named")]
    return [
        Finding(
            "note",
            "no judgments and no search logs: the test will be held-out synthetic queries; for a real one name judged queries in "
            "collect.judgments",
        )
    ]


def key(params: Path, *, synthesized: bool) -> list[Finding]:
    """Whether the provider of synthetic queries needs a key that the environment lacks; the key itself is told nobody.

    Args:
        params: the file of knobs.
        synthesized: whether queries are there already, so that a run may ask for none.
    """
    if section(params, "synthesize", _Synthesize).provider != "openai":
        return []
    try:
        Service(base_url="", timeout_seconds=1.0, concurrency=1).options()
    except InputError as error:
        return [Finding("note" if synthesized else "stop", str(error))]
    return [Finding("ok", f"a key is in {KEY_VARIABLE}")]
