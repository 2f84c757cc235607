"""How much more training pairs bring: nDCG@10 of a recipe trained on 25, 50 and 100 % of a folder's, on any BEIR-format folder.

A part is drawn from the training queries, dev among them, by a hash of their ids, so that each holds the smaller ones. Test
queries and passages stay. One row a folder and share, the base first: what was gained over the base, and over the share before.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from folders import Data, data
from quality import ROOT, SYSTEMS, Settings, base, based, result, settings
from quality_rows import Result, interval, markdown

from burnish.errors import run
from burnish.evaluation import measures
from burnish.evaluation.measures import MAIN

SHARES = (25, 50, 100)


def rows(folder: Path, given: Data, parts: Mapping[int, Data], system: str, chosen: Settings) -> list[dict[str, Any]]:
    """The base and one row a share; `gain` is over the base, `more` over the row before, each with its interval.

    Args:
        folder: of the base model.
        given: the whole folder.
        parts: of it by share, in per cent, ascending.
        system: which recipe.
        chosen: its knobs.
    """
    untrained = last = result(base(folder, given, chosen), given)
    made = [_row(given, untrained) | {"system": "base", "share": 0, "training_queries": 0, "training_pairs": 0}]
    for share, part in parts.items():
        found = result(SYSTEMS[system](folder, part, chosen), given)
        own = {"training_queries": part.of("train", "dev").height, "training_pairs": part.pairs("train", "dev").height}
        made.append(_row(given, found) | {"system": system, "share": share} | own)
        for name, other in (("gain", untrained), ("more", last)):
            apart = measures.difference(found.values, other.values, seed=chosen.recipe.seed)
            three = {name: apart.mean, f"{name}_low": apart.low, f"{name}_high": apart.high}
            made[-1] |= {key: round(value, 4) for key, value in three.items()}
        last = found
    return made


def _row(given: Data, found: Result) -> dict[str, Any]:
    mean, seconds = round(float(found.values.mean()), 4), round(found.seconds, 1)
    return {"data": given.name, MAIN: mean, "seconds": seconds, "queries": len(found.values)}


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    titles = ["data", "system", "share", "training queries", "pairs", "nDCG@10", "minus base (95 % interval)"]
    titles += ["minus the row before (95 % interval)", "seconds", "test queries"]
    cells = [titles]
    for row in found:
        cells.append([row["data"], row["system"], f"{row['share']} %"])
        cells[-1] += [str(row["training_queries"]), str(row["training_pairs"]), f"{row[MAIN]:.4f}"]
        cells[-1] += [interval(row, name, f"{name}_low", f"{name}_high") for name in ("gain", "more")]
        cells[-1] += [f"{row['seconds']:.1f}", str(row["queries"])]
    return markdown(cells)


@click.command(help=__doc__)
@click.argument("folders", metavar="DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", help="Base model, a folder or `pypi:MODULE`.  [default: the params file's]")
@click.option("--params", type=click.Path(path_type=Path), default=ROOT / "params.yaml", help="File with the knobs.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of the trainings and the resampling.")
@click.option(
    "--share",
    "shares",
    type=click.IntRange(1, 100),
    multiple=True,
    default=SHARES,
    show_default=True,
    help="Of the training queries, in per cent; may be given several times.",
)
@click.option(
    "--system",
    type=click.Choice([name for name in SYSTEMS if name != "base"]),
    default="burnish",
    show_default=True,
    help="The recipe.",
)
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines in place of the table.")
def main(folders: Sequence[Path], model: str | None, params: Path, seed: int, shares: Sequence[int], system: str, as_lines: bool) -> None:  # fmt: skip  # noqa: FBT001
    """Print one row a folder and share."""
    chosen = settings(params, seed)
    given = [data(folder) for folder in folders]
    parts = [{share: one.part(share) for share in sorted(set(shares))} for one in given]  # refused before anything is trained
    with based(params, model, chosen) as folder:
        found = [row for one, own in zip(given, parts, strict=True) for row in rows(folder, one, own, system, chosen)]
    click.echo("\n".join(map(json.dumps, found)) if as_lines else table(found))


if __name__ == "__main__":
    run(main)
