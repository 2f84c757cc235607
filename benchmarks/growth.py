"""How time and memory grow with the corpus: made vectors of 384 dimensions, each work of each size in a process of its own.

The slope is that of a line through the logarithms: 1 means in proportion to the passages, 0 not at all. Queries stay 1,000 at
every size. Peak memory is the whole process's, so its smallest value is what the libraries themselves take.
"""

import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

from burnish.arrays import Vectors
from burnish.embedding import vectors
from burnish.errors import run
from burnish.search import index, nearest
from burnish.tables import PASSAGES
from burnish.training import mining
from burnish.training.mining import Rule

_DIMENSIONS = 384
_QUERIES = 1000
_DEPTH = 100


def made(count: int, seed: int) -> Vectors:
    """Random vectors of unit length, shape (count, 384)."""
    found = np.random.default_rng(seed).standard_normal((count, _DIMENSIONS), dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def table(count: int) -> pl.DataFrame:
    """Passages of some 300 characters each."""
    names = [f"p{at:08}" for at in range(count)]
    text = [f"{name} " * 30 for name in names]
    columns = {"passage_id": names, "document_id": names, "title": [""] * count, "heading": [""] * count, "text": text}
    numbers = {"ordinal": [0] * count, "tokens": [120] * count}
    return pl.DataFrame(columns | numbers, schema_overrides=PASSAGES.columns).select(list(PASSAGES.columns))


def search(count: int, stored: Vectors, _: Path) -> Callable[[], object]:
    """Exact search of 1,000 queries, a hundred passages each."""
    asked = made(_QUERIES, 2)
    return lambda: nearest.exact(asked, stored, _DEPTH)


def mine(count: int, stored: Vectors, _: Path) -> Callable[[], object]:
    """One negative for each of 1,000 queries, by exact search."""
    places = np.random.default_rng(3).integers(0, count, _QUERIES)
    asked = made(_QUERIES, 2) + stored[places]
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    answers = [frozenset({int(one)}) for one in places]
    names = [f"q{at}" for at in range(_QUERIES)], [f"p{at}" for at in range(count)]
    rule = Rule(per_query=1, first_rank=1, last_rank=_DEPTH, pool=20, max_share=0.95, search="exact")
    return lambda: mining.hard_negatives(asked, stored, positives=answers, excluded=answers, judged={}, names=names, rule=rule)


def store(count: int, stored: Vectors, folder: Path) -> Callable[[], object]:
    """Vectors written to their file and read back in another order."""
    ids = [f"p{at}" for at in range(count)]

    def both() -> None:
        vectors.write(folder / "vectors.parquet", ids, stored)
        vectors.read(folder / "vectors.parquet", ids[::-1])

    return both


def build(count: int, stored: Vectors, folder: Path) -> Callable[[], object]:
    """The search index: graph and passages, on one thread so that the same vectors give the same bytes."""
    passages = table(count)
    return lambda: index.build(passages, stored, model_digest="made", out=folder / "index")


WORKS = {"vectors written and read": store, "exact search": search, "mine": mine, "index build": build}


def measured(work: str, count: int) -> tuple[float, float]:
    """Seconds of the work, and the peak memory of this process in GiB."""
    with tempfile.TemporaryDirectory() as folder:
        ready = WORKS[work](count, made(count, 1), Path(folder))
        start = time.perf_counter()
        ready()
        seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Of the line through the logarithms.

    >>> round(slope([10, 100, 1000], [2.0, 20.0, 200.0]), 6)
    1.0
    """
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0]) if len(sizes) > 1 else float("nan")


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table: seconds and peak memory at each size, and both slopes."""
    sizes = sorted({row["passages"] for row in rows})
    lines = [
        "| work | " + " | ".join(f"{size:,}" for size in sizes) + " | slope: time | slope: memory |",
        "|---|" + "---|" * (len(sizes) + 2),
    ]
    for work in dict.fromkeys(row["work"] for row in rows):
        own = {row["passages"]: row for row in rows if row["work"] == work}
        cells = [f"{own[size]['seconds']:.2f} s, {own[size]['peak_gib']:.2f} GiB" for size in sizes]
        slopes = [slope(sizes, [own[size][name] for size in sizes]) for name in ("seconds", "peak_gib")]
        lines.append(f"| {work} | " + " | ".join(cells) + " | " + " | ".join(f"{one:.2f}" for one in slopes) + " |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.argument("sizes", metavar="[PASSAGES]...", nargs=-1, type=click.IntRange(min=200))
@click.option("--work", "works", type=click.Choice(list(WORKS)), multiple=True, help="This one alone; may be repeated.")
@click.option("--table", "as_table", is_flag=True, help="Print a Markdown table in place of JSON lines.")
def main(sizes: Sequence[int], works: Sequence[str], as_table: bool) -> None:  # noqa: FBT001
    """Print a row a work and size; 10,000, 100,000 and 1,000,000 passages unless told otherwise."""
    rows = []
    spawned = multiprocessing.get_context("spawn")
    for work in works or WORKS:
        for size in sizes or (10_000, 100_000, 1_000_000):
            with ProcessPoolExecutor(1, mp_context=spawned) as pool:
                seconds, peak = pool.submit(measured, work, size).result()
            rows.append({"work": work, "passages": size, "seconds": round(seconds, 3), "peak_gib": round(peak, 3)})
            if not as_table:
                click.echo(json.dumps(rows[-1]))
    if as_table:
        click.echo(markdown(rows))


if __name__ == "__main__":
    run(main)
