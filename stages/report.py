"""Write what people read: the page with every number and ranking, and the summary for a pull request."""

from pathlib import Path

import click

from burnish import atomic, tables
from burnish.errors import run
from burnish.report import page
from burnish.report.changes import changes
from burnish.report.comparison import read_metrics
from burnish.tables import DOCUMENTS, LEAKS, PASSAGES, QRELS, QUERIES, RUNS


@click.command(help=__doc__)
@click.option("--metrics", type=click.Path(path_type=Path), required=True, help="Folder of metrics and curves.")
@click.option("--runs", type=click.Path(path_type=Path), required=True, help="File of the runs.")
@click.option("--corpus", type=click.Path(path_type=Path), required=True, help="Folder of documents and passages.")
@click.option("--test", type=click.Path(path_type=Path), required=True, help="Folder of the queries and judgments.")
@click.option("--leaks", type=click.Path(path_type=Path), required=True, help="Table of the leaks that were left out.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for index.html and summary.md.")
def main(metrics: Path, runs: Path, corpus: Path, test: Path, leaks: Path, out: Path) -> None:
    """Metrics, runs, queries, judgments, passages, leaks -> index.html, summary.md."""
    measured = read_metrics(metrics)
    changed = changes(
        tables.read(RUNS, runs),
        tables.read(QUERIES, test / "queries.parquet"),
        tables.read(QRELS, test / "qrels.parquet"),
        tables.read(PASSAGES, corpus / "passages.parquet"),
        documents=tables.read(DOCUMENTS, corpus / "documents.parquet"),
    )
    html, summary = page.page(measured, changed, tables.read(LEAKS, leaks)), page.summary(measured, changed)
    with atomic.folder(out) as folder:
        atomic.write_text(folder / "index.html", html)
        atomic.write_text(folder / "summary.md", summary)
    click.echo(f"report: {changed.better} queries improved, {changed.worse} damaged, {changed.same} as before -> {out}")


if __name__ == "__main__":
    run(main)
