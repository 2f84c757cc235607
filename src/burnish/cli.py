"""The `burnish` command, for deployment hosts and reviewers: thin, as a stage is."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import click
import yaml

from burnish import errors
from burnish.report.formatting import clean

PATH = click.Path(path_type=Path)


def main() -> None:
    """Entry point: expected failures are one line on stderr."""
    errors.run(lambda: cli(standalone_mode=True))


@click.group()
def cli() -> None:
    """Search, evaluate, have experts label, and ask whether to fine-tune at all."""


@cli.command()
@click.argument("text")
@click.option("--index", "folder", type=PATH, default=Path("models/index"), show_default=True, help="Folder of the index.")
@click.option("--model", type=PATH, default=Path("models/release"), show_default=True, help="Folder of the release.")
@click.option("-k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Passages to show.")
@click.option("--rerank", is_flag=True, help="Order the first passages anew by the reranker.")
@click.option(
    "--reranker", "second", type=PATH, default=Path("models/reranker"), show_default=True, help="With --rerank: its folder."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def search(text: str, folder: Path, model: Path, k: int, rerank: bool, second: Path, as_json: bool) -> None:  # noqa: FBT001
    """Search the built index for TEXT."""
    from burnish.search import index  # noqa: PLC0415 (torch takes seconds to import; --help should not)
    from burnish.search.reranker import Reranker  # noqa: PLC0415

    for hit in index.search(folder, model, text, k, reranker=Reranker.at(second) if rerank else None):
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
@click.argument("folder", type=PATH, default=Path("data/paid"))
@click.option(
    "--forget", default="", help="Also forget replies of this status, such as failed-permanently, to ask for them again."
)
def repair(folder: Path, forget: str) -> None:
    """Rewrite what is sound of damaged files in the reply store FOLDER, and put those files aside."""
    from burnish.synthesis import replies  # noqa: PLC0415

    bad = [one for one in replies.STATUSES if one != "ok"]
    status = next((one for one in bad if one == forget), None)
    if forget and not status:
        raise click.UsageError(f"--forget {forget}: expected one of {', '.join(bad)}")
    done = replies.repair(folder)
    for name, found in sorted(done.items()):
        click.echo(f"{name}: {found.kept} replies kept, at least {found.lost} lost; the damaged file is {found.aside}")
    if status:
        click.echo(f"{replies.forget(folder, status)} replies forgotten that were {status}")
    click.echo(f"{folder}: {len(done)} files repaired, {len(replies.ReplyStore(folder))} replies")


@cli.command()
@click.option(
    "--enough",
    type=click.FloatRange(0, 1),
    default=0.70,
    show_default=True,
    help="Base recall@10 from which fine-tuning is not the first thing to do.",
)
def doctor(enough: float) -> None:
    """Look at machine, inputs, corpus, base model and test queries before any training: at once, and after `dvc repro mix`."""
    from burnish.evaluation import examination  # noqa: PLC0415

    found = examination.findings(Path(), Path("params.yaml"), enough=enough)
    marks = {"ok": "  ok  ", "note": " note ", "stop": " STOP "}
    for finding in found:
        click.echo(f"[{marks[finding.level]}] {finding.text}")
    if any(finding.level == "stop" for finding in found):
        sys.exit(1)


@cli.command()
@click.option("--out", "outs", type=PATH, multiple=True, help="Write the queue here, .csv or .jsonl; may be given twice.")
@click.option("--size", type=click.IntRange(1), default=200, show_default=True, help="Most pairs in the queue.")
@click.option("--only", multiple=True, help="Only pairs for this reason, such as unjudged; may be given several times.")
@click.option("--blind", is_flag=True, help="Leave reasons and priorities out, in an order that tells nothing.")
@click.option("--take", "filled", type=PATH, help="Take a filled-in queue back.")
@click.option("--annotator", default="", help="With --take: who filled it in; a code of the name is kept.")
@click.option("--highest", type=click.IntRange(1, 127), default=3, show_default=True, help="With --take: the largest grade.")
@click.option(
    "--labels", "kept", type=PATH, default=Path("data/judged/labels.csv"), show_default=True, help="File that keeps all labels."
)
def label(
    outs: tuple[Path, ...],
    size: int,
    only: tuple[str, ...],
    blind: bool,  # noqa: FBT001
    filled: Path | None,
    annotator: str,
    highest: int,
    kept: Path,
) -> None:
    """Write the queue that is worth an expert's time, or take it back (run `dvc repro` first)."""
    from burnish.queries import built, judge_disputes, labelling, labels  # noqa: PLC0415

    if bool(outs) == bool(filled):
        raise click.UsageError("give either --out, to write a queue, or --take, to take one back")
    if unknown := set(only) - set(labels.REASONS):
        raise click.UsageError(f"--only {min(unknown)}: expected one of {', '.join(labels.REASONS)}")
    if filled:
        taken = labelling.take(filled, kept, annotator=annotator, allowed=built.allowed(Path(), highest))
        click.echo(f"{taken.new} new, {taken.changed} changed, {taken.same} as before, {taken.blank} left blank -> {kept}")
        if taken.agreement["pairs"]:
            click.echo(f"agreement: {json.dumps(taken.agreement)}")
        if told := judge_disputes.by_score(built.scored(Path("data/synthetic")), labelling.labelled(kept)):
            click.echo(f"judge, by score: {json.dumps(told)}")
        return
    known = built.built(Path())
    offered = labels.candidates(Path(), known, only or labels.REASONS)
    queue = labels.queue(offered, known, labelled=labelling.labelled(kept), size=size)
    for out in outs:
        labelling.write(queue, out, blind=blind)
    counts = dict(queue["reason"].value_counts().sort("reason").iter_rows())
    click.echo(f"{queue.height} pairs of { ({name: pairs.height for name, pairs in offered.items()}) }: {counts}")


@cli.command()
def plan() -> None:
    """Say what `synthesize` would ask a language model for, what it costs and how long it takes; nobody is asked."""
    pipeline = Path("dvc.yaml")
    if not pipeline.is_file():
        raise errors.InputError(
            "dvc.yaml: expected the pipeline here, found none; run `burnish plan` in the repository's folder"
        )
    command = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"]["synthesize"]["cmd"]
    sys.exit(subprocess.run([sys.executable, *shlex.split(command)[1:], "--plan"], check=False).returncode)


if __name__ == "__main__":
    main()
