"""Encoding against `SentenceTransformer.encode` with its defaults: the same texts, model and threads, cosine to fp32 beside it.

Where the processor computes faster in bfloat16 the target is 4; elsewhere both sides compute in fp32, which leaves padding
alone to be saved.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import sides
from folders import data
from quality import ROOT, fetch
from sentence_transformers import SentenceTransformer

from burnish import tables
from burnish.embedding import encoding, models
from burnish.errors import run

_TARGETS = {True: 4.0, False: 1.1}  # by whether bf16 is faster here
_COSINES = {True: 0.999, False: 0.9999}


def rows(model: SentenceTransformer, folders: Sequence[Path], texts: int, turns: int, clock: str) -> Iterator[dict[str, Any]]:
    """One row a folder."""
    bf16 = encoding.bf16_is_faster(model.device)
    encode = encoding.encoder(model, "passage", bf16=bf16)
    for folder in folders:
        passages = data(folder).passages
        some = tables.embedded_text(passages[sides.sample(passages["passage_id"].to_list(), texts)])
        tokens = sum(map(len, model.tokenizer(some, truncation=True, max_length=model.max_seq_length)["input_ids"]))

        def peer(some: list[str] = some) -> Any:
            return model.encode_document(some, show_progress_bar=False)

        def ours(some: list[str] = some) -> Any:
            return encode(some)

        times = sides.by_turns(peer, ours, turns=turns, clock=clock)
        expected = model.encode_document(some, show_progress_bar=False, normalize_embeddings=True)
        lowest = float((encode(some) * expected).sum(axis=1).min())
        yield sides.line(
            "encode",
            "SentenceTransformer.encode",
            folder.resolve().name,
            _TARGETS[bf16],
            times=times,
            equal=lowest >= _COSINES[bf16],
            lowest_cosine=round(lowest, 6),
            precision="bfloat16" if bf16 else "float32",
            texts=len(some),
            tokens=tokens,
            tokens_per_second=round(tokens / times[1]),
        )


@click.command(help=__doc__)
@sides.data_argument
@click.option("--model", help="A folder or `pypi:MODULE`.  [default: the params file's]")
@click.option("--texts", type=click.IntRange(min=1), default=400, show_default=True, help="Passages of each folder.")
@click.option("--turns", type=click.IntRange(min=1), default=3, show_default=True, help="Of which the median counts.")
@sides.threads_option
@sides.clock_option
def main(folders: Sequence[Path], model: str | None, texts: int, turns: int, threads: int | None, clock: str) -> None:
    """Print one row a folder."""
    sides.use_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        fetch(ROOT / "params.yaml", model, base)
        sides.report(rows(models.load(base), folders, texts, turns, clock))


if __name__ == "__main__":
    run(main)
