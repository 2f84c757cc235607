"""How reading grows: made documents through the stage extract, made files of MS MARCO's form through the stage collect.

    python benchmarks/intake.py documents [MEGABYTES ...] [--each KILOBYTES]
    python benchmarks/intake.py general [PASSAGES ...]

The stages run as DVC runs them, with the knobs of params.yaml but for the sources. Memory is the peak of the resident sizes of
the stage and its workers together, asked for four times a second; what they share counts once for each.
"""

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import yaml

from burnish.errors import InputError, run

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models/base"
HEAD = "| {} | files, GB | seconds | peak memory, GiB | it gave |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Run:
    """What a stage took, and what it said last."""

    seconds: float
    gib: float
    said: str


def sentences(count: int = 20_000) -> list[str]:
    """Made sentences of 14 words, some 85 characters, whose words are as unevenly frequent as a language's."""
    draw = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlcumwfgypbvk"))
    words = ["".join(draw.choice(letters, size)) for size in draw.integers(2, 10, 50_000)]
    ranks = np.minimum(draw.zipf(1.3, (count, 14)) - 1, len(words) - 1)
    return [" ".join(words[at] for at in row).capitalize() + "." for row in ranks]


def write_documents(folder: Path, megabytes: int, each: int) -> int:
    """Markdown documents of `each` kilobytes, with sections of some 1,000 characters; returns their number."""
    draw, known = np.random.default_rng(2), sentences()
    count = max(1, megabytes * 1000 // each)
    for number in range(count):
        picked = iter(draw.integers(0, len(known), each * 12).tolist())
        parts, size = [f"# Document {number}\n"], 0
        while size < each * 1000:
            text = " ".join(known[at] for at in itertools.islice(picked, 12))
            parts.append(f"## Section {len(parts)} of {number}\n\n{text}\n")
            size += len(parts[-1])
        (folder / f"{number:06}.md").write_text("\n".join(parts), encoding="utf-8")
    return count


def write_general(folder: Path, passages: int) -> None:
    """MS MARCO's files: passages of some 340 characters, a training query for 16 of them, and 7,000 dev and test queries."""
    draw, known = np.random.default_rng(3), sentences()
    with (folder / "collection.tsv").open("w", encoding="utf-8") as file:
        for start in range(0, passages, 100_000):
            picked = draw.integers(0, len(known), (min(100_000, passages - start), 4)).tolist()
            lines = (f"{start + at}\t{' '.join(known[one] for one in row)}\n" for at, row in enumerate(picked))
            file.writelines(lines)
    for split, count in (("train", passages // 16), ("dev", 7000), ("test", 7000)):
        with (
            (folder / f"queries.{split}.tsv").open("w", encoding="utf-8") as queries,
            (folder / f"qrels.{split}.tsv").open("w", encoding="utf-8") as qrels,
        ):
            for number, target in enumerate(draw.integers(0, passages, count).tolist()):
                queries.write(f"{split}{number}\twhat is {known[target % len(known)].lower()} number {number}\n")
                qrels.write(f"{split}{number}\t0\t{target}\t1\n")


def watched(stage: str, *words: str | Path) -> Run:
    """Run a stage and watch its memory."""
    start, peak = time.perf_counter(), 0
    command = [sys.executable, str(ROOT / f"stages/{stage}.py"), *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        whole = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, sum(_resident(one) for one in _tree(whole)))
            time.sleep(0.25)
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise InputError(f"stage {stage} failed, see above")
    return Run(time.perf_counter() - start, peak / 2**30, said.strip().rpartition("\n")[2])


def _tree(whole: psutil.Process) -> Iterator[psutil.Process]:
    try:
        yield from (whole, *whole.children(recursive=True))
    except psutil.NoSuchProcess:
        return


def _resident(one: psutil.Process) -> int:
    try:
        return int(one.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def changed(folder: Path, section: str, knobs: dict[str, Any]) -> Path:
    """A params file with other knobs in a section."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params[section] |= knobs
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return path


def row(what: str, given: Path, found: Run) -> str:
    """A line of the table."""
    size = sum(path.stat().st_size for path in given.iterdir()) / 1e9
    return f"| {what} | {size:.2f} | {found.seconds:.0f} | {found.gib:.2f} | {found.said} |"


def extracted(folder: Path, given: Path) -> Run:
    """The stage extract over Markdown files."""
    params = changed(folder, "extract", {"sources": [{"kind": "files", "path": "*.md", "language": "en"}]})
    return watched("extract", "--params", params, "--documents", given, "--model", MODEL, "--out", folder / "corpus")


@click.group(help=__doc__)
def main() -> None:
    """Check that the base model is there."""
    if not MODEL.is_dir():
        raise InputError(f"{MODEL}: expected the base model, found none; run `dvc repro base`")


@main.command()
@click.argument("sizes", metavar="[MEGABYTES]...", nargs=-1, type=click.IntRange(min=1))
@click.option("--each", type=click.IntRange(min=2), default=200, show_default=True, help="Kilobytes of a document.")
@click.option("--folder", type=click.Path(path_type=Path), default=None, help="Where the files and the outputs are put.")
def documents(sizes: Sequence[int], each: int, folder: Path | None) -> None:
    """Documents of so many megabytes in all through extract."""
    click.echo(HEAD.format("documents"))
    for size in sizes or (20, 200):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            given = Path(name) / "documents"
            given.mkdir()
            count = write_documents(given, size, each)
            click.echo(row(f"{count:,}", given, extracted(Path(name), given)))


@main.command()
@click.argument("sizes", metavar="[PASSAGES]...", nargs=-1, type=click.IntRange(min=100))
@click.option("--folder", type=click.Path(path_type=Path), default=None, help="Where the files and the outputs are put.")
def general(sizes: Sequence[int], folder: Path | None) -> None:
    """A general set of so many passages through collect."""
    click.echo(HEAD.format("passages"))
    for size in sizes or (100_000, 1_000_000):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            given, small = Path(name) / "general", Path(name) / "documents"
            given.mkdir()
            small.mkdir()
            write_general(given, size)
            write_documents(small, 1, 100)
            extracted(Path(name), small)
            params = changed(Path(name), "collect", {"judgments": []})
            places = ("--judged", small, "--logs", small, "--general", given, "--out", Path(name) / "collected")
            found = watched("collect", "--params", params, "--corpus", Path(name) / "corpus", *places)
            click.echo(row(f"{size:,}", given, found))


if __name__ == "__main__":
    run(main)
