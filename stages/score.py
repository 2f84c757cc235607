"""Measure every run and gather every stage's counts: all that Git tracks of results."""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import click
import polars as pl
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.errors import run
from burnish.evaluation import scoring
from burnish.knobs import Knobs
from burnish.tables import PASSAGES, QRELS, QUERIES, RUNS


class ScoreKnobs(Knobs):
    """The section `score` of params.yaml, where each knob is explained."""

    seed: Annotated[int, Field(ge=0)]
    min_slice: Annotated[int, Field(ge=2)]


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `score` holds the knobs.")
@click.option("--corpus", type=click.Path(path_type=Path), required=True, help="Folder of documents and passages.")
@click.option("--collected", type=click.Path(path_type=Path), required=True, help="Folder of the general set's passages.")
@click.option("--mixed", type=click.Path(path_type=Path), required=True, help="Folder of queries and judgments.")
@click.option("--runs", type=click.Path(path_type=Path), required=True, help="Folder of the runs.")
@click.option("--reranked", type=click.Path(path_type=Path), required=True, help="Folder of the reranker's runs and counts.")
@click.option("--latency", type=click.Path(path_type=Path), required=True, help="Folder of the reranker's latency.")
@click.option("--synthetic", type=click.Path(path_type=Path), required=True, help="Folder of the synthesis's counts.")
@click.option("--negatives", type=click.Path(path_type=Path), required=True, help="Folder of the mining's counts.")
@click.option("--curves", type=click.Path(path_type=Path), required=True, help="Folder of the learning curve.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the metrics.")
def main(params: Path, corpus: Path, collected: Path, mixed: Path, runs: Path, reranked: Path, latency: Path, synthetic: Path, negatives: Path, curves: Path, out: Path) -> None:  # fmt: skip
    """Runs, qrels, every stage's counts -> metrics and curves."""
    chosen = knobs.section(params, "score", ScoreKnobs)
    parts = (mixed / "training", mixed / "test")
    queries = pl.concat([tables.read(QUERIES, part / "queries.parquet") for part in parts], how="diagonal")
    qrels = pl.concat([tables.read(QRELS, part / "qrels.parquet") for part in parts])
    found = tables.read(RUNS, runs / "runs.parquet")
    passages = tables.read(PASSAGES, corpus / "passages.parquet")
    general_passages = tables.read(PASSAGES, collected / "general_passages.parquet")
    test = queries.filter(pl.col("split") == "test")
    general = pl.col("origin") == "general"
    domain = scoring.scored(found, test.filter(~general), qrels, passages)
    kept = scoring.scored(found, test.filter(general), qrels, general_passages)
    slices = scoring.slices(domain, queries, qrels, passages, general_passages, seed=chosen.seed, min_slice=chosen.min_slice)
    metrics: dict[str, Any] = {
        "retrieval": {"test": scoring.table(domain, seed=chosen.seed), "general": scoring.table(kept, seed=chosen.seed)},
        "widths": scoring.widths(domain, json.loads((runs / "counts.json").read_text(encoding="utf-8"))["full_width"]),
        "slices": slices,
    }
    sources = {
        "corpus": corpus,
        "judgments": collected,
        "synthesis": synthetic,
        "training_set": mixed,
        "mining": negatives,
        "training": curves,
    }
    reranker = json.loads((reranked / "counts.json").read_text(encoding="utf-8"))
    if reranker["on"]:
        tuned = found.filter(pl.col("system") == "tuned")
        runs_again = pl.concat([tuned, tables.read(RUNS, reranked / "runs.parquet")])
        both = scoring.scored(runs_again, test.filter(~general), qrels, passages)
        reranker["test"] = scoring.reranking(both, seed=chosen.seed)
    metrics["reranker"] = reranker
    metrics["latency"] = json.loads((latency / "latency.json").read_text(encoding="utf-8"))
    metrics |= {name: json.loads((folder / "counts.json").read_text(encoding="utf-8")) for name, folder in sources.items()}
    with atomic.folder(out) as made:
        for name, value in metrics.items():
            atomic.write_json(made / f"{name}.json", value)
        shutil.copyfile(curves / "learning_curve.csv", made / "learning_curve.csv")
        scoring.recall_curves(domain).write_csv(made / "recall_curve.csv", float_precision=4)
    delta = metrics["retrieval"]["test"]["delta"]
    click.echo(
        f"score: nDCG@10 {delta['ndcg@10']:+.4f} [{delta['ndcg@10_low']:+.4f}, {delta['ndcg@10_high']:+.4f}] "
        f"on {delta['queries']} test queries ({metrics['retrieval']['test']['origin']})"
    )


if __name__ == "__main__":
    run(main)
