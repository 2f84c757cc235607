"""Read the judged queries, the search logs and the general set."""

from pathlib import Path
from typing import Annotated, Any

import click
import polars as pl
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.clicks.collected import collected
from burnish.clicks.rule import ClickRule, Log
from burnish.errors import InputError, run
from burnish.knobs import Knobs
from burnish.queries import judgments
from burnish.queries.judgments import JudgmentFiles, Shares
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES


class GeneralKnobs(Knobs):
    """How many general queries to use, by split."""

    train: Annotated[int, Field(ge=0)]
    dev: Annotated[int, Field(ge=0)]
    test: Annotated[int, Field(ge=0)]


class CollectKnobs(Knobs):
    """The section `collect` of params.yaml, where each knob is explained."""

    judgments: list[JudgmentFiles]
    logs: list[Log]
    clicks: ClickRule
    shares: Shares
    general: GeneralKnobs


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `collect` holds the knobs.")
@click.option("--corpus", type=click.Path(path_type=Path), required=True, help="Folder of documents and passages.")
@click.option("--judged", type=click.Path(path_type=Path), required=True, help="Folder of the judgment files.")
@click.option("--logs", type=click.Path(path_type=Path), required=True, help="Folder of the search logs.")
@click.option(
    "--general", type=click.Path(path_type=Path), required=True, help="Folder of the general set, in MS MARCO's files."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for queries, qrels, general passages and counts."
)
def main(params: Path, corpus: Path, judged: Path, logs: Path, general: Path, out: Path) -> None:
    """Judgment files, search logs, general set -> queries, qrels, general passages, counts."""
    chosen = knobs.section(params, "collect", CollectKnobs)
    passage_ids = frozenset(tables.read(PASSAGES, corpus / "passages.parquet")["passage_id"])
    document_ids = frozenset(tables.read(DOCUMENTS, corpus / "documents.parquet")["document_id"])
    general_passages, general_set = judgments.general(general, most=chosen.general.model_dump())
    sets = [
        judgments.curated(files, judged, passage_ids=passage_ids, document_ids=document_ids, shares=chosen.shares)
        for files in chosen.judgments
    ]
    found: dict[str, Any] = {}
    if chosen.logs:
        units = dict.fromkeys(document_ids, "document") | dict.fromkeys(passage_ids, "passage")
        clicks = collected(chosen.logs, logs, out.parent, units=units, rule=chosen.clicks)
        sets.append(clicks.judged)
        found = {"logs": clicks.counts}
    queries = pl.concat([one.queries for one in [*sets, general_set]], how="diagonal")
    queries = queries.with_columns(pl.selectors.starts_with(tables.SLICE).fill_null("none"))
    qrels = pl.concat([one.qrels for one in [*sets, general_set]])
    if chosen.judgments and not queries.filter(pl.col("origin") == "curated", pl.col("split") == "test").height:
        raise InputError("collect.judgments: no test query; give some the split test, or raise collect.shares.test")
    sizes = queries.group_by("origin", "split").len().sort("origin", "split")
    counts = {
        "queries": {f"{origin} {split}": number for origin, split, number in sizes.iter_rows()},
        "grades": {str(grade): number for grade, number in qrels["grade"].value_counts(sort=True).sort("grade").iter_rows()},
        "general_passages": general_passages.height,
    } | found
    with atomic.folder(out) as made:
        tables.write(queries, QUERIES, made / "queries.parquet")
        tables.write(qrels, QRELS, made / "qrels.parquet")
        tables.write(general_passages, PASSAGES, made / "general_passages.parquet")
        atomic.write_json(made / "counts.json", counts)
    click.echo(f"collect: {counts['queries']}, {qrels.height} judgments, {general_passages.height} general passages")


if __name__ == "__main__":
    run(main)
