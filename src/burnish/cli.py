"""The `burnish` command, for deployment hosts and reviewers: thin, as a stage is."""

import json
import sys
from pathlib import Path

import click

from burnish import errors
from burnish.report.formatting import clean

PATH = click.Path(path_type=Path)


def main() -> None:
    """Entry point: expected failures are one line on stderr."""
    errors.run(lambda: cli(standalone_mode=True))


@click.group()
def cli() -> None:
    """Search, evaluate, and ask whether to fine-tune at all."""


@cli.command()
@click.argument("text")
@click.option("--index", "folder", type=PATH, default=Path("models/index"), show_default=True, help="Folder of the index.")
@click.option("--model", type=PATH, default=Path("models/release"), show_default=True, help="Folder of the release.")
@click.option("-k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Passages to show.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def search(text: str, folder: Path, model: Path, k: int, as_json: bool) -> None:  # noqa: FBT001
    """Search the built index for TEXT."""
    from burnish.search import index  # noqa: PLC0415 (torch takes seconds to import; --help should not)

    for hit in index.search(folder, model, text, k):
        if as_json:
            click.echo(json.dumps(vars(hit), ensure_ascii=False))
        else:
            click.echo(f"{hit.rank:3}  {hit.score:.3f}  {hit.document_id}\n     {clean(hit.text, 160)}")


@cli.command()
@click.option("--model", required=True, help="base, or the folder of a model such as models/release.")
@click.option("--queries", type=PATH, required=True, help="Queries: .jsonl (BEIR's), .csv or .tsv.")
@click.option("--qrels", type=PATH, required=True, help="Judgments: BEIR's .tsv, TREC's, .csv or .jsonl.")
@click.option("--corpus", type=PATH, help="Another corpus.jsonl; default: the built corpus in data/corpus.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(model: str, queries: Path, qrels: Path, corpus: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Measure a model on any queries and judgments, with the pipeline's own measures."""
    from burnish.evaluation.evaluate import evaluated  # noqa: PLC0415

    folder = Path("models/base") if model == "base" else Path(model)
    result = evaluated(folder, queries, qrels, corpus=corpus, built=Path("data/corpus"), store=Path(".cache/vectors"))
    if as_json:
        click.echo(json.dumps({"model": model, **result}))
        return
    click.echo(f"{model}: {result['queries']} queries, {result['passages']} passages")
    for name, value in result.items():
        if isinstance(value, float):
            click.echo(f"  {name:12} {value:.4f}")


@cli.command()
@click.option(
    "--enough",
    type=click.FloatRange(0, 1),
    default=0.70,
    show_default=True,
    help="Base recall@10 from which fine-tuning is not the first thing to do.",
)
def doctor(enough: float) -> None:
    """Look at environment, corpus, base model and test queries before any training (run `dvc repro mix` first)."""
    from burnish.evaluation import examination  # noqa: PLC0415

    found = examination.findings(Path(), enough=enough)
    marks = {"ok": "  ok  ", "note": " note ", "stop": " STOP "}
    for finding in found:
        click.echo(f"[{marks[finding.level]}] {finding.text}")
    if any(finding.level == "stop" for finding in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
