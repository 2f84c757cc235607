"""What the judge said of the queries that were made, as tables: scores of what it passed, and the pairs that it refused.

The contract REFUSED stands here and not in tables.py: `synthesize` and the queue for experts alone know this table.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from burnish.spelling import spelling
from burnish.synthesis.pairs import Made, query_name
from burnish.synthesis.subjects import Subject
from burnish.tables import VERDICTS, Table

REFUSED = Table(
    "refused", {"query_id": pl.String, "passage_id": pl.String, "text": pl.String, "score": pl.Int8}, keys=2
)  # pairs of a query and a passage below judge.threshold, each with its lowest score, 1 to 9

Scored = Sequence[tuple[Subject, str, int]]  # a query that was made for a subject, and its score


def passed_queries(queries: pl.DataFrame, lowest: Mapping[str, int]) -> pl.DataFrame:
    """The score of each of `queries` that a judge passed, as VERDICTS.

    Args:
        queries: QUERIES, those that are left.
        lowest: scores by `spelling` of the text.
    """
    scores = [(query_id, lowest.get(spelling(text))) for query_id, text in queries.select("query_id", "text").iter_rows()]
    return pl.DataFrame(scores, VERDICTS.columns, orient="row").drop_nulls()


def refused_pairs(refused: Scored, passed: Made, queries: pl.DataFrame) -> pl.DataFrame:
    """What the judge refused, as REFUSED, for experts alone: nothing here is trained on.

    A text that is a query all the same, since other passages answer it, goes by that query's id. Any other goes by the id that
    it gets as soon as a lower threshold lets it in, so that an expert's grade of it counts from then on. A pair that the judge passed
    too, by another excerpt of the passage, is not refused.

    Args:
        refused: what is below the threshold.
        passed: what is not.
        queries: QUERIES, those that are left.
    """
    answers = {(spelling(text), one) for subject, texts in passed for text in texts for one in subject.passage_ids}
    named = {spelling(text): (query_id, text) for query_id, text in queries.select("query_id", "text").iter_rows()}
    lowest: dict[tuple[str, str, str], int] = {}
    for subject, text, score in sorted(refused, key=lambda one: -one[2]):  # of several spellings the best is let in first
        own = spelling(text)
        query_id, shown = named.setdefault(own, (query_name(subject, text), text))
        for passage_id in subject.passage_ids:
            if (own, passage_id) not in answers:
                pair = (query_id, passage_id, shown)
                lowest[pair] = min(score, lowest.get(pair, score))
    return pl.DataFrame([(*pair, score) for pair, score in lowest.items()], REFUSED.columns, orient="row").sort(REFUSED.key)
