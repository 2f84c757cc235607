"""Mine hard negatives for the training queries from the base model's vectors."""

from pathlib import Path
from typing import Annotated, Any, Literal

import click
import polars as pl
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.embedding import vectors
from burnish.errors import InputError, run
from burnish.knobs import Knobs
from burnish.tables import NEGATIVES, PASSAGES, QRELS, QUERIES
from burnish.training import mining
from burnish.training.mining import Rule


class MineKnobs(Knobs):
    """The section `mine` of params.yaml, where each knob is explained."""

    per_query: Annotated[int, Field(ge=0, le=32)]
    first_rank: Annotated[int, Field(ge=1)]
    last_rank: Annotated[int, Field(ge=1, le=1000)]
    pool: Annotated[int, Field(ge=1)]
    max_share: Annotated[float, Field(gt=0, le=2)]
    search: Literal["exact", "approximate"]


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `mine` holds the knobs.")
@click.option("--passages", "corpus", type=click.Path(path_type=Path), required=True, help="The corpus's passages.")
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
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for negatives and counts.")
def main(params: Path, corpus: Path, general: Path, training: Path, passage_vectors: Path, general_vectors: Path, out: Path) -> None:  # fmt: skip
    """Training set, base vectors -> negatives, counts."""
    chosen = knobs.section(params, "mine", MineKnobs)
    if chosen.first_rank > chosen.last_rank:
        raise InputError(f"mine: first_rank {chosen.first_rank} is beyond last_rank {chosen.last_rank}; no rank is left")
    rule = Rule(**chosen.model_dump())
    queries = tables.read(QUERIES, training / "queries.parquet").filter(pl.col("split") == "train")
    qrels = tables.read(QRELS, training / "qrels.parquet")
    negatives, counts = [], {}
    is_general = pl.col("origin") == "general"
    for name, source, embedded, asked in (
        ("domain", corpus, passage_vectors, queries.filter(~is_general)),
        ("general", general, general_vectors, queries.filter(is_general)),
    ):
        passages = tables.read(PASSAGES, source)
        ids = asked["query_id"].to_list()
        mined = mining.from_tables(
            asked,
            passages,
            qrels,
            query_vectors=vectors.read(training / "vectors.parquet", ids),
            passage_vectors=vectors.read(embedded, passages["passage_id"].to_list()),
            rule=rule,
        )
        negatives.append(mined.rows)
        counts[name] = _counts(mined, len(ids))
    made = pl.concat(negatives)
    with atomic.folder(out) as folder:
        tables.write(made, NEGATIVES, folder / "negatives.parquet")
        atomic.write_json(folder / "counts.json", counts)
    click.echo(f"mine: {queries.height} queries -> {made.height} negatives; {counts}")


def _counts(mined: mining.Mined, queries: int) -> dict[str, Any]:
    rows = mined.rows
    return {
        "queries": queries,
        "negatives": rows.height,
        "queries_short": mined.queries_short,
        "judged_non_answers": rows.filter(pl.col("miner") == "judged").height,
        "mean_rank": rows["rank"].mean() if rows.height else None,
        "mean_score": rows["score"].mean() if rows.height else None,
        "mean_margin": rows["margin"].mean() if rows.height else None,
        "estimated_false_negative_share": mined.likely_answers / mined.candidates if mined.candidates else 0.0,
    }


if __name__ == "__main__":
    run(main)
