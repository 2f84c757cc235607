"""How queries are made, and from what: the knobs and inputs of a run, checked against each other before any work."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from burnish.errors import InputError
from burnish.synthesis.budget import Caps
from burnish.synthesis.examples import Example
from burnish.synthesis.judging import Judge
from burnish.synthesis.prompt import Prompt
from burnish.synthesis.service import Service
from burnish.synthesis.subjects import Variety


@dataclass(frozen=True)
class Settings:
    """How queries are made; params.yaml explains each of the knobs that these are."""

    provider: str
    model: str
    prompt: Prompt
    service: Service
    count: int
    excerpt_characters: int
    excerpts_per_document: int
    variety: Variety
    temperature: float
    max_output_tokens: int
    reasoning_effort: str
    caps: Caps
    max_bad_share: float
    accept_coverage: float
    max_passages_per_query: int
    judge: Judge


@dataclass(frozen=True)
class Inputs:
    """What queries are made from.

    Attributes:
        passages: the table of passages.
        documents: the table of documents, which tells each one's language.
        examples: judged queries to show to the model; empty for none.
        recorded: the folder of recorded replies.
        store: the folder of the replies that were paid for; made by the first of them.
    """

    passages: pl.DataFrame
    documents: pl.DataFrame
    examples: list[Example]
    recorded: Path
    store: Path


def check(settings: Settings, inputs: Inputs) -> None:
    """Check what must hold before anything is asked.

    Raises:
        InputError: a prompt lacks the place of a knob in use, knobs contradict each other, or what is capped has no price.
    """
    if settings.provider == "extractive":
        return
    settings.prompt.needs(settings.variety.places() | ({"examples": "examples"} if inputs.examples else {}))
    if settings.variety.passages_per_query > settings.max_passages_per_query:
        raise InputError(
            f"synthesize.max_passages_per_query: expected at least passages_per_query, {settings.variety.passages_per_query}, "
            f"found {settings.max_passages_per_query}: every query for that many passages would be dropped; raise it"
        )
    judge = settings.judge
    if judge.prompt:
        judge.prompt.needs({"queries": "judge.prompt"})
    if settings.provider == "openai":
        settings.caps.check([settings.model, *([judge.model] if judge.threshold else [])])
