"""From runs to the figures that reviewers read."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from burnish.errors import InputError
from burnish.evaluation import measures
from burnish.evaluation import slices as slicing
from burnish.evaluation.measures import MAIN

BYTES_PER_DIMENSION = 4  # float32
RERANKED = "tuned + reranker"  # the system of a reranker over the tuned model's first passages


@dataclass(frozen=True)
class Scored:
    """The runs of one set of queries, measured query by query."""

    queries: pl.DataFrame  # QUERIES, of the test split
    qrels: pl.DataFrame  # query_id, target_id, grade
    runs: dict[str, pl.DataFrame]  # by system: query_id, target_id, score
    values: dict[str, pl.DataFrame]  # by system: query_id and one column for each measure

    def mean(self, system: str, measure: str) -> float:
        """The mean of a measure over the queries."""
        return measures.mean_of(self.values[system], measure)

    def means(self, system: str) -> dict[str, float]:
        """The mean of every measure, and how much of the system's first ten is judged."""
        return measures.means(self.values[system], self.runs[system], self.qrels)


def scored(runs: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, passages: pl.DataFrame) -> Scored:
    """Every system's run over `queries`, measured over what the judgments name, passages or documents.

    Args:
        runs: RUNS.
        queries: the test queries of one collection.
        qrels: QRELS, of any queries.
        passages: the collection's passages.
    """
    ids = queries["query_id"].to_list()
    own = qrels.filter(pl.col("query_id").is_in(ids))
    by_document = measures.judged_by_document(own)
    truth = measures.of_unit(own, passages, by_document=by_document)
    if ids and not truth.filter(pl.col("grade") > 0).height:
        raise InputError(f"none of {len(ids)} test queries has an answer, a grade above 0; add one to the judgments")
    mine = runs.filter(pl.col("query_id").is_in(ids))
    systems = mine["system"].unique(maintain_order=True).to_list()
    lists = {
        name: measures.of_targets(mine.filter(pl.col("system") == name), passages, by_document=by_document) for name in systems
    }
    return Scored(queries, truth, lists, {name: measures.by_query(run, truth) for name, run in lists.items()})


def table(found: Scored, *, seed: int) -> dict[str, Any]:
    """The means of each full-width system, and tuned against base with interval, p and the detectable difference."""
    if not found.values:
        return {}
    means: dict[str, Any] = {name: found.means(name) for name in found.values if "@" not in name}
    means["delta"] = _delta(found, "tuned", "base", seed)
    origins = found.queries["origin"].unique().sort().to_list()
    return means | {"origin": ", ".join(origins), "queries": means["delta"]["queries"]}


def reranking(found: Scored, *, seed: int) -> dict[str, Any]:
    """The means of each system, and tuned with its reranker against tuned alone."""
    means: dict[str, Any] = {name: found.means(name) for name in found.values}
    return means | {"delta": _delta(found, RERANKED, "tuned", seed)}


def _delta(found: Scored, system: str, other: str, seed: int) -> dict[str, Any]:
    apart = measures.difference(found.values[system][MAIN].to_numpy(), found.values[other][MAIN].to_numpy(), seed=seed)
    return {
        MAIN: apart.mean,
        f"{MAIN}_low": apart.low,
        f"{MAIN}_high": apart.high,
        f"{MAIN}_p": apart.p,
        f"{MAIN}_detectable": apart.detectable,
        "relative": apart.mean / mean if (mean := found.mean(other, MAIN)) else 0.0,
        "queries": apart.queries,
    }


def widths(found: Scored, full_width: int) -> dict[str, Any]:
    """What each Matryoshka width keeps of the full width's nDCG@10, beside the base at the same width, and what it costs."""
    full = found.mean("tuned", MAIN)
    systems = {full_width: "tuned"} | {int(name.split("@")[1]): name for name in found.values if name.startswith("tuned@")}
    return {
        str(width): {
            MAIN: found.mean(name, MAIN),
            "kept": found.mean(name, MAIN) / full if full else 0.0,
            f"base_{MAIN}": found.mean(name.replace("tuned", "base"), MAIN),
            "bytes_per_passage": width * BYTES_PER_DIMENSION,
        }
        for width, name in systems.items()
    }


def slices(
    found: Scored,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    passages: pl.DataFrame,
    general_passages: pl.DataFrame,
    *,
    seed: int,
    min_slice: int,
) -> dict[str, Any]:
    """Tuned against base within each slice of at least `min_slice` queries."""
    seen = slicing.seen_queries(queries, qrels, passages)
    terms = slicing.domain_words(passages["text"], general_passages["text"])
    labelled = slicing.labels(found.queries, seen, terms)
    both = (
        found.values["base"]
        .select("query_id", base=MAIN)
        .join(found.values["tuned"].select("query_id", tuned=MAIN), on="query_id")
    )
    rows: dict[str, Any] = {}
    for (name, label), part in (
        labelled.join(both, on="query_id").sort("slice", "label", "query_id").group_by("slice", "label", maintain_order=True)
    ):
        if part.height < min_slice:
            continue
        apart = measures.difference(part["tuned"].to_numpy(), part["base"].to_numpy(), seed=seed)
        rows.setdefault(str(name), {})[str(label)] = {
            "queries": part.height,
            "base": part["base"].mean(),
            "tuned": part["tuned"].mean(),
            "delta": apart.mean,
            "low": apart.low,
            "high": apart.high,
        }
    return rows


def recall_curves(found: Scored) -> pl.DataFrame:
    """Recall at each depth of each full-width system: columns system, k, recall."""
    rows = [
        (name, k, recall)
        for name, run in found.runs.items()
        if "@" not in name
        for k, recall in measures.recall_curve(run, found.qrels).items()
    ]
    return pl.DataFrame(rows, schema={"system": pl.String, "k": pl.Int64, "recall": pl.Float64}, orient="row")
