"""A corpus made by hand, and what the tests of synthesis do with it."""

from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import polars as pl

from burnish.synthesis.budget import Caps
from burnish.synthesis.excerpts import excerpts
from burnish.synthesis.generate import Synthetic, planned, synthetic
from burnish.synthesis.judging import Judge
from burnish.synthesis.phrases import FILE, Phrases
from burnish.synthesis.plan import Plan
from burnish.synthesis.prompt import Prompt, Question
from burnish.synthesis.questions import question
from burnish.synthesis.replies import Reply, ReplyStore
from burnish.synthesis.service import Service
from burnish.synthesis.settings import Inputs, Settings
from burnish.synthesis.subjects import Variety, subjects
from burnish.tables import DOCUMENTS, PASSAGES
from conftest import ROOT

PHRASES = Phrases.read(ROOT / "prompts" / FILE)
PROMPT = Prompt("p.txt", "Write {count} in {language}.\n<excerpt>\n{excerpt}\n</excerpt>\n", PHRASES)
VARIED = Prompt(
    "v.txt",
    "{count} {language}\n{kind}\n{wording}\n{persona}\n{examples}\n{passages}\n<excerpt>\n{excerpt}\n</excerpt>\n",
    PHRASES,
)
JUDGE = Prompt("j.txt", "Judge {count}.\n<excerpt>\n{excerpt}\n</excerpt>\n<queries>\n{queries}\n</queries>\n", PHRASES)
SUBJECTS = ["Frames", "Joins", "Windows", "Graphs", "Paths", "Trees", "Files", "Types", "Dates", "Lists", "Maps", "Sets"]


def table(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    """A table of passages from (document, title, heading, text), in reading order."""
    seen: Counter[str] = Counter()
    made = []
    for document, title, heading, text in rows:
        made.append((f"{document}#{seen[document]}", document, seen[document], title, heading, text, 9))
        seen[document] += 1
    return pl.DataFrame(made, PASSAGES.columns, orient="row")


def documents_of(passages: pl.DataFrame, language: str = "en") -> pl.DataFrame:
    """A table of the documents that the passages are of."""
    ids = passages["document_id"].unique().sort()
    empty = {name: pl.lit("") for name in DOCUMENTS.columns}
    own = {"document_id": pl.col("document_id"), "language": pl.lit(language)}
    return pl.DataFrame({"document_id": ids}).select(**{**empty, **own})


def corpus(count: int = len(SUBJECTS)) -> pl.DataFrame:
    """One short document for each of the first `count` subjects."""
    return table(*((name, name, "", f"{name} hold values. They are made in one call.") for name in SUBJECTS[:count]))


VARIETY = Variety(kinds=[], wordings=[], personas=[], language="document", passages_per_query=1, companions="document")
SERVICE = Service("http://127.0.0.1:9/v1", timeout_seconds=30, concurrency=3, retries=2)
SETTINGS = Settings(
    provider="replay",
    model="m",
    prompt=PROMPT,
    service=SERVICE,
    count=4,
    excerpt_characters=200,
    excerpts_per_document=1,
    variety=VARIETY,
    temperature=0.0,
    max_output_tokens=100,
    reasoning_effort="",
    caps=Caps(max_requests=1000, max_dollars=None, prices={}),
    max_bad_share=1.0,
    accept_coverage=0.0,
    max_passages_per_query=3,
    judge=Judge(threshold=0, model="j", prompt=None, max_output_tokens=50, temperature=0.0, reasoning_effort=""),
)


def settings(**changed: Any) -> Settings:
    """Settings for a test: replay, nothing required. A name of `variety` or `caps` changes that part."""
    found = SETTINGS
    for part in ("variety", "caps"):
        names = {one.name for one in fields(getattr(found, part))}
        own = {name: changed.pop(name) for name in names & changed.keys()}
        found = replace(found, **{part: replace(getattr(found, part), **own)})
    return replace(found, **changed)


def judge(threshold: int) -> Judge:
    """A judge that wants so much."""
    return replace(SETTINGS.judge, threshold=threshold, prompt=JUDGE)


def inputs(folder: Path, passages: pl.DataFrame, **changed: Any) -> Inputs:
    """Passages with the stores below `folder`."""
    return replace(Inputs(passages, documents_of(passages), [], folder / "recorded", folder / "store"), **changed)


def made(folder: Path, passages: pl.DataFrame, chosen: Settings, **changed: Any) -> Synthetic:
    """What the library makes with the stores below `folder`."""
    return synthetic(inputs(folder, passages, **changed), chosen, lambda plan: None)


def plan(folder: Path, passages: pl.DataFrame, chosen: Settings) -> Plan:
    """What the library would ask for with the stores below `folder`."""
    return planned(inputs(folder, passages), chosen)


def questions(passages: pl.DataFrame, chosen: Settings, *, examples: str = "", language: str = "en") -> list[Question]:
    """What is asked about the passages."""
    cut = excerpts(passages, characters=chosen.excerpt_characters, per_document=chosen.excerpts_per_document)
    languages = dict.fromkeys(passages["document_id"], language)
    parameters = {"count": chosen.count, "max_output_tokens": chosen.max_output_tokens, "temperature": chosen.temperature}
    return [
        question(chosen.prompt, one, model=chosen.model, parameters=parameters, examples=examples)
        for one in subjects(cut, languages, chosen.variety)
    ]


def record(folder: Path, passages: pl.DataFrame, texts: dict[str, str], chosen: Settings = SETTINGS) -> None:
    """Put a recorded reply for the first excerpt of each named document into `folder`."""
    with ReplyStore(folder) as store:
        for one in questions(passages, replace(chosen, model="recorded")):
            if (name := one.request["document_id"]) in texts:
                store.put(Reply(one.request, "ok", texts[name]))
