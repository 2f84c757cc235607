"""The default domain as a folder in BEIR's format, for the other benchmarks: its passages, training queries and test queries.

A judged document counts with each of its passages. Needs a pipeline that has run up to `mix`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import polars as pl
from quality import ROOT

from burnish import tables
from burnish.errors import run
from burnish.tables import PASSAGES, QRELS, QUERIES

_SPLITS = {"training": "train", "test": "test"}


def judged(qrels: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """The judgments over passages: columns query_id, passage_id, grade."""
    of_passages = qrels.filter(pl.col("unit") == "passage").select("query_id", pl.col("target_id").alias("passage_id"), "grade")
    of_documents = qrels.filter(pl.col("unit") == "document").join(
        passages.select("passage_id", "document_id"), left_on="target_id", right_on="document_id"
    )
    both = pl.concat([of_passages, of_documents.select("query_id", "passage_id", "grade")])
    known = both.join(passages.select("passage_id"), on="passage_id", how="semi")
    return known.group_by("query_id", "passage_id").agg(pl.col("grade").max()).sort("query_id", "passage_id")


def write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), default=ROOT / "data", help="Of the pipeline.  [default: this one's]")
def main(out: Path, data: Path) -> None:
    """Write corpus.jsonl, queries.jsonl and qrels/*.tsv into the folder OUT."""
    passages = tables.read(PASSAGES, data / "corpus/passages.parquet")
    (out / "qrels").mkdir(parents=True, exist_ok=True)
    texts = zip(passages["passage_id"], tables.embedded_text(passages), strict=True)
    write_lines(out / "corpus.jsonl", ({"_id": name, "title": "", "text": text} for name, text in texts))
    asked = []
    for part, split in _SPLITS.items():
        queries = tables.read(QUERIES, data / f"mixed/{part}/queries.parquet").filter(
            pl.col("split") == split, pl.col("origin") != "general"
        )
        qrels = judged(tables.read(QRELS, data / f"mixed/{part}/qrels.parquet"), passages)
        qrels = qrels.join(queries.select("query_id"), on="query_id", how="semi")
        asked += queries.select(pl.col("query_id").alias("_id"), "text").to_dicts()
        lines = [f"{query}\t{passage}\t{grade}\n" for query, passage, grade in qrels.iter_rows()]
        (out / f"qrels/{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8")
    write_lines(out / "queries.jsonl", asked)
    click.echo(f"beir: {passages.height} passages, {len(asked)} queries")


if __name__ == "__main__":
    run(main)
