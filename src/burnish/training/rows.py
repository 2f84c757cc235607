"""The rows to train on: each query with its positive and its passage's negatives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from datasets import Dataset
from numpy.typing import NDArray

from burnish import tables
from burnish.arrays import Vectors
from burnish.training.masks import FalseNegatives, Suspicion
from burnish.training.parts import Part

_NOTHING = "."  # a text where a row has no further negative: short, of at least one token in any tokenizer, and masked


@dataclass(frozen=True)
class TrainingSet:
    """The rows to train on.

    Attributes:
        queries: shape (rows,).
        passages: the positive and the negatives of each row, as places in `texts`; shape (rows, 1 + negatives). A row with
            fewer negatives than others repeats its positive at the end.
        texts: the passages' texts.
        masks: which passages of a batch may not be a row's negatives.
        weights: what each row counts in the loss, above 0, shape (rows,).
        taught: a teacher's scores of each row's passages, shape as `passages`; None without a teacher.
    """

    queries: Sequence[str]
    passages: NDArray[np.int64]
    texts: Sequence[str]
    masks: FalseNegatives
    weights: NDArray[np.float32]
    taught: Vectors | None = None

    def dataset(self) -> Dataset:
        """The rows as the trainer takes them: query, positive, negatives, and the row number as label."""
        own = self.passages[:, 0]
        columns = {
            f"negative_{column}": [
                _NOTHING if at == positive else self.texts[at]
                for at, positive in zip(self.passages[:, column], own, strict=True)
            ]
            for column in range(1, self.passages.shape[1])
        }
        pairs = {"query": list(self.queries), "positive": [self.texts[at] for at in own]}
        return Dataset.from_dict({**pairs, **columns, "label": list(range(len(self.queries)))})


def training_set(
    parts: Sequence[Part],
    qrels: pl.DataFrame,
    negatives: pl.DataFrame,
    query_vectors: Mapping[str, Vectors],
    *,
    suspicion: Suspicion,
    seed: int,
) -> TrainingSet:
    """The rows of every part: one for each training query and each of its positive passages.

    The rows of one passage share its negatives: its queries' mined ones, taken in turn. What is hard for one of them is near
    the others too, and each passage is embedded once a batch. A row that would have too few is filled up with passages drawn
    by a hash; the mask then watches over them as over any other in-batch negative. Judged non-answers come besides, in turn
    too, together as many as one query has at most. Few queries have any, so no other row is filled up to their number.

    Args:
        parts: the domain and the general set; a query's passages come from its own part.
        qrels: all judgments.
        negatives: as mined.
        query_vectors: the base's by query id, each of shape (dimensions,).
        suspicion: when an in-batch passage is taken for an answer.
        seed: of the draws that fill up.
    """
    texts: list[str] = []
    rows: list[tuple[str, str, int]] = []
    weights: list[float] = []
    place: dict[str, int] = {}
    bounds: dict[str, tuple[int, int]] = {}
    for part in parts:
        first = len(texts)
        place.update((name, first + at) for at, name in enumerate(part.passages["passage_id"]))
        texts += tables.embedded_text(part.passages)
        train = part.queries.filter(pl.col("split") == "train")
        bounds.update((query, (first, len(texts))) for query in train["query_id"])
        positive = qrels.filter(pl.col("grade") > 0, pl.col("unit") == "passage")
        pairs = train.join(positive.select("query_id", "target_id", "weight"), on="query_id").sort("query_id", "target_id")
        rows += [
            (query, text, place[target]) for query, text, target in pairs.select("query_id", "text", "target_id").iter_rows()
        ]
        weights += pairs["weight"].to_list()
    positives: dict[str, set[int]] = {}
    for query, _, at in rows:
        positives.setdefault(query, set()).add(at)
    is_judged = pl.col("miner") == "judged"
    mined, judged = (_by_query(negatives.filter(of_kind), place) for of_kind in (~is_judged, is_judged))
    passages = _with_shared_negatives(rows, mined, judged, bounds, seed)
    vectors = np.concatenate([part.vectors for part in parts])
    masks = FalseNegatives(
        queries=np.stack([query_vectors[query] for query, _, _ in rows]),
        passages=vectors,
        candidates=passages,
        positives=[frozenset(positives[query]) for query, _, _ in rows],
        suspicion=suspicion,
        refuted=[frozenset(judged.get(query, ())) for query, _, _ in rows] if judged else (),
    )
    return TrainingSet([text for _, text, _ in rows], passages, texts, masks, np.array(weights, dtype=np.float32))


def _with_shared_negatives(
    rows: Sequence[tuple[str, str, int]],
    mined: Mapping[str, list[int]],
    judged: Mapping[str, list[int]],
    bounds: Mapping[str, tuple[int, int]],
    seed: int,
) -> NDArray[np.int64]:
    """The positive and the negatives of each row, shape (rows, 1 + most negatives of a row)."""
    width, most_judged = (max(map(len, found.values()), default=0) for found in (mined, judged))
    of_positive: dict[int, list[str]] = {}
    for query, _, at in rows:
        of_positive.setdefault(at, []).append(query)
    chosen: dict[int, list[int]] = {}
    for at, queries in of_positive.items():
        wanted = _in_turn([mined.get(query, []) for query in queries], {at})[:width]
        low, high = bounds[queries[0]]
        draw = np.random.default_rng([seed, at])
        while len(wanted) < width:
            drawn = int(draw.integers(low, high))
            if high - low <= width + 1 or (drawn != at and drawn not in wanted):
                wanted.append(drawn)
        wanted = [one for one in wanted if one != at]  # drawn where there is hardly another passage
        given = _in_turn([judged.get(query, []) for query in queries], {at, *wanted})
        chosen[at] = wanted + given[:most_judged]
    longest = max((len(found) for found in chosen.values()), default=0)
    return np.array([[at, *chosen[at], *[at] * (longest - len(chosen[at]))] for _, _, at in rows], dtype=np.int64)


def _by_query(negatives: pl.DataFrame, place: Mapping[str, int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for query, passage in negatives.sort("query_id", "rank", "passage_id").select("query_id", "passage_id").iter_rows():
        found.setdefault(query, []).append(place[passage])
    return found


def _in_turn(lists: Sequence[list[int]], but: set[int]) -> list[int]:
    """The first of each list, then the second of each, and so on, none twice and none of `but`."""
    deepest = max(map(len, lists), default=0)
    in_turn = [found for rank in range(deepest) for one in lists for found in one[rank : rank + 1]]
    return [found for found in dict.fromkeys(in_turn) if found not in but]
