"""The labelled pairs that a reranker learns: each training query with its answers, and with mined negatives."""

from collections.abc import Mapping, Sequence

import polars as pl

from burnish import tables
from burnish.arrays import Vectors
from burnish.training.parts import Part

_SCHEMA = {"query": pl.String, "passage": pl.String, "label": pl.Float64}


def labelled(
    parts: Sequence[Part],
    qrels: pl.DataFrame,
    mined: pl.DataFrame,
    query_vectors: Mapping[str, Vectors],
    *,
    negatives: int,
    max_share: float,
) -> pl.DataFrame:
    """The pairs: columns query, passage, label; the label is the judgment's weight for an answer, less than 0 for a negative.

    A query's negatives are its own mined ones, then those of the other queries of its passages: what is hard for one of them
    is near the others too. Such a one is left out where the mining rule would take it for an answer. The negatives of a query
    weigh as its answers do on average.

    Args:
        parts: the domain and the general set, with the base's vectors.
        qrels: all judgments.
        mined: NEGATIVES.
        query_vectors: the base's by query id, each of shape (dimensions,).
        negatives: the most that a query gets.
        max_share: share of the positive's score above which a passage is likely an unjudged answer (see mining.Rule).
    """
    own: dict[str, list[str]] = {}
    for query, passage in mined.sort("rank", "query_id", "passage_id").select("query_id", "passage_id").iter_rows():
        own.setdefault(query, []).append(passage)
    rows: list[tuple[str, str, float]] = []
    for part in parts:
        rows += _of_part(part, qrels, own, query_vectors, negatives, max_share)
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _of_part(
    part: Part,
    qrels: pl.DataFrame,
    own: Mapping[str, Sequence[str]],
    query_vectors: Mapping[str, Vectors],
    negatives: int,
    max_share: float,
) -> list[tuple[str, str, float]]:
    place = {name: at for at, name in enumerate(part.passages["passage_id"])}
    document = dict(part.passages.select("passage_id", "document_id").iter_rows())
    texts = tables.embedded_text(part.passages)
    train = part.queries.filter(pl.col("split") == "train").select("query_id", "text")
    judged = train.join(qrels.filter(pl.col("grade") > 0), on="query_id").sort("query_id", "target_id")
    answers: dict[str, set[str]] = {}
    for query, target in judged.select("query_id", "target_id").iter_rows():
        answers.setdefault(query, set()).add(target)
    positive = judged.filter(pl.col("unit") == "passage")
    siblings: dict[str, list[str]] = {}
    for query, target in positive.select("query_id", "target_id").iter_rows():
        siblings.setdefault(target, []).append(query)
    rows = []
    for (key, asking), group in positive.group_by(["query_id", "text"], maintain_order=True):
        query, text = str(key), str(asking)
        targets, weights = group["target_id"].to_list(), group["weight"].to_list()
        rows += [(text, texts[place[target]], weight) for target, weight in zip(targets, weights, strict=True)]
        asked = query_vectors[query]
        most = max_share * min(float(asked @ part.vectors[place[target]]) for target in targets)
        others = [found for target in targets for other in siblings[target] if other != query for found in own.get(other, [])]
        allowed = [one for one in others if float(asked @ part.vectors[place[one]]) <= most]
        chosen = [
            one
            for one in dict.fromkeys([*own.get(query, []), *allowed])
            if one not in answers[query] and document[one] not in answers[query]
        ]
        weight = sum(weights) / len(weights)
        rows += [(text, texts[place[one]], -weight) for one in chosen[:negatives]]
    return rows
