"""Two sides of a comparison: timed by turns in one run, printed as lines of JSON, held against a target."""

import gc
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import click
import torch

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

clock_option = click.option(
    "--clock",
    type=click.Choice(list(CLOCKS)),
    default="wall",
    show_default=True,
    help="cpu: processor seconds of both sides, for a machine that does other work too; give it one thread.",
)
threads_option = click.option("--threads", type=click.IntRange(min=1), help="Of both sides.  [default: all cores]")
data_argument = click.argument("folders", metavar="DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))


def use_threads(threads: int | None) -> None:
    """Let torch compute with so many threads, or as it chose."""
    torch.set_num_threads(threads or torch.get_num_threads())


def seconds(work: Callable[[], object], clock: str) -> float:
    """What one call of `work` takes."""
    gc.collect()
    start = CLOCKS[clock]()
    work()
    return CLOCKS[clock]() - start


def by_turns(peer: Callable[[], object], ours: Callable[[], object], *, turns: int, clock: str) -> tuple[float, float]:
    """The median seconds of the peer and of ours, taken by turns after one call of each, so that a slow spell meets both."""
    peer()
    ours()
    taken = [(seconds(peer, clock), seconds(ours, clock)) for _ in range(turns)]
    theirs, own = (statistics.median(side) for side in zip(*taken, strict=True))
    return theirs, own


def line(
    work: str, peer: str, data: str, target: float, *, times: tuple[float, float], equal: bool, **more: Any
) -> dict[str, Any]:
    """A row: `ratio` is the peer's seconds over ours, `equal` whether the quality check beside it held."""
    theirs, own = times
    head = {"work": work, "peer": peer, "data": data, "target": target, "ratio": round(theirs / own, 3), "equal": bool(equal)}
    return head | {"peer_seconds": round(theirs, 4), "seconds": round(own, 4)} | more


@contextmanager
def quiet() -> Iterator[None]:
    """What libraries print goes to standard error; rows alone go to standard output."""
    with redirect_stdout(sys.stderr):
        yield


def report(rows: Iterable[dict[str, Any]]) -> None:
    """Print each row as it comes; exit with 1 if a ratio is below its target or a check beside it failed."""
    printed = []
    rows = iter(rows)
    while True:
        with quiet():
            row = next(rows, None)
        if row is None:
            break
        click.echo(json.dumps(row))
        printed.append(row)
    if missed := [row for row in printed if not met(row)]:
        click.echo(f"{len(missed)} of {len(printed)} below the target, or not equal", err=True)
        sys.exit(1)


def met(row: dict[str, Any]) -> bool:
    """Whether a row reaches its target with equal results."""
    return bool(row["equal"]) and row["ratio"] >= row["target"]


def order(names: Sequence[str]) -> list[int]:
    """The places of `names` by a hash of each, so that what is drawn first does not depend on their order in a file."""
    return sorted(range(len(names)), key=lambda at: hashlib.sha256(names[at].encode()).digest())


def sample(names: Sequence[str], count: int) -> list[int]:
    """The places of `count` of `names`, drawn by `order`, ascending."""
    return sorted(order(names)[:count])
