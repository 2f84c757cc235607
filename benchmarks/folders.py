"""Folders in BEIR's format as the benchmarks read them: passages, queries and judgments, and parts of them."""

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import sides

from burnish import tables
from burnish.documents import sources
from burnish.documents.sources import BeirSource
from burnish.errors import InputError
from burnish.queries.curated import JudgmentFiles, curated
from burnish.queries.judgments import Shares
from burnish.tables import PASSAGES

DEV_SHARE = 0.1  # of the answers of training queries, drawn by hash


@dataclass(frozen=True)
class Data:
    """A folder in BEIR's format, its training queries cut into train and dev."""

    name: str
    passages: pl.DataFrame  # PASSAGES, one a record of corpus.jsonl, never cut
    queries: pl.DataFrame
    qrels: pl.DataFrame

    def of(self, *splits: str) -> pl.DataFrame:
        """The queries of `splits` that have an answer."""
        answered = self.qrels.filter(pl.col("grade") > 0)["query_id"].unique().to_list()
        return self.queries.filter(pl.col("split").is_in(splits), pl.col("query_id").is_in(answered))

    def pairs(self, *splits: str) -> pl.DataFrame:
        """Each query of `splits` with each of its answers: columns query_id, text, target_id; in the order of the ids."""
        answers = self.qrels.filter(pl.col("grade") > 0).select("query_id", "target_id")
        joined = self.of(*splits).select("query_id", "text").join(answers, on="query_id")
        return joined.sort("query_id", "target_id")

    def part(self, percent: int) -> "Data":
        """The same with so many of the training queries, dev among them, drawn by hash: a larger part holds the smaller.

        Raises:
            InputError: no query is left to train on, or to choose by.
        """
        asked = self.of("train", "dev")
        kept = asked[sides.sample(asked["query_id"].to_list(), round(asked.height * percent / 100))]
        made = replace(self, queries=pl.concat([kept, self.of("test")]))
        for split in ("train", "dev"):
            if not made.of(split).height:
                raise InputError(
                    f"{self.name}: of {asked.height} training queries {percent} % leave none for {split}; take a larger share"
                )
        return made


def data(folder: Path, *files: str) -> Data:
    """The folder's passages, queries and judgments.

    Args:
        folder: with corpus.jsonl, queries.jsonl and qrels/*.tsv. A passage is never cut here: what of it a model reads is the
            model's to say. Any grade above 0 is an answer; the measures count how high it is.
        files: which of qrels/*.tsv to read; none: train and test. Others, a dev.tsv or a second test set, are left alone.

    Raises:
        InputError: a file is missing or malformed, or there is no query to train on, to choose by or to test with.
    """
    files = files or ("train", "test")
    for file in files:
        if not (folder / "qrels" / f"{file}.tsv").is_file():
            raise InputError(f"{folder}/qrels/{file}.tsv: expected judgments in BEIR's format, found no such file; add it")
    found = sources.pending([BeirSource(kind="beir", path=str(folder.resolve()), language="en")], Path())
    rows = [(one.document_id, one.document_id, 0, one.title, "", str(one.content), 0) for one in found]
    passages = tables.checked(pl.DataFrame(rows, schema=PASSAGES.columns, orient="row"), PASSAGES, str(folder))
    graded = curated(
        [JudgmentFiles(queries="queries.jsonl", qrels=f"qrels/{file}.tsv", language="en") for file in sorted(files)],
        folder,
        passage_ids=frozenset(passages["passage_id"]),
        document_ids=frozenset(),
        shares=Shares(test=0.0, dev=0.0),
    )
    made = Data(folder.resolve().name, passages, _with_dev(graded.queries, graded.qrels), graded.qrels)
    for split, file in (("train", "train"), ("dev", "train"), ("test", "test")):
        if file in files and not made.of(split).height:
            raise InputError(f"{folder}/qrels/{file}.tsv: expected queries with an answer for {split}, found none")
    return made


def _with_dev(queries: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    """The queries, those of a share of the answers moved from train to dev.

    By answers, as such folders are mostly cut: where the test asks of other passages than training does, a dev set of the
    training's own passages would go on rising while the test falls.
    """
    first = qrels.filter(pl.col("grade") > 0).group_by("query_id").agg(pl.col("target_id").min())
    asked = queries.filter(pl.col("split") == "train").join(first, on="query_id")
    answers = asked["target_id"].unique().sort()
    drawn = answers[sides.sample(answers.to_list(), max(1, round(answers.len() * DEV_SHARE)))]
    dev = asked.filter(pl.col("target_id").is_in(drawn.implode()))["query_id"]
    split = pl.when(pl.col("query_id").is_in(dev.implode())).then(pl.lit("dev")).otherwise("split")
    return queries.with_columns(split.alias("split"))
