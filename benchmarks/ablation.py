"""What each origin of training pairs, and each part of the recipe, brings: training without it, on a built repository.

Each variant runs the pipeline's own stages mix, mine, train and embed in a temporary folder, with one knob changed, and is
judged on the same test queries. The built repository is read and never written to. Variants run one after another; each takes as long as
`dvc repro mix` to `embed-tuned`.
"""

import json
import runpy
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import yaml

from burnish import tables
from burnish.embedding import vectors
from burnish.errors import InputError, run
from burnish.evaluation import measures, scoring
from burnish.evaluation.measures import MAIN
from burnish.search import retrieval
from burnish.tables import ORIGINS, PASSAGES, QRELS, QUERIES
from burnish.training.mining import negatives_for

ROOT = Path(__file__).parents[1]
DEPTH = 300
NEVER = 1e9  # a threshold that no score reaches


@dataclass(frozen=True)
class Place:
    """A built repository."""

    root: Path
    params: Path

    def path(self, name: str) -> Path:
        """A file or folder of the pipeline."""
        return self.root / name

    def read(self, table: tables.Table, name: str) -> pl.DataFrame:
        """A table of the pipeline."""
        return tables.read(table, self.path(name))


@dataclass(frozen=True)
class Result:
    """nDCG@10 of each test query, of the domain and of the general set, and the seconds that mix to train took."""

    domain: dict[str, float]
    general: dict[str, float]
    seconds: float


# The parts of the recipe, and the knobs of a training without them. The turn for narrow widths is none of them: it leaves the full
# width, which is judged here, as it is.
PARTS: dict[str, dict[str, Any]] = {
    "mining": {"mine.per_query": 0},
    "likely-answer-rule": {"mine.max_share": 2.0},
    "mask": {"train.false_negative_threshold": NEVER},
    "likeness": {"train.false_negative_likeness": -1.0},
    "interpolation": {"train.interpolation": [1.0]},
}


def changes(place: Place, name: str) -> dict[str, Any]:
    """The knobs of the variant `name`: one without an origin or a part, or with a knob changed (`knob=value`).

    Raises:
        InputError: it is none of these, or not another recipe than the whole one.
    """
    if name in ORIGINS:
        return {f"mix.weights.{name}": 0.0}
    knob, changed, value = name.partition("=")
    knobs = {knob: yaml.safe_load(value)} if changed else PARTS[name]
    if all(_knob(place, one) == two for one, two in knobs.items()):
        raise InputError(f"{name}: the recipe is so already; choose another variant")
    return knobs


def _knob(place: Place, name: str) -> Any:
    """The value of a knob in the repository's params; of `mine.per_query` what `auto` comes to.

    Raises:
        InputError: there is none.
    """
    found = yaml.safe_load(place.params.read_text(encoding="utf-8"))
    for one in name.split("."):
        if not isinstance(found, dict) or one not in found:
            raise InputError(f"{place.params}: expected the knob `{name}`, found none")
        found = found[one]
    if (name, found) == ("mine.per_query", "auto"):
        rows = place.path("data/mixed/training")
        return negatives_for(tables.read(QUERIES, rows / "queries.parquet"), tables.read(QRELS, rows / "qrels.parquet"))
    return found


def write_params(place: Place, knobs: dict[str, Any], path: Path) -> None:
    """The repository's params with some knobs changed."""
    params = yaml.safe_load(place.params.read_text(encoding="utf-8"))
    for name, value in knobs.items():
        *sections, knob = name.split(".")
        section = params
        for one in sections:
            section = section[one]
        section[knob] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def stage(name: str, **flags: Path | tuple[Path, ...]) -> None:
    """Run a stage of the pipeline in this process, flags that are not given at their defaults."""
    command = runpy.run_path(str(ROOT / "stages" / f"{name}.py"))["main"]
    command.callback(**{one.name: one.default for one in command.params if not one.required} | flags)


def trained(place: Place, knobs: dict[str, Any], folder: Path) -> Result:
    """The result of the pipeline with some knobs changed; everything it makes goes into `folder`."""
    start = time.perf_counter()
    params = folder / "params.yaml"
    write_params(place, knobs, params)
    corpus, collected, base = place.path("data/corpus"), place.path("data/collected"), place.path("data/vectors/base")
    passages, general = corpus / "passages.parquet", collected / "general_passages.parquet"
    mixed, negatives, tuned = folder / "mixed", folder / "negatives", folder / "tuned"
    of_base = {"passage_vectors": base / "passages.parquet", "general_vectors": base / "general.parquet"}
    stage("mix", params=params, corpus=corpus, collected=collected, synthetic=place.path("data/synthetic"), embedded=base, out=mixed)  # fmt: skip
    store = folder / "store"
    stage(
        "mine",
        params=params,
        corpus=passages,
        documents=corpus / "documents.parquet",
        general=general,
        training=mixed / "training",
        store=store,
        out=negatives,
        **of_base,
    )
    stage(
        "train",
        params=params,
        model=place.path("models/base"),
        corpus=passages,
        documents=corpus / "documents.parquet",
        general=general,
        rows=mixed / "training",
        negatives=negatives,
        store=store,
        checkpoints=folder / "checkpoints",
        out=tuned,
        curves=folder / "curves",
        **of_base,
    )
    seconds = time.perf_counter() - start
    asked = mixed / "test/queries.parquet"
    stage(
        "embed",
        params=params,
        model=tuned,
        passages=passages,
        general=general,
        queries=(asked,),
        store=store,
        out=folder / "vectors",
    )
    return judged(place, mixed, folder / "vectors", seconds)


def judged(place: Place, mixed: Path, embedded: Path, seconds: float) -> Result:
    """nDCG@10 of the vectors in `embedded` for each test query of the folder `mixed`."""
    queries, qrels = (
        tables.read(kind, mixed / "test" / name) for kind, name in ((QUERIES, "queries.parquet"), (QRELS, "qrels.parquet"))
    )
    found: list[dict[str, float]] = []
    for name, corpus, own in (
        ("passages", "data/corpus/passages.parquet", queries.filter(pl.col("origin") != "general")),
        ("general", "data/collected/general_passages.parquet", queries.filter(pl.col("origin") == "general")),
    ):
        passages = place.read(PASSAGES, corpus)
        if not own.height:
            found.append({})
            continue
        asked = vectors.read(embedded / "queries.parquet", own["query_id"].to_list())
        stored = vectors.read(embedded / f"{name}.parquet", passages["passage_id"].to_list())
        runs = retrieval.dense_run("model", own, passages, asked, stored, width=stored.shape[1], depth=DEPTH)
        values = scoring.scored(runs, own, qrels, passages).values["model"]
        found.append(dict(values.select("query_id", MAIN).iter_rows()))
    return Result(found[0], found[1], seconds)


def averaged(results: Sequence[Result]) -> Result:
    """The mean over several seeds, of each query."""

    def mean(parts: list[dict[str, float]]) -> dict[str, float]:
        return {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}

    return Result(
        mean([one.domain for one in results]), mean([one.general for one in results]), sum(one.seconds for one in results)
    )


def row(name: str, whole: Result, other: Result) -> dict[str, Any]:
    """A variant's means, and what the whole has over it on the queries that both were judged on."""
    made: dict[str, Any] = {"variant": name, "seconds": round(other.seconds, 1)}
    for part in ("domain", "general"):
        one, two = getattr(whole, part), getattr(other, part)
        shared = sorted(one.keys() & two.keys())
        if not shared:
            continue
        left, right = (np.array([values[query] for query in shared]) for values in (one, two))
        made[part] = {MAIN: round(float(right.mean()), 4), "queries": len(shared)}
        if other is not whole:
            apart = measures.difference(left, right)
            made[part] |= {
                "gain" if key == "mean" else key: round(getattr(apart, key), 4) for key in ("mean", "low", "high", "p")
            }
    return made


def variants(place: Place, wanted: Sequence[str]) -> list[str]:
    """The names of the variants: those wanted, or every origin that is trained on and every part that the recipe has.

    Raises:
        InputError: an origin has no training query, so that leaving it out would change nothing.
    """
    known = place.path("data/mixed/counts.json")
    if not known.is_file():
        raise InputError(f"{known}: the repository is not built; run `dvc repro mix`, or give --root")
    used = _used(place)
    for name in wanted:
        if name in ORIGINS and name not in used:
            raise InputError(f"--without {name}: no training query has this origin; there are {sorted(used)}")
    for name in wanted:
        changes(place, name)
    return list(wanted) or [*sorted(used), *(name for name in PARTS if _is_used(place, name))]


def _is_used(place: Place, name: str) -> bool:
    """Whether the recipe has a part; the rule for mined negatives is none where nothing is mined."""
    if name == "likely-answer-rule" and not _knob(place, "mine.per_query"):
        return False
    return any(_knob(place, one) != two for one, two in PARTS[name].items())


def _used(place: Place) -> dict[str, int]:
    found: dict[str, int] = json.loads(place.path("data/mixed/counts.json").read_text(encoding="utf-8"))["used"]
    return found


def leaves_nothing(place: Place, name: str) -> bool:
    """Whether no domain query is left to train on without the origin `name`: what is left is the base."""
    used = _used(place)
    return name in used and not set(used) - {name, "general"}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table; a gain is what the whole has over the variant."""
    titles = [f"{part} {title}" for part in ("domain", "general") for title in (MAIN, "gain (95 % interval)", "p", "queries")]
    lines = [f"| variant | {' | '.join(titles)} | seconds |", f"|{'---|' * (len(titles) + 2)}"]
    for one in rows:
        cells = []
        for part in ("domain", "general"):
            found = one.get(part, {})
            gain = f"{found['gain']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f})" if "gain" in found else ""
            p = f"{found['p']:.4f}" if "p" in found else ""
            cells += [f"{found[MAIN]:.4f}" if found else "", gain, p, str(found.get("queries", 0))]
        lines.append(f"| {one['variant']} | {' | '.join(cells)} | {one['seconds']:.0f} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option(
    "--root", type=click.Path(path_type=Path), default=ROOT, help="Folder of a built repository.  [default: this one]"
)
@click.option("--params", type=click.Path(path_type=Path), help="File with the knobs.  [default: the repository's params.yaml]")
@click.option(
    "--without",
    type=click.Choice([*ORIGINS, *PARTS]),
    multiple=True,
    help="An origin or a part; may be given several times.  [default: each there is]",
)
@click.option("--change", multiple=True, metavar="KNOB=VALUE", help="A knob with another value, such as mine.per_query=1.")
@click.option("--seed", "seeds", type=click.IntRange(min=0), multiple=True, help="Of training; of several the mean counts.  [default: the params']")  # fmt: skip
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines in place of the table.")
def main(
    root: Path,
    params: Path | None,
    without: tuple[str, ...],
    change: tuple[str, ...],
    seeds: tuple[int, ...],
    as_lines: bool,  # noqa: FBT001
) -> None:
    """Print one row a variant, the whole recipe and the base among them."""
    place = Place(root.resolve(), params or root / "params.yaml")
    names = variants(place, [*without, *change])
    base = judged(place, place.path("data/mixed"), place.path("data/vectors/base"), 0.0)

    def result(knobs: dict[str, Any]) -> Result:
        of_seeds = []
        for seed in seeds or (None,):
            folder = Path(tempfile.mkdtemp())
            try:
                of_seeds.append(trained(place, knobs | ({} if seed is None else {"train.seed": seed}), folder))
            finally:
                shutil.rmtree(folder)
        return averaged(of_seeds)

    with redirect_stdout(sys.stderr):  # stages and trainers log to standard output
        whole = result({})
        rows = [row("the recipe", whole, whole)]
        for name in names:
            other = base if leaves_nothing(place, name) else result(changes(place, name))
            rows.append(row(name, whole, other))
            click.echo(json.dumps(rows[-1]), err=True)  # what an interrupted run has found
        rows.append(row("base", whole, base))
    click.echo("\n".join(map(json.dumps, rows)) if as_lines else table(rows))


if __name__ == "__main__":
    run(main)
