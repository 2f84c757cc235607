"""What `dvc repro` made of a domain, as far as the queue for experts asks."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from burnish import tables
from burnish.errors import InputError
from burnish.evaluation import measures
from burnish.queries.labelling import Allowed
from burnish.synthesis.verdicts import REFUSED
from burnish.tables import NEGATIVES, PASSAGES, QRELS, QUERIES, RUNS, VERDICTS


@dataclass(frozen=True)
class Built:
    """What the pipeline knows of the domain; the general set is nobody's to judge here."""

    queries: pl.DataFrame  # QUERIES
    qrels: pl.DataFrame  # QRELS
    passages: pl.DataFrame  # PASSAGES
    scored: pl.DataFrame  # pairs that the judge of synthetic queries scored, as `scored` gives them
    negatives: pl.DataFrame  # NEGATIVES
    runs: pl.DataFrame  # RUNS, of the full-width systems
    clicks: pl.DataFrame  # QRELS, in the logs' own words: documents that `mix` has not made passages, and non-answers

    def of_test(self) -> pl.DataFrame:
        """The judgments of test queries, by document where any of them names one, as they are measured."""
        test = self.queries.filter(pl.col("split") == "test")["query_id"].to_list()
        own = self.qrels.filter(pl.col("query_id").is_in(test))
        return measures.of_unit(own, self.passages, by_document=self.by_document())

    def by_document(self) -> bool:
        """Whether test queries are measured over documents."""
        test = self.queries.filter(pl.col("split") == "test")["query_id"].to_list()
        return measures.judged_by_document(self.qrels.filter(pl.col("query_id").is_in(test)))


def built(root: Path) -> Built:
    """What `dvc repro` made below `root`.

    Raises:
        InputError: it is not built yet.
    """
    last = root / "data/runs/runs.parquet"
    if not last.is_file():
        raise InputError(f"{last}: the runs are not there; run `dvc repro`, then ask again")
    parts = [root / "data/mixed" / name for name in ("training", "test")]
    queries = pl.concat([tables.read(QUERIES, part / "queries.parquet") for part in parts], how="diagonal")
    queries = queries.filter(pl.col("origin") != "general").sort("query_id")
    ids = queries["query_id"].to_list()
    qrels = pl.concat([tables.read(QRELS, part / "qrels.parquet") for part in parts])
    own = pl.col("query_id").is_in(ids)
    return Built(
        queries,
        qrels.filter(own),
        tables.read(PASSAGES, root / "data/corpus/passages.parquet"),
        scored(root / "data/synthetic"),
        tables.read(NEGATIVES, root / "data/negatives/negatives.parquet").filter(own),
        tables.read(RUNS, last).filter(own, ~pl.col("system").str.contains("@", literal=True)),
        tables.read(QRELS, root / "data/collected/qrels.parquet").filter(own, pl.col("origin") == "clicks"),
    )


def scored(synthetic: Path) -> pl.DataFrame:
    """The pairs that the judge scored: columns query_id, passage_id, text (the query's), score (1 to 10), passed.

    Without a judge there are none. Queries that `mix` dropped later are among them.

    Args:
        synthetic: the folder that `synthesize` wrote.

    Raises:
        InputError: a table is missing; where queries have scores, that of the refused pairs too.
    """
    queries, qrels = tables.read(QUERIES, synthetic / "queries.parquet"), tables.read(QRELS, synthetic / "qrels.parquet")
    scores, beside = tables.read(VERDICTS, synthetic / "verdicts.parquet"), synthetic / "refused.parquet"
    passed = qrels.join(scores, on="query_id").join(queries, on="query_id", validate="m:1")
    parts = [passed.select("query_id", pl.col("target_id").alias("passage_id"), "text", "score", passed=pl.lit(value=True))]
    if scores.height or beside.is_file():
        parts.append(tables.read(REFUSED, beside).with_columns(passed=pl.lit(value=False)))
    return pl.concat(parts).sort("query_id", "passage_id")


def allowed(root: Path, highest: int) -> Allowed:
    """What a filled-in queue may name: any query below `root`, also one that `mix` dropped or the judge refused."""
    made = [tables.read(QUERIES, root / "data" / name / "queries.parquet")["query_id"] for name in ("collected", "synthetic")]
    made.append(scored(root / "data/synthetic")["query_id"])
    passages = tables.read(PASSAGES, root / "data/corpus/passages.parquet")
    targets = {*passages["passage_id"], *passages["document_id"]}
    return Allowed(frozenset(pl.concat(made)), frozenset(targets), highest)
