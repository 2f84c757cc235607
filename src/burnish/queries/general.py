"""The general set, from MS MARCO's files: what keeps a model from forgetting general language, and measures it."""

from pathlib import Path

import polars as pl

from burnish import tables
from burnish.errors import InputError
from burnish.queries import formats
from burnish.queries.judgments import Judged
from burnish.tables import PASSAGES, QRELS, QUERIES, SPLITS


def general(root: Path, *, most: dict[str, int]) -> tuple[pl.DataFrame, Judged]:
    """(passages, judged queries) of a general set in MS MARCO's files.

    collection.tsv holds passage id and text; queries.SPLIT.tsv query id and text; qrels.SPLIT.tsv TREC's four columns.
    Queries beyond `most` are left out by a hash of their id, so that a larger number keeps the smaller number's choice;
    the passages of left-out queries stay, as distractors.

    Args:
        root: the folder of the files.
        most: at most so many queries of each split.
    """
    passages = pl.DataFrame(
        [(f"general:{name}", f"general:{name}", 0, "", "", text, 0) for name, text in formats.tsv(root / "collection.tsv", 2)],
        schema=PASSAGES.columns,
        orient="row",
    )
    queries, qrels = [], []
    for split in SPLITS:
        graded = [row for row in formats.grades(root / f"qrels.{split}.tsv") if row[2] > 0]
        texts = {fields[0]: fields[1] for fields in formats.tsv(root / f"queries.{split}.tsv", 2)}
        kept = set(sorted({row[0] for row in graded}, key=formats.digest)[: most[split]])
        if missing := kept - texts.keys():
            raise InputError(f"{root}/queries.{split}.tsv: judged query {min(missing)!r} is not there")
        queries += [(f"general:{name}", texts[name], "en", "general", split) for name in sorted(kept)]
        qrels += [
            (f"general:{query}", f"general:{target}", "passage", grade, 1.0, "general")
            for query, target, grade, _ in graded
            if query in kept
        ]
    frame = pl.DataFrame(qrels, schema=QRELS.columns, orient="row")
    unknown = frame.filter(~pl.col("target_id").is_in(passages["passage_id"].to_list()))
    if unknown.height:
        raise InputError(f"{root}: judgments name passage {unknown['target_id'][0]!r}, which collection.tsv does not hold")
    return tables.checked(passages, PASSAGES, str(root)), Judged(
        pl.DataFrame(queries, schema=QUERIES.columns, orient="row"), frame
    )
