"""Search logs: how much time and memory they take, and whether what is read from them is true.

    python benchmarks/clicks.py scale [EVENTS ...] [--folder FOLDER]
    python benchmarks/clicks.py truth

`scale` writes a simulated log as Parquet, then reads it in a process of its own with the knobs of params.yaml, whose peak
resident memory (VmHWM of the kernel) and wall time it prints. `truth` compares what is read with the simulation's relevance.
"""

import multiprocessing
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click
import polars as pl
import yaml

from burnish.clicks import simulation
from burnish.clicks.collected import collected
from burnish.clicks.rule import ClickRule, TableLog

RULE = ClickRule.model_validate(
    yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))["collect"]["clicks"]
)
LOG = TableLog(kind="table", path="log.parquet", columns=simulation.COLUMNS, language="en")
# Simulated people are few and busy, so the limits that catch robots in real logs are lifted; unknown ids: see `measured`.
LIFTED = {"robots": {"queries": 10_000, "clicks": 100_000, "queries_per_minute": 1e9}, "max_unknown_share": 1.0}


def rule(**changes: Any) -> ClickRule:
    return ClickRule.model_validate(RULE.model_dump() | LIFTED | changes)


def write(folder: Path, events: int) -> None:
    known = simulation.world(max(1000, events // 100), depth=10, versions=3, noise=0.4, seed=1)
    simulation.write_log(folder / "log.parquet", known, simulation.looked_at, events=events, seed=2)


def read(folder: Path, out: Any) -> None:
    """Read the log; the corpus holds the results of the 20,000 most frequent queries, so most ids of the tail are unknown."""
    units = {f"{query}/{candidate}": "document" for query in range(20_000) for candidate in range(15)}
    found = collected([LOG], folder, folder, units=units, rule=rule())
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**20  # type: ignore[index]
    out.put((peak, time.process_time(), found.counts))


def watched(folder: Path, stop: threading.Event, most: list[int]) -> None:
    while not stop.wait(0.5):
        sizes = []
        for path in folder.rglob(".logs.*/**/*"):
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:
                continue
        most[0] = max(most[0], sum(sizes))


@click.group(help=__doc__)
def main() -> None: ...


@main.command()
@click.argument("events", type=int, nargs=-1)
@click.option("--folder", type=click.Path(path_type=Path), default=None, help="Where the log and the spill are put.")
def scale(events: tuple[int, ...], folder: Path | None) -> None:
    """Time, memory and disk of reading so many events."""
    click.echo(f"memory_gb {RULE.memory_gb}")
    click.echo(
        "| events | log, GB | wall, s | CPU, s | peak resident, GB | peak disk beside the log, GB | queries used | pairs used |"
    )
    click.echo("|---|---|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for number in events or (1_000_000,):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            writer = context.Process(target=write, args=(Path(name), number))
            writer.start()
            writer.join()
            size = (Path(name) / "log.parquet").stat().st_size / 1e9
            stop, most, queue = threading.Event(), [0], context.Queue()
            watch = threading.Thread(target=watched, args=(Path(name), stop, most))
            watch.start()
            start = time.perf_counter()
            reader = context.Process(target=read, args=(Path(name), queue))
            reader.start()
            while reader.is_alive() and queue.empty():
                reader.join(0.2)
            if reader.exitcode:
                sys.exit("the reader failed")
            peak, cpu, counts = queue.get()
            reader.join()
            wall = time.perf_counter() - start
            stop.set()
            watch.join()
            used = sum(times for verdict, times in counts["pairs"].items() if verdict in {"0", "1", "2"})
            rows = counts["records"]["0"]["events"]["used"]
            click.echo(
                f"| {rows:,} | {size:.2f} | {wall:.0f} | {cpu:.0f} | {peak:.2f} | {most[0] / 1e9:.2f} "
                f"| {counts['queries']['used']:,} | {used:,} |"
            )


@main.command()
def truth() -> None:
    """Kendall's tau-a between relevance and raw click-through, plain COEC, and what burnish reads."""
    raw, ratio = pl.col("clicking") / pl.col("showings"), pl.col("ratio")
    click.echo("| clicks by | ranker's noise | versions | events | raw click-through | plain COEC | burnish |")
    click.echo("|---|---|---|---|---|---|---|")
    for noise in (0.2, 0.4, 0.7):
        for versions in (1, 3):
            known = simulation.world(200, depth=10, versions=versions, noise=noise, seed=1)
            for model, clicks in simulation.MODELS.items():
                for events in (20_000, 100_000, 1_000_000):
                    with tempfile.TemporaryDirectory() as name:
                        path = Path(name) / "log.parquet"
                        rows = simulation.write_log(path, known, clicks, events=events, seed=2)
                        plain = simulation.recovered(path, Path(name), rule(position_share=1.0, position_anchor=1e12))
                        found = simulation.recovered(path, Path(name), rule())
                    taus = [
                        simulation.agreement(frame, known, score)
                        for frame, score in ((found, raw), (plain, ratio), (found, ratio))
                    ]
                    figures = " | ".join(f"{tau:.3f}" for tau in taus)
                    click.echo(f"| {model} | {noise} | {versions} | {rows:,} | {figures} |")


if __name__ == "__main__":
    main()
