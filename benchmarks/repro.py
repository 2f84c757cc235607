"""What a rerun costs: `make repro` with nothing to do against `dvc status`, and one document in a hundred added to the corpus.

The first row needs a repository whose pipeline has run (this one, or --repository); its ratio is the seconds of `dvc status` over
those of `make repro`, so 1.2 times as long is 0.833. The other rows embed a folder's passages through the store of vectors: all of
a hundredth less, then all. Their ratio is what embedding all costs over what embedding the rest did, in texts and in seconds.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import sides
from folders import data
from quality import ROOT, fetch
from sentence_transformers import SentenceTransformer

from burnish import tables
from burnish.embedding import encoding, models
from burnish.embedding.vectors import VectorStore
from burnish.errors import InputError, run

_RERUN = 1 / 1.2
_SHARE = 0.01  # of the documents, that is added
_ADDED = 1 / 0.03


def rerun(repository: Path, turns: int) -> dict[str, Any]:
    """A second `make repro` against `dvc status`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def done(*command: str) -> str:
        made = subprocess.run(
            command, cwd=repository, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise InputError(f"{repository}: `{' '.join(command)}` failed: {made.stderr.strip()[-300:]}")
        return made.stdout

    if "up to date" not in (told := done("dvc", "status")):
        raise InputError(f"{repository}: expected a pipeline that is up to date; run `make repro` first; found: {told[:200]}")
    times = sides.by_turns(lambda: done("dvc", "status"), lambda: done("make", "repro"), turns=turns, clock="wall")
    unchanged = "up to date" in done("dvc", "status")
    return sides.line("second make repro", "dvc status", repository.resolve().name, _RERUN, times=times, equal=unchanged)


def added(model: SentenceTransformer, folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """A hundredth of the documents added: texts embedded, and seconds."""
    passages = data(folder).passages
    kept = passages[sides.sample(passages["passage_id"].to_list(), count)]
    new = set(sides.sample(kept["document_id"].to_list(), max(1, round(kept.height * _SHARE))))
    texts = tables.embedded_text(kept)
    before = [text for at, text in enumerate(texts) if at not in new]
    bf16 = encoding.bf16_is_faster(model.device)
    encode = encoding.encoder(model, "passage", bf16=bf16)
    encode(texts[:8])
    seconds, found, computed = [], [], []
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        for root, given in ((first, texts), (second, before), (second, texts)):
            shelf = VectorStore.of(Path(root), model_digest="model", prompt="", precision="bfloat16" if bf16 else "float32")
            start = time.perf_counter()
            vectors, own = shelf.vectors(given, encode)
            seconds.append(time.perf_counter() - start)
            found.append(vectors)
            computed.append(own)
    equal = bool((np.sum(found[0] * found[2], axis=1) > (0.999 if bf16 else 0.9999)).all())
    name = folder.resolve().name
    sizes = {"texts": len(texts), "added": len(new), "embedded_again": computed[2] - len({texts[at] for at in new} - {*before})}
    yield sides.line("texts embedded", "embed all", name, _ADDED, times=(computed[0], computed[2]), equal=equal, **sizes)
    yield sides.line("seconds of embedding", "embed all", name, _ADDED, times=(seconds[0], seconds[2]), equal=equal, **sizes)


@click.command(help=__doc__)
@click.argument("folders", metavar="[DATA]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--repository", type=click.Path(path_type=Path), default=ROOT, help="Whose pipeline is run again.  [default: this]"
)
@click.option("--no-rerun", is_flag=True, help="Leave `make repro` out.")
@click.option("--model", help="A folder or `pypi:MODULE`.  [default: the params file's]")
@click.option("--passages", type=click.IntRange(min=100), default=1000, show_default=True, help="Passages of each folder.")
@click.option("--turns", type=click.IntRange(min=1), default=3, show_default=True, help="Of which the median counts.")
@sides.threads_option
def main(folders: Sequence[Path], repository: Path, no_rerun: bool, model: str | None, passages: int, turns: int, threads: int | None) -> None:  # noqa: FBT001  # fmt: skip
    """Print a row for the rerun, and two a folder."""
    sides.use_threads(threads)

    def rows() -> Iterator[dict[str, Any]]:
        if not no_rerun:
            yield rerun(repository, turns)
        with tempfile.TemporaryDirectory() as temporary:
            fetch(ROOT / "params.yaml", model, Path(temporary) / "base")
            for folder in folders:
                yield from added(models.load(Path(temporary) / "base"), folder, passages)

    sides.report(rows())


if __name__ == "__main__":
    run(main)
