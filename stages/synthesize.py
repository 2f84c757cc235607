"""Make training queries for the passages, from a language model's replies or from the passages' own words."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import click
import polars as pl
from pydantic import Field

from burnish import atomic, compute, knobs, tables
from burnish.compute import Cluster
from burnish.errors import run
from burnish.knobs import Knobs
from burnish.records import Language
from burnish.synthesis.budget import BATCH_SHARE, Caps, Price
from burnish.synthesis.examples import Example, examples
from burnish.synthesis.generate import Synthetic, planned, synthetic
from burnish.synthesis.judging import Judge
from burnish.synthesis.prompt import Prompt
from burnish.synthesis.questions import FOUND
from burnish.synthesis.service import Mode, Output, Service
from burnish.synthesis.settings import Inputs, Settings
from burnish.synthesis.subjects import Variety
from burnish.synthesis.verdicts import REFUSED
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES, VERDICTS

PromptFile = Annotated[str, Field(pattern=r"^[\w.-]+\.txt$")]
Tokens = Annotated[int, Field(ge=16, le=32_768)]
Temperature = Annotated[float, Field(ge=0, le=2)]
Effort = Literal["", "none", "minimal", "low", "medium", "high"]
Name = Annotated[str, Field(min_length=1)]


class ServiceKnobs(Knobs):
    """The part `service`: where the model is asked, and how hard it may be pressed."""

    base_url: Annotated[str, Field(pattern=r"^(https?://[^\s@]+)?$")]  # no @: a password is no knob
    mode: Mode
    output: Output
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)]
    retries: Annotated[int, Field(ge=0, le=100)]
    concurrency: Annotated[int, Field(ge=1, le=256)]
    requests_per_minute: Annotated[int, Field(ge=0, le=10_000_000)]
    tokens_per_minute: Annotated[int, Field(ge=0, le=10_000_000_000)]


class JudgeKnobs(Knobs):
    """The part `judge`: a language model that reads the queries which were made."""

    threshold: Annotated[int, Field(ge=0, le=10)]
    model: Name
    prompt: PromptFile
    max_output_tokens: Tokens
    temperature: Temperature
    reasoning_effort: Effort


class SynthesizeKnobs(Knobs):
    """The section `synthesize` of params.yaml, where each knob is explained."""

    provider: Literal["replay", "openai", "extractive"]
    service: ServiceKnobs
    model: Name
    prompt: PromptFile
    count: Annotated[int, Field(ge=1, le=20)]
    excerpt_characters: Annotated[int, Field(ge=100, le=20_000)]
    excerpts_per_document: Annotated[int, Field(ge=1, le=10_000)]
    kinds: list[Literal["keywords", "question", "situation", "symptom"]]
    wordings: list[Literal["own", "official"]]
    personas: list[Annotated[str, Field(min_length=1, max_length=300)]]
    language: Literal["document"] | Language
    passages_per_query: Annotated[int, Field(ge=1, le=3)]
    companions: Literal["document", "neighbours"]
    examples: Annotated[int, Field(ge=0, le=20)]
    temperature: Temperature
    max_output_tokens: Tokens
    reasoning_effort: Effort
    prices: dict[str, Price]
    max_dollars: Annotated[float, Field(gt=0)] | None
    max_requests: Annotated[int, Field(ge=1)]
    max_bad_share: Annotated[float, Field(ge=0, le=1)]
    accept_coverage: Annotated[float, Field(ge=0, le=1)]
    max_passages_per_query: Annotated[int, Field(ge=1, le=100)]
    judge: JudgeKnobs


@click.command(help=__doc__)
@click.option(
    "--params", type=click.Path(path_type=Path), required=True, help="File with the sections `synthesize` and `compute`."
)
@click.option("--passages", type=click.Path(path_type=Path), required=True, help="Table of passages.")
@click.option("--documents", type=click.Path(path_type=Path), required=True, help="Table of documents.")
@click.option("--recorded", type=click.Path(path_type=Path), required=True, help="Folder of recorded replies.")
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Folder that keeps the replies paid for.")
@click.option("--prompts", type=click.Path(path_type=Path), required=True, help="Folder of prompt files.")
@click.option("--training", type=click.Path(path_type=Path), required=True, help="Folder of judged training queries.")
@click.option("--plan", is_flag=True, help="Say what would be asked for and what it costs; ask nobody, write nothing.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for queries, qrels and counts.")
def main(
    params: Path,
    passages: Path,
    documents: Path,
    recorded: Path,
    store: Path,
    prompts: Path,
    training: Path,
    plan: bool,  # noqa: FBT001 (a flag of the command line)
    out: Path,
) -> None:
    """Passages, recorded and stored replies -> synthetic queries and qrels, counts."""
    chosen = knobs.section(params, "synthesize", SynthesizeKnobs)
    read = tables.read(PASSAGES, passages)
    inputs = Inputs(read, tables.read(DOCUMENTS, documents), _examples(chosen, training, read), recorded, store)
    if plan:
        click.echo(planned(inputs, _settings(chosen, prompts, store, None)).told())
        return
    where, asks = compute.chosen(params), chosen.provider == "openai" and chosen.service.mode == "requests"
    with compute.cluster(where) if asks else nullcontext() as cluster:
        made = synthetic(inputs, _settings(chosen, prompts, store, cluster), lambda before: click.echo(before.told()))
    with atomic.folder(out) as folder:
        tables.write(made.queries, QUERIES, folder / "queries.parquet")
        tables.write(made.qrels, QRELS, folder / "qrels.parquet")
        tables.write(made.verdicts, VERDICTS, folder / "verdicts.parquet")
        if made.refused is not None:
            tables.write(made.refused, REFUSED, folder / "refused.parquet")
        atomic.write_json(folder / "counts.json", made.counts)
    click.echo(_closing(made))


def _settings(chosen: SynthesizeKnobs, prompts: Path, store: Path, cluster: Cluster | None) -> Settings:
    own = chosen.model_dump(include=set(Settings.__dataclass_fields__) - {"prompt", "service", "judge"})
    judge = chosen.judge.model_dump(exclude={"prompt"})
    share = BATCH_SHARE if chosen.service.mode == "batch" else 1.0
    return Settings(
        prompt=Prompt.read(prompts / chosen.prompt),
        service=Service(**chosen.service.model_dump(), store=store, cluster=cluster),
        variety=Variety(**chosen.model_dump(include=set(Variety.__dataclass_fields__))),
        caps=Caps(chosen.max_requests, chosen.max_dollars, chosen.prices, share),
        judge=Judge(**judge, prompt=Prompt.read(prompts / chosen.judge.prompt) if chosen.judge.threshold else None),
        **own,
    )


def _examples(chosen: SynthesizeKnobs, training: Path, passages: pl.DataFrame) -> list[Example]:
    """The judged queries that the prompt shows; where it shows none, none is read."""
    if not chosen.examples or chosen.provider == "extractive":
        return []
    queries, qrels = tables.read(QUERIES, training / "queries.parquet"), tables.read(QRELS, training / "qrels.parquet")
    return examples(queries, qrels, passages, count=chosen.examples, characters=chosen.excerpt_characters)


def _closing(made: Synthetic) -> str:
    counts = made.counts
    found = ", ".join(f"{counts[way]} {way}" for way in FOUND if way in counts) or "no replies needed"
    asked = f"{made.asked} asked now" + (f", ${made.dollars:.4f}" if made.dollars else "")
    return (
        f"synthesize: {counts['excerpts']} excerpts ({found}; {asked}) -> "
        f"{made.queries.height} queries, {counts['qrels']} pairs; dropped: {counts['dropped'] or 0}"
    )


if __name__ == "__main__":
    run(main)
