"""Build the search index over the release's vectors."""

from pathlib import Path

import click

from burnish import tables
from burnish.embedding import models, vectors
from burnish.errors import run
from burnish.search import index
from burnish.tables import PASSAGES


@click.command(help=__doc__)
@click.option("--release", type=click.Path(path_type=Path), required=True, help="Folder of the release.")
@click.option(
    "--vectors", "embedded", type=click.Path(path_type=Path), required=True, help="The passages' vectors by the release."
)
@click.option("--passages", type=click.Path(path_type=Path), required=True, help="The corpus's passages.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the index.")
def main(release: Path, embedded: Path, passages: Path, out: Path) -> None:
    """Release, vectors, passages -> index."""
    corpus = tables.read(PASSAGES, passages)
    found = vectors.read(embedded, corpus["passage_id"].to_list())
    index.build(corpus, found, model_digest=models.digest(release), out=out)
    click.echo(f"index: {corpus.height} passages of {found.shape[1]} dimensions, bound to model {models.digest(release)[:12]}")


if __name__ == "__main__":
    run(main)
