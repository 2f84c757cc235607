"""Mine hard negatives for the training queries from the base model's vectors."""

from pathlib import Path
from typing import Annotated, Literal

import click
import polars as pl
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.embedding import vectors
from burnish.errors import InputError, run
from burnish.knobs import Knobs
from burnish.tables import NEGATIVES, QRELS, QUERIES
from burnish.training import parts
from burnish.training.mining import Rule, negatives_for
from burnish.training.negatives import of_parts, relevance


class DenoiseKnobs(Knobs):
    """The cross-encoder that judges candidates, and what it takes for an answer."""

    model: str
    max_share: Annotated[float, Field(gt=0, le=2)]


class MineKnobs(Knobs):
    """The section `mine` of params.yaml, where each knob is explained."""

    per_query: Annotated[int, Field(ge=0, le=32)] | Literal["auto"]
    judged: Annotated[int, Field(ge=0, le=32)]
    first_rank: Annotated[int, Field(ge=1)]
    last_rank: Annotated[int, Field(ge=1, le=1000)]
    pool: Annotated[int, Field(ge=1)]
    max_share: Annotated[float, Field(gt=0, le=2)]
    search: Literal["exact", "approximate"]
    miners: Annotated[list[Literal["dense", "bm25"]], Field(min_length=1, max_length=2)]
    denoise: DenoiseKnobs

    def rule(self, queries: pl.DataFrame, qrels: pl.DataFrame) -> Rule:
        """The rule that these knobs state for these training queries and their judgments.

        Raises:
            InputError: knobs that do not fit together.
        """
        if self.first_rank > self.last_rank:
            raise InputError(
                f"mine.first_rank: expected at most mine.last_rank, {self.last_rank}, found {self.first_rank}; lower it"
            )
        if len(set(self.miners)) < len(self.miners):
            raise InputError(f"mine.miners: {self.miners} names one twice; name each once")
        given = self.model_dump(exclude={"denoise", "per_query"}) | {"miners": tuple(self.miners)}
        wanted = negatives_for(queries, qrels) if self.per_query == "auto" else self.per_query
        return Rule(wanted, **given, denoise=self.denoise.model, denoise_share=self.denoise.max_share)


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `mine` holds the knobs.")
@click.option("--passages", "corpus", type=click.Path(path_type=Path), required=True, help="The corpus's passages.")
@click.option("--documents", type=click.Path(path_type=Path), required=True, help="The corpus's documents.")
@click.option("--general", type=click.Path(path_type=Path), required=True, help="The general set's passages.")
@click.option("--training", type=click.Path(path_type=Path), required=True, help="Folder of the training set.")
@click.option(
    "--passage-vectors", type=click.Path(path_type=Path), required=True, help="The base model's vectors of the passages."
)
@click.option(
    "--general-vectors",
    type=click.Path(path_type=Path),
    required=True,
    help="The base model's vectors of the general passages.",
)
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Folder of the store of vectors and scores.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for negatives and counts.")
def main(params: Path, corpus: Path, documents: Path, general: Path, training: Path, passage_vectors: Path, general_vectors: Path, store: Path, out: Path) -> None:  # fmt: skip
    """Training set, base vectors -> negatives, counts."""
    chosen = knobs.section(params, "mine", MineKnobs)
    queries = tables.read(QUERIES, training / "queries.parquet").filter(pl.col("split") == "train")
    qrels = tables.read(QRELS, training / "qrels.parquet")
    rule = chosen.rule(queries, qrels)
    known = vectors.by_id(training / "vectors.parquet", queries["query_id"].to_list())
    read = parts.read(queries, documents, domain=(corpus, passage_vectors), general=(general, general_vectors))
    made, counts = of_parts(read, qrels, known, rule, relevance(rule, store))
    with atomic.folder(out) as folder:
        tables.write(made, NEGATIVES, folder / "negatives.parquet")
        rule.write(folder / "rule.json")
        atomic.write_json(folder / "counts.json", counts)
    click.echo(f"mine: {queries.height} queries -> {made.height} negatives; {counts}")


if __name__ == "__main__":
    run(main)
