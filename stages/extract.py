"""Read the documents that `sources` names and cut them into passages."""

from pathlib import Path
from typing import Annotated

import click
from pydantic import Field

from burnish import atomic, compute, knobs
from burnish.documents.chunking import Sizes
from burnish.documents.extraction import Chunker, corpus_counts, extract
from burnish.documents.sources import Source, pending
from burnish.embedding.models import max_tokens
from burnish.errors import InputError, run
from burnish.knobs import Knobs


class ExtractKnobs(Knobs):
    """The section `extract` of params.yaml, where each knob is explained."""

    sources: Annotated[list[Source], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=16, le=8192)]
    overlap_tokens: Annotated[int, Field(ge=0, le=4096)]
    min_tokens: Annotated[int, Field(ge=0, le=4096)]
    duplicate_threshold: Annotated[float, Field(ge=0.5, le=1)]
    max_failed_share: Annotated[float, Field(ge=0, le=1)]


@click.command(help=__doc__)
@click.option(
    "--params", type=click.Path(path_type=Path), required=True, help="File with the sections `extract` and `compute`."
)
@click.option(
    "--documents", type=click.Path(path_type=Path), required=True, help="Folder that the sources' paths are relative to."
)
@click.option(
    "--model", type=click.Path(path_type=Path), required=True, help="Base model, in whose tokens passages are measured."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for documents, passages and counts.")
def main(params: Path, documents: Path, model: Path, out: Path) -> None:
    """Sources -> documents, passages, counts."""
    chosen = knobs.section(params, "extract", ExtractKnobs)
    sizes = Sizes(chosen.max_tokens, chosen.overlap_tokens, chosen.min_tokens)
    if sizes.overlap >= sizes.most:
        raise InputError(
            f"extract.overlap_tokens: expected less than extract.max_tokens, {sizes.most}, found {sizes.overlap}; lower it"
        )
    if sizes.minimum > sizes.most:
        raise InputError(
            f"extract.min_tokens: expected at most extract.max_tokens, {sizes.most}, found {sizes.minimum}; lower it"
        )
    with compute.cluster(compute.chosen(params)) as cluster, atomic.folder(out) as made:
        failures = extract(
            pending(chosen.sources, documents),
            Chunker(model / "tokenizer.json", sizes),
            duplicate_threshold=chosen.duplicate_threshold,
            documents=made / "documents.parquet",
            passages=made / "passages.parquet",
            cluster=cluster,
        )
        counts = corpus_counts(made / "documents.parquet", made / "passages.parquet", failures, max_tokens(model))
        for one in failures:
            click.echo(f"not read ({one.failure}): {one.document['document_id']}: {one.why}", err=True)
        if counts["failed_share"] > chosen.max_failed_share:
            raise InputError(
                f"extract: {len(failures)} documents could not be read, a share of {counts['failed_share']:.3f}, where "
                f"max_failed_share allows {chosen.max_failed_share}; mend or remove them, or raise the knob"
            )
        atomic.write_json(made / "counts.json", counts)
    click.echo(
        f"extract: {counts['documents']} documents -> {counts['passages']} passages; not read: {counts['failures'] or 0}"
    )


if __name__ == "__main__":
    run(main)
