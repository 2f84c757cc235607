"""Train a reranker on the training set and mined negatives, and re-rank what the tuned model finds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import click
import polars as pl
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.errors import run
from burnish.knobs import Knobs
from burnish.tables import PASSAGES, QRELS, QUERIES, RUNS


class RerankKnobs(Knobs):
    """The section `rerank` of params.yaml, where each knob is explained."""

    base: str
    depth: Annotated[int, Field(ge=2, le=100)]
    negatives: Annotated[int, Field(ge=1, le=32)]
    search_weights: Annotated[list[Annotated[float, Field(ge=0, le=1000)]], Field(min_length=1)]
    epochs: Annotated[int, Field(ge=1, le=100)]
    max_steps: Annotated[int, Field(ge=0, le=1_000_000)]
    batch_size: Annotated[int, Field(ge=2, le=4096)]
    learning_rate: Annotated[float, Field(gt=0, le=0.1)]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    max_tokens: Annotated[int, Field(ge=16, le=32_768)]
    seed: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Inputs:
    """Where the stage reads."""

    model: Path
    release: Path
    corpus: Path
    documents: Path
    general: Path
    rows: Path
    rule: Path
    passage_vectors: Path
    general_vectors: Path
    tuned_vectors: Path
    runs: Path
    test: Path
    store: Path
    checkpoints: Path


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `rerank` holds the knobs.")
@click.option("--model", type=click.Path(path_type=Path), required=True, help="Folder of the base model.")
@click.option("--release", type=click.Path(path_type=Path), required=True, help="Folder of the release.")
@click.option("--passages", "corpus", type=click.Path(path_type=Path), required=True, help="The corpus's passages.")
@click.option("--documents", type=click.Path(path_type=Path), required=True, help="The corpus's documents.")
@click.option("--general", type=click.Path(path_type=Path), required=True, help="The general set's passages.")
@click.option("--training", "rows", type=click.Path(path_type=Path), required=True, help="Folder of the training set.")
@click.option("--rule", type=click.Path(path_type=Path), required=True, help="File of the rule by which negatives are mined.")
@click.option("--passage-vectors", type=click.Path(path_type=Path), required=True, help="The base's vectors of the passages.")
@click.option("--general-vectors", type=click.Path(path_type=Path), required=True, help="The base's of the general passages.")
@click.option("--tuned-vectors", type=click.Path(path_type=Path), required=True, help="The release's vectors of the passages.")
@click.option("--runs", type=click.Path(path_type=Path), required=True, help="File of the runs.")
@click.option("--test", type=click.Path(path_type=Path), required=True, help="The test queries.")
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Folder of the store of vectors and scores.")
@click.option(
    "--checkpoints", type=click.Path(path_type=Path), required=True, help="Folder for checkpoints, which outlive a kill."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the reranker.")
@click.option("--reranked", type=click.Path(path_type=Path), required=True, help="Folder for its runs and counts.")
@click.option("--latency", type=click.Path(path_type=Path), required=True, help="Folder for how long a query takes here.")
def main(params: Path, out: Path, reranked: Path, latency: Path, **given: Path) -> None:
    """Training set, mining rule, runs of the tuned model -> reranker, its runs, its latency."""
    chosen = knobs.section(params, "rerank", RerankKnobs)
    with atomic.folder(out) as model, atomic.folder(reranked) as runs, atomic.folder(latency) as times:
        if chosen.base:
            made(chosen, Inputs(**given), model, runs, times)
        else:
            for path in (model / "reranker.json", runs / "counts.json", times / "latency.json"):
                atomic.write_json(path, {"on": False})
            click.echo("rerank: off (rerank.base is empty)")


def made(chosen: RerankKnobs, given: Inputs, out: Path, runs: Path, times: Path) -> None:
    """Train, choose the search's weight on dev queries, and read again what the release finds for the test queries."""
    # Torch takes seconds to import, and most repositories have no reranker.
    from burnish.embedding import models  # noqa: PLC0415
    from burnish.evaluation import reranked, scoring  # noqa: PLC0415
    from burnish.search.reranker import Reranker  # noqa: PLC0415
    from burnish.training import reranking  # noqa: PLC0415

    start = given.model if chosen.base == "base" else models.located(chosen.base, "rerank.base")
    recipe = reranking.Recipe(**chosen.model_dump(include=set(reranking.Recipe.__dataclass_fields__)))
    pairs = training_pairs(chosen, given)
    reranking.check(pairs)
    job = given.checkpoints / reranking.job_digest(recipe, pairs, models.digest(start))
    model = reranking.trained(start, pairs, recipe, what="rerank.base", checkpoints=job)
    passages = tables.read(PASSAGES, given.corpus)
    search = reranked.Search.of(given.release, passages, given.tuned_vectors, chosen.depth)
    domain = pl.col("origin") != "general"
    test = tables.read(QUERIES, given.test).filter(domain)
    dev = tables.read(QUERIES, given.rows / "queries.parquet").filter(domain, pl.col("split") == "dev")
    qrels = tables.read(QRELS, given.rows / "qrels.parquet")
    weight, on_dev = reranked.chosen_weight(model, search.run(dev), dev, qrels, passages, chosen.search_weights)
    found = tables.read(RUNS, given.runs)
    tuned = found.filter(pl.col("system") == "tuned", pl.col("query_id").is_in(test["query_id"].to_list()))
    again = reranked.reread(model, tuned, test, passages, chosen.depth)
    Reranker(model, chosen.depth, weight).save(out)
    both = {scoring.RERANKED: weight, reranked.ALONE: 0.0}
    tables.write(
        pl.concat([reranked.as_run(name, tuned, again.rows, one) for name, one in both.items()]), RUNS, runs / "runs.parquet"
    )
    counts = reranking.summary(recipe, pairs) | {"start": models.digest(start), "depth": chosen.depth}
    atomic.write_json(runs / "counts.json", {"on": True, "search_weight": weight, "dev": on_dev, "training": counts})
    times_of = {"search": search.milliseconds(test["text"].to_list()), "reranker": again.milliseconds}
    atomic.write_json(times / "latency.json", {"on": True, **reranked.latency(times_of, model.device)})
    click.echo(
        f"rerank: {pairs.height} pairs, {counts['steps']} steps; {again.rows.height} passages of {test.height} queries read again"
    )
    reranking.clean(job)


def training_pairs(chosen: RerankKnobs, given: Inputs) -> pl.DataFrame:
    """The pairs of domain and general set: as `train` has them, with negatives mined by the rule of `mine`."""
    from burnish.embedding import vectors  # noqa: PLC0415
    from burnish.training import negatives, pairs, parts  # noqa: PLC0415
    from burnish.training.mining import Rule  # noqa: PLC0415

    queries = tables.read(QUERIES, given.rows / "queries.parquet")
    qrels = tables.read(QRELS, given.rows / "qrels.parquet")
    read = parts.read(
        queries,
        given.documents,
        domain=(given.corpus, given.passage_vectors),
        general=(given.general, given.general_vectors),
    )
    known = vectors.by_id(given.rows / "vectors.parquet", queries["query_id"].to_list())
    rule = Rule.read(given.rule)
    rule = replace(rule, per_query=chosen.negatives, pool=max(rule.pool, chosen.negatives))
    mined, _ = negatives.of_parts(read, qrels, known, rule, negatives.relevance(rule, given.store))
    return pairs.labelled(read.values(), qrels, mined)


if __name__ == "__main__":
    run(main)
