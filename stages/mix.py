"""Choose what is trained on: deduplicate, filter, add general pairs, drop leaks, and audit the result."""

import json
from pathlib import Path
from typing import Annotated, Literal

import click
import numpy as np
import polars as pl
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.embedding import vectors
from burnish.errors import run
from burnish.knobs import Knobs
from burnish.queries.judgments import Shares
from burnish.tables import DOCUMENTS, LEAKS, PASSAGES, QRELS, QUERIES
from burnish.training import audit, leaks, mixing
from burnish.training.held_out import with_held_out
from burnish.training.mixing import Corpus, MixRule

Share = Annotated[float, Field(ge=0, le=1)]


Weight = Annotated[float, Field(ge=0, le=100)]


class Weights(Knobs):
    """What a pair weighs in training, by the origin of its judgment."""

    curated: Weight
    clicks: Weight
    synthetic: Weight
    extractive: Weight
    general: Weight


class MixKnobs(Knobs):
    """The section `mix` of params.yaml, where each knob is explained."""

    synthetic_shares: Shares
    hold_out: Literal["queries", "documents"]
    leak_threshold: Annotated[float, Field(ge=0.3, le=1)]
    max_leak_share: Share
    round_trip_rank: Annotated[int, Field(ge=0)]
    round_trip_min_passages: Annotated[int, Field(ge=0)]
    passages_per_document: Annotated[int, Field(ge=1)]
    general_share: Annotated[float, Field(ge=0, le=10)]
    weights: Weights
    several_answers: Literal["keep", "all", "drop"]
    several_answers_margin: Annotated[float, Field(ge=0.5, le=1.5)]


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `mix` holds the knobs.")
@click.option("--corpus", type=click.Path(path_type=Path), required=True, help="Folder of documents and passages.")
@click.option(
    "--collected", type=click.Path(path_type=Path), required=True, help="Folder of judged queries and the general set."
)
@click.option("--synthetic", type=click.Path(path_type=Path), required=True, help="Folder of synthetic queries.")
@click.option(
    "--vectors", "embedded", type=click.Path(path_type=Path), required=True, help="Folder of the base model's vectors."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for training (train and dev), test, leaks, and counts.",
)
def main(params: Path, corpus: Path, collected: Path, synthetic: Path, embedded: Path, out: Path) -> None:
    """All pairs, base vectors, general set -> training and held-out sets, leak audit, counts."""
    chosen = knobs.section(params, "mix", MixKnobs)
    groups = tables.read(DOCUMENTS, corpus / "documents.parquet").select("document_id", "duplicate_group")
    passages = tables.read(PASSAGES, corpus / "passages.parquet").join(groups, on="document_id", maintain_order="left")
    folders = (collected, synthetic)
    queries = pl.concat([tables.read(QUERIES, one / "queries.parquet") for one in folders], how="diagonal")
    queries = queries.with_columns(pl.selectors.starts_with(tables.SLICE).fill_null("none"))
    qrels = pl.concat([tables.read(QRELS, one / "qrels.parquet") for one in folders])
    queries = with_held_out(queries, qrels, passages, chosen.synthetic_shares)
    query_vectors = vectors.by_id(embedded / "queries.parquet", queries["query_id"].to_list())
    base = Corpus(passages, vectors.read(embedded / "passages.parquet", passages["passage_id"].to_list()), query_vectors)
    rule = MixRule(**chosen.model_dump(include=set(MixRule.__dataclass_fields__)))
    general_passages = tables.read(PASSAGES, collected / "general_passages.parquet")
    made = mixing.mixed(queries, qrels, general_passages, base, rule)
    for query, kind, held, left_out in leaks.worst(made.leaks, 3).select("query_id", "kind", "held_id", "left_out").iter_rows():
        click.echo(f"leak: query {query} and held-out {held} ({kind}); the {left_out} one is left out", err=True)
    with atomic.folder(out) as folder:
        # Test judgments and leaks lie apart: a new one changes no file that training depends on.
        for name, part in mixing.by_use(made).items():
            tables.write(part.queries, QUERIES, folder / name / "queries.parquet")
            tables.write(part.qrels, QRELS, folder / name / "qrels.parquet")
        tables.write(made.leaks, LEAKS, folder / "leaks.parquet")
        trained = tables.read(QUERIES, folder / "training" / "queries.parquet")["query_id"].to_list()
        vectors.write(folder / "training" / "vectors.parquet", trained, np.stack([query_vectors[one] for one in trained]))
        written = pl.concat([tables.read(QUERIES, folder / name / "queries.parquet") for name in ("training", "test")])
        found = audit.check(written, made.counts, threshold=chosen.leak_threshold, max_dropped_share=chosen.max_leak_share)
        audit.check_dev(written, threshold=chosen.leak_threshold)
        atomic.write_json(folder / "counts.json", made.counts | {"leaks": found})
    general = made.counts["general_queries"]
    click.echo(
        f"mix: offered {made.counts['offered']}, used {made.counts['used']}, dropped {json.dumps(made.counts['dropped'])}; "
        f"dev queries that repeat test ones, dropped: {made.counts['dev_near_duplicate_of_test']}; "
        f"general queries: {general['asked']} asked for, {general['got']} there"
    )


if __name__ == "__main__":
    run(main)
