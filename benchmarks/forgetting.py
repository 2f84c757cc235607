"""What general language costs and keeps: sweep mix.general_share and print domain gain against general loss, with intervals.

Runs the pipeline's own stages from `mix` to `score` for each share, with their commands from dvc.yaml, over what is built up to
there (run `dvc repro embed-base` first). Outputs go to a working folder of their own; the repository's stay as they are.
"""

import datetime as dt
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import polars as pl
import yaml

from burnish import atomic, tables
from burnish.errors import InputError, run
from burnish.evaluation.measures import MAIN
from burnish.tables import QUERIES

ROOT = Path(__file__).parents[1]
STAGES = ("mix", "mine", "train", "export", "embed-tuned", "retrieve", "rerank", "score")
_STDERR = 2  # the rows alone go to standard output
SHARES = (0.0, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class Built:
    """A repository whose stages before `mix` have run, and the folder that the sweep works in."""

    root: Path
    work: Path

    def yaml(self, name: str) -> dict[str, Any]:
        """A YAML file of the repository."""
        path = self.root / name
        if not path.is_file():
            raise InputError(f"{path}: expected the pipeline's {name}, found none; name its repository with --root")
        found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return found

    def words(self, stage: str, places: Mapping[str, Path]) -> list[str]:
        """The command of a stage, each path where `places` puts it, or in the repository."""
        words = shlex.split(self.yaml("dvc.yaml")["stages"][stage]["cmd"])[1:]
        return [sys.executable, *(str(_placed(word, places, self.root)) for word in words)]


@dataclass(frozen=True)
class Point:
    """What one share gave."""

    share: float
    general: int  # pairs of the general set that were trained on
    domain: int  # training queries of the domain
    part: dict[str, dict[str, Any]]  # retrieval.json: test (the domain) and general

    def delta(self, part: str) -> tuple[float, float, float]:
        """Tuned minus base of the domain ("test") or the general set: mean, and the bounds of its 95 % interval."""
        found = self.part[part]["delta"]
        return found[MAIN], found[f"{MAIN}_low"], found[f"{MAIN}_high"]


def _placed(word: str, places: Mapping[str, Path], root: Path) -> Path | str:
    if word.startswith("--"):
        return word
    for name, place in places.items():
        if word == name or word.startswith(f"{name}/"):
            return place / word[len(name) + 1 :]
    return root / word


def smaller(folder: Path, queries: int, out: Path) -> None:
    """Write to `out` the synthetic queries that a hash of their ids puts among the first `queries`, with their judgments."""
    asked = tables.read(QUERIES, folder / "queries.parquet")
    kept = set(sorted(asked["query_id"], key=lambda one: hashlib.sha256(one.encode()).hexdigest())[:queries])
    own = pl.col("query_id").is_in(list(kept))
    with atomic.folder(out) as made:
        tables.write(asked.filter(own), QUERIES, made / "queries.parquet")
        tables.write(tables.read(tables.QRELS, folder / "qrels.parquet").filter(own), tables.QRELS, made / "qrels.parquet")
        atomic.write_text(made / "counts.json", (folder / "counts.json").read_text(encoding="utf-8"))


def swept(built: Built, shares: Sequence[float], knobs: Mapping[str, Any], queries: int) -> list[Point]:
    """A point for each share; a share that the general set is too small for gets what the last smaller one got."""
    synthetic = built.work / "synthetic"
    if queries:
        smaller(built.root / "data/synthetic", queries, synthetic)
    points: list[Point] = []
    for share in sorted(shares):
        folder = built.work / f"share-{share:g}"
        places = _places(built, folder) | ({"data/synthetic": synthetic} if queries else {})
        params = _params(built, dict(knobs) | {"mix.general_share": share})
        atomic.write_text(folder / "params.yaml", params)
        _run(built, "mix", places)
        general, domain = _used(folder)
        if points and (general, domain) == (points[-1].general, points[-1].domain):
            points.append(Point(share, general, domain, points[-1].part))
            continue
        finished, key = folder / "finished", _key(built, folder, params)
        if not finished.is_file() or finished.read_text(encoding="utf-8") != key:
            for stage in STAGES[1:]:
                _run(built, stage, places)
            atomic.write_text(finished, key)
        part = json.loads((folder / "metrics/retrieval.json").read_text(encoding="utf-8"))
        if not part["general"]:
            raise InputError("there is no general test query: raise collect.general.most.test")
        points.append(Point(share, general, domain, part))
    return points


def _key(built: Built, folder: Path, params: str) -> str:
    """What decides a point: knobs, code, the mixed data with the base's vectors; a rerun trains again where one has changed."""
    total = hashlib.sha256(params.encode())
    code = [path for part in ("src", "stages") for path in (built.root / part).rglob("*.py")]
    for path in (*sorted(code), *sorted(path for path in (folder / "data/mixed").rglob("*") if path.is_file())):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _params(built: Built, knobs: Mapping[str, Any]) -> str:
    params = built.yaml("params.yaml")
    for name, value in knobs.items():
        section, _, knob = name.partition(".")
        if knob not in params.get(section, {}):
            raise InputError(f"--set {name}: no such knob in params.yaml")
        params[section][knob] = value
    return yaml.safe_dump(params)


def _places(built: Built, folder: Path) -> dict[str, Path]:
    """Where the outputs, the knobs and the caches of the swept stages lie."""
    outs = [out for stage in STAGES for out in built.yaml("dvc.yaml")["stages"][stage]["outs"]]
    names = [next(iter(out)) if isinstance(out, dict) else out for out in outs]
    return {name: folder / name for name in ("params.yaml", *names)} | {".cache": built.work / "cache"}


def _used(folder: Path) -> tuple[int, int]:
    used = json.loads((folder / "data/mixed/counts.json").read_text(encoding="utf-8"))["used"]
    return used.get("general", 0), sum(number for origin, number in used.items() if origin != "general")


def _run(built: Built, stage: str, places: Mapping[str, Path]) -> None:
    path = os.pathsep.join([str(built.root / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        built.words(stage, places), cwd=built.root, env=os.environ | {"PYTHONPATH": path}, stdout=_STDERR, check=False
    )
    if done.returncode:
        raise InputError(f"stage {stage} failed, see above; mend it, and run this again: finished shares are kept")


def on_frontier(points: Sequence[Point]) -> list[bool]:
    """Whether no other point has a higher domain gain at no more general loss, or less loss at no less gain."""
    both = [(point.delta("test")[0], point.delta("general")[0]) for point in points]
    return [not any(other != one and other[0] >= one[0] and other[1] >= one[1] for other in both) for one in both]


def rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """One record a share."""
    found = []
    for point, best in zip(points, on_frontier(points), strict=True):
        row: dict[str, Any] = {"share": point.share, "general_pairs": point.general, "domain_queries": point.domain}
        for name, part in (("domain", "test"), ("general", "general")):
            mean, low, high = point.delta(part)
            row[name] = {"tuned": point.part[part]["tuned"][MAIN], "base": point.part[part]["base"][MAIN]}
            row[name] |= {"change": mean, "low": low, "high": high, "queries": point.part[part]["queries"]}
        found.append(row | {"frontier": best})
    return found


def table(found: Sequence[dict[str, Any]]) -> str:
    """The records as a Markdown table."""

    def apart(one: dict[str, Any]) -> str:
        return f"{one['tuned']:.4f} | {one['change']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})"

    domain, general = found[0]["domain"], found[0]["general"]
    head = (
        f"Base {MAIN}: {domain['base']:.4f} on {domain['queries']} domain queries, {general['base']:.4f} on "
        f"{general['queries']} general ones. Changes are tuned minus base, with 95 % intervals."
    )
    return "\n".join(
        [
            head,
            "",
            "| general share | general pairs | domain | domain gain | general | general change | frontier |",
            "|---|---|---|---|---|---|---|",
            *(
                f"| {row['share']:.0%} | {row['general_pairs']} for {row['domain_queries']} | {apart(row['domain'])} | "
                f"{apart(row['general'])} | {'yes' if row['frontier'] else 'no'} |"
                for row in found
            ),
        ]
    )


def _settings(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    pairs = [one.partition("=") for one in given]
    return {name: yaml.safe_load(value) for name, _, value in pairs}


@click.command(help=__doc__)
@click.option("--root", type=click.Path(path_type=Path), default=ROOT, help="Repository with the built data.  [default: this]")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder for the sweep; a rerun goes on there.")
@click.option("--share", "shares", type=click.FloatRange(0, 10), multiple=True, default=SHARES, show_default=True)
@click.option(
    "--queries", type=click.IntRange(min=0), default=0, help="Only so many synthetic queries, by hash.  [default: all]"
)
@click.option("--set", "knobs", multiple=True, callback=_settings, help="Another value of a knob, as train.epochs=1.")
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines in place of the table.")
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="Append the table to this file, as to LOG.md.")
def main(
    root: Path,
    work: Path,
    shares: Sequence[float],
    queries: int,
    knobs: dict[str, Any],
    as_lines: bool,  # noqa: FBT001
    log: Path | None,
) -> None:
    """Print one row a share."""
    found = rows(swept(Built(root.resolve(), work.resolve()), shares, knobs, queries))
    click.echo("\n".join(map(json.dumps, found)) if as_lines else table(found))
    if log:
        with log.open("a", encoding="utf-8") as file:
            file.write(entry(found, shlex.join(sys.argv[1:])))


def entry(found: Sequence[dict[str, Any]], flags: str) -> str:
    """The table as an entry of LOG.md: its date, and the command that gave it."""
    today = dt.datetime.now(tz=dt.UTC).date()
    return f"\n## {today}: domain gain against general loss\n\n`python benchmarks/forgetting.py {flags}`. {table(found)}\n"


if __name__ == "__main__":
    run(main)
