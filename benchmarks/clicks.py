"""Search logs: how much time and memory they take, and whether what is read from them is true.

    python benchmarks/clicks.py scale [EVENTS ...] [--format table|ubi] [--folder FOLDER]
    python benchmarks/clicks.py truth

`scale` writes a simulated log as Parquet, or in the UBI schema as NDJSON, then reads it in a process of its own with the knobs of
params.yaml, whose peak resident memory (VmHWM of the kernel) and wall time it prints. `truth` compares what is read with the simulation's relevance.
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
import duckdb
import polars as pl
import yaml

from burnish.clicks import simulation
from burnish.clicks.collected import collected
from burnish.clicks.rule import ClickRule, Log, TableLog, UbiLog

RULE = ClickRule.model_validate(
    yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))["collect"]["clicks"]
)
LOGS: dict[str, Log] = {
    "table": TableLog(kind="table", path="log.parquet", columns=simulation.COLUMNS, language="en"),
    "ubi": UbiLog(kind="ubi", queries="queries.ndjson", events="events.ndjson", language="en"),
}
# Simulated people are few and busy, so the limits that catch robots in real logs are lifted; unknown ids: see `measured`.
LIFTED = {"robots": {"queries": 10_000, "clicks": 100_000, "queries_per_minute": 1e9}, "max_unknown_share": 1.0}


def rule(**changes: Any) -> ClickRule:
    return ClickRule.model_validate(RULE.model_dump() | LIFTED | changes)


def write(folder: Path, events: int, kind: str) -> None:
    known = simulation.world(max(1000, events // 100), depth=10, versions=3, noise=0.4, seed=1)
    simulation.write_log(folder / "log.parquet", known, simulation.looked_at, events=events, seed=2)
    if kind == "ubi":
        write_ubi(folder)


def write_ubi(folder: Path) -> None:
    """The same log as UBI 1.3: queries that name nobody, and events that say whose they are."""
    stamp = "strftime(epoch_ms({}), '%Y-%m-%dT%H:%M:%S.%gZ') as timestamp"
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            set enable_progress_bar = false; set preserve_insertion_order = false;
            create view log as select *, time - if(action = 'click', 3000 * rank - 1000, 0) as asked from '{folder}/log.parquet';
            copy (select asked::varchar as query_id, query as user_query, {stamp.format("asked")}
                  from log where rank = 1 and action = 'impression') to '{folder}/queries.ndjson' (format json);
            copy (select action as action_name, asked::varchar as query_id, "user" as client_id, session as session_id,
                         {stamp.format("time")}, {{object: {{object_id: target}}, position: {{ordinal: rank}}}} as event_attributes
                  from log) to '{folder}/events.ndjson' (format json)
            """
        )
    (folder / "log.parquet").unlink()


def read(folder: Path, kind: str, out: Any) -> None:
    """Read the log; the corpus holds the results of the 20,000 most frequent queries, so most ids of the tail are unknown."""
    units = {f"{query}/{candidate}": "document" for query in range(20_000) for candidate in range(15)}
    found = collected([LOGS[kind]], folder, folder, units=units, rule=rule())
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
@click.option("--format", "kind", type=click.Choice(list(LOGS)), default="table", show_default=True, help="What is read.")
@click.option("--folder", type=click.Path(path_type=Path), default=None, help="Where the log and the spill are put.")
def scale(events: tuple[int, ...], kind: str, folder: Path | None) -> None:
    """Time, memory and disk of reading so many events."""
    click.echo(f"memory_gb {RULE.memory_gb}")
    click.echo(
        "| events | log, GB | wall, s | CPU, s | peak resident, GB | peak disk beside the log, GB | queries used | pairs used |"
    )
    click.echo("|---|---|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for number in events or (1_000_000,):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            writer = context.Process(target=write, args=(Path(name), number, kind))
            writer.start()
            writer.join()
            size = sum(path.stat().st_size for path in Path(name).iterdir()) / 1e9
            stop, most, queue = threading.Event(), [0], context.Queue()
            watch = threading.Thread(target=watched, args=(Path(name), stop, most))
            watch.start()
            start = time.perf_counter()
            reader = context.Process(target=read, args=(Path(name), kind, queue))
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
    """Kendall's tau-a with relevance, of raw click-through, plain COEC and burnish, for logs of about so many events."""
    sizes = (20_000, 100_000, 500_000)
    click.echo("| clicks by | ranker's noise | versions | " + " | ".join(f"{size:,}" for size in sizes) + " |")
    click.echo("|---|---|---|" + "---|" * len(sizes))
    for noise in (0.2, 0.4, 0.7):
        for versions in (1, 3):
            known = simulation.world(200, depth=10, versions=versions, noise=noise, seed=1)
            for model, clicks in simulation.MODELS.items():
                taus = " | ".join(agreements(known, clicks, size) for size in sizes)
                click.echo(f"| {model} | {noise} | {versions} | {taus} |")


def agreements(known: simulation.World, clicks: simulation.Clicks, events: int) -> str:
    raw, ratio = pl.col("clicking") / pl.col("showings"), pl.col("ratio")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "log.parquet"
        simulation.write_log(path, known, clicks, events=events, seed=2)
        plain = simulation.recovered(path, Path(name), rule(position_share=1.0, position_anchor=1e12))
        found = simulation.recovered(path, Path(name), rule())
    compared = ((found, raw), (plain, ratio), (found, ratio))
    return ", ".join(f"{simulation.agreement(frame, known, score):.3f}" for frame, score in compared)


if __name__ == "__main__":
    main()
