"""Search the corpus with every system that is compared: BM25, the base model and the tuned one at each width, other models."""

from pathlib import Path
from typing import Annotated

import click
import polars as pl
from pydantic import Field

from burnish import ahead, atomic, knobs, tables
from burnish.embedding import vectors
from burnish.errors import run
from burnish.knobs import Knobs
from burnish.search import baselines, retrieval
from burnish.tables import DOCUMENTS, PASSAGES, QUERIES, RUNS


class RetrieveKnobs(Knobs):
    """The section `retrieve` of params.yaml, where each knob is explained."""

    depth: Annotated[int, Field(ge=100, le=10_000)]
    widths: Annotated[list[Annotated[int, Field(ge=8)]], Field(min_length=1)]
    baselines: list[Annotated[str, Field(min_length=1)]]


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `retrieve` holds the knobs.")
@click.option("--passages", "corpus", type=click.Path(path_type=Path), required=True, help="The corpus's passages.")
@click.option("--documents", type=click.Path(path_type=Path), required=True, help="The corpus's documents.")
@click.option("--general", type=click.Path(path_type=Path), required=True, help="The general set's passages.")
@click.option("--test", type=click.Path(path_type=Path), required=True, help="Folder of the test queries.")
@click.option("--base", type=click.Path(path_type=Path), required=True, help="Folder of the base model's vectors.")
@click.option("--tuned", type=click.Path(path_type=Path), required=True, help="Folder of the tuned model's vectors.")
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Folder of the vector store.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for runs and counts.")
def main(params: Path, corpus: Path, documents: Path, general: Path, test: Path, base: Path, tuned: Path, store: Path, out: Path) -> None:  # fmt: skip
    """Vectors -> runs, for every system compared."""
    chosen = knobs.section(params, "retrieve", RetrieveKnobs)
    others = ahead.baselines(chosen.baselines)
    full = vectors.width(tuned / "passages.parquet")
    ahead.check_widths(chosen.widths, full)
    queries = tables.read(QUERIES, test / "queries.parquet")
    is_general = pl.col("origin") == "general"
    collections = {
        "passages": (queries.filter(~is_general), tables.read(PASSAGES, corpus)),
        "general": (queries.filter(is_general), tables.read(PASSAGES, general)),
    }
    asked_of = {name: both for name, both in collections.items() if both[0].height}
    runs: list[pl.DataFrame] = []
    for system, model in others.items():
        runs += baselines.runs(system, model, list(asked_of.values()), depth=chosen.depth, store=store)
    for name, (asked, passages) in asked_of.items():
        runs.append(retrieval.bm25_run(asked, passages, chosen.depth, documents=tables.read(DOCUMENTS, documents)))
        for system, folder in (("base", base), ("tuned", tuned)):
            query_vectors = vectors.read(folder / "queries.parquet", asked["query_id"].to_list())
            passage_vectors = vectors.read(folder / f"{name}.parquet", passages["passage_id"].to_list())
            widest = passage_vectors.shape[1]
            for width in sorted({widest, *(one for one in chosen.widths if one < widest)}, reverse=True):
                label = system if width == widest else f"{system}@{width}"
                runs.append(
                    retrieval.dense_run(label, asked, passages, query_vectors, passage_vectors, width=width, depth=chosen.depth)
                )
    found = pl.concat(runs)
    with atomic.folder(out) as made:
        tables.write(found, RUNS, made / "runs.parquet")
        atomic.write_json(made / "counts.json", {"queries": queries.height, "full_width": full})
    click.echo(f"retrieve: {queries.height} queries x {found['system'].n_unique()} systems -> {found.height} rows")


if __name__ == "__main__":
    run(main)
