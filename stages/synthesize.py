"""Make training queries for the passages, from a language model's replies or from the passages' own words."""

from pathlib import Path
from typing import Annotated, Literal

import click
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.errors import run
from burnish.knobs import Knobs
from burnish.synthesis.generate import Settings, Synthetic, synthetic
from burnish.synthesis.prompt import Prompt
from burnish.synthesis.service import Mode, Output, Service
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES


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


class SynthesizeKnobs(Knobs):
    """The section `synthesize` of params.yaml, where each knob is explained."""

    provider: Literal["replay", "openai", "extractive"]
    service: ServiceKnobs
    model: Annotated[str, Field(min_length=1)]
    prompt: Annotated[str, Field(pattern=r"^[\w.-]+\.txt$")]
    count: Annotated[int, Field(ge=1, le=20)]
    excerpt_characters: Annotated[int, Field(ge=100, le=20_000)]
    excerpts_per_document: Annotated[int, Field(ge=1, le=10_000)]
    temperature: Annotated[float, Field(ge=0, le=2)]
    max_output_tokens: Annotated[int, Field(ge=16, le=32_768)]
    max_requests: Annotated[int, Field(ge=1)]
    max_bad_share: Annotated[float, Field(ge=0, le=1)]
    accept_coverage: Annotated[float, Field(ge=0, le=1)]
    max_passages_per_query: Annotated[int, Field(ge=1, le=100)]


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File with the section `synthesize`.")
@click.option("--passages", type=click.Path(path_type=Path), required=True, help="Table of passages.")
@click.option("--documents", type=click.Path(path_type=Path), required=True, help="Table of documents.")
@click.option("--recorded", type=click.Path(path_type=Path), required=True, help="Folder of recorded replies.")
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Folder that keeps the replies paid for.")
@click.option("--prompts", type=click.Path(path_type=Path), required=True, help="Folder of prompt files.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for queries, qrels and counts.")
def main(params: Path, passages: Path, documents: Path, recorded: Path, store: Path, prompts: Path, out: Path) -> None:
    """Passages, recorded and stored replies -> synthetic queries and qrels, counts."""
    chosen = knobs.section(params, "synthesize", SynthesizeKnobs)
    made = synthetic(
        tables.read(PASSAGES, passages),
        tables.read(DOCUMENTS, documents),
        _settings(chosen, prompts, store),
        recorded=recorded,
        store=store,
    )
    with atomic.folder(out) as folder:
        tables.write(made.queries, QUERIES, folder / "queries.parquet")
        tables.write(made.qrels, QRELS, folder / "qrels.parquet")
        atomic.write_json(folder / "counts.json", made.counts)
    for name, lines in sorted(made.damaged.items()):
        click.echo(
            f"not read: {lines} damaged lines of {name}; all other replies are kept; `burnish repair {store}` puts it right",
            err=True,
        )
    click.echo(_closing(made))


def _settings(chosen: SynthesizeKnobs, prompts: Path, store: Path) -> Settings:
    own = chosen.model_dump(exclude={"prompt", "service"})
    service = Service(**chosen.service.model_dump(), store=store)
    return Settings(prompt=Prompt.read(prompts / chosen.prompt), service=service, **own)


def _closing(made: Synthetic) -> str:
    counts = made.counts
    ways = ("replayed", "replayed_by_document", "from_store", "without_reply")
    found = ", ".join(f"{counts[way]} {way}" for way in ways if way in counts) or "no replies needed"
    return (
        f"synthesize: {counts['excerpts']} excerpts ({found}; {made.asked} asked now) -> "
        f"{made.queries.height} queries, {counts['qrels']} pairs; dropped: {counts['dropped'] or 0}"
    )


if __name__ == "__main__":
    run(main)
