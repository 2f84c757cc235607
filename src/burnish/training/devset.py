"""The dev measure: nDCG@10 over a fixed pool of passages, cheap enough to take many times in a training."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from sentence_transformers import SentenceTransformer

from burnish import tables
from burnish.arrays import Vectors
from burnish.embedding import encoding
from burnish.evaluation import measures
from burnish.search import retrieval
from burnish.search.nearest import exact


@dataclass(frozen=True)
class DevSet:
    """Dev queries, their judgments, and the pool of passages that they search.

    The pool of a query is its judged answers and what the base model and nothing else ranks first, so the measure is of the
    base model's hardest distractors; scores are higher than over the whole corpus, and comparable among models alone.
    """

    queries: pl.DataFrame  # query_id, text
    qrels: pl.DataFrame  # query_id, target_id, grade
    passages: pl.DataFrame  # PASSAGES, of the pool
    by_document: bool
    base: float  # the base model's mean nDCG@10, from its stored vectors

    def digest(self) -> str:
        """The identity of what is measured: queries, judgments and pool."""
        parts = [frame.write_ndjson() for frame in (self.queries, self.qrels, self.passages)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def ndcg(self, model: SentenceTransformer) -> float:
        """Mean nDCG@10 of `model`."""
        bf16 = encoding.bf16_is_faster(model.device)
        queries = encoding.encoder(model, "query", bf16=bf16)(self.queries["text"].to_list())
        passages = encoding.encoder(model, "passage", bf16=bf16)(tables.embedded_text(self.passages))
        return _ndcg(self.queries, self.qrels, self.passages, queries, passages, by_document=self.by_document)


def _ndcg(
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    passages: pl.DataFrame,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    *,
    by_document: bool,
) -> float:
    found = exact(query_vectors, passage_vectors, min(100, passages.height))
    run = measures.of_targets(retrieval.as_run("dev", queries, passages, *found), passages, by_document=by_document)
    return measures.mean_of(measures.by_query(run, qrels, [measures.MAIN]), measures.MAIN)


def dev_set(
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    passages: pl.DataFrame,
    passage_vectors: Vectors,
    query_vectors: Mapping[str, Vectors],
    *,
    per_query: int,
) -> DevSet | None:
    """The dev set over a pool of the answers and the base model's first `per_query` passages of each query; None if empty.

    Args:
        queries: queries of any split; those of dev are taken.
        qrels: all judgments.
        passages: the corpus.
        passage_vectors: the base's, shape (passages, dimensions).
        query_vectors: the base's by query id, each of shape (dimensions,).
        per_query: passages that each query adds to the pool beside its answers.
    """
    dev = queries.filter(pl.col("split") == "dev")
    if not dev.height:
        return None
    chosen = qrels.filter(pl.col("query_id").is_in(dev["query_id"].to_list()))
    by_document = measures.judged_by_document(chosen)
    answers = chosen.filter(pl.col("grade") > 0)["target_id"].to_list()
    asked = np.stack([query_vectors[one] for one in dev["query_id"]])
    best, _ = exact(asked, passage_vectors, per_query)
    own = passages.with_row_index("row").filter(pl.col("passage_id").is_in(answers) | pl.col("document_id").is_in(answers))
    rows = sorted({*best.reshape(-1).tolist(), *own["row"].to_list()})
    dev, pool, truth = (
        dev.select("query_id", "text"),
        passages[rows],
        measures.of_unit(chosen, passages, by_document=by_document),
    )
    base = _ndcg(dev, truth, pool, asked, passage_vectors[rows], by_document=by_document)
    return DevSet(dev, truth, pool, by_document, base)


@dataclass(frozen=True)
class DevMeasure:
    """From a model to its dev measures: `dev` of the domain, `general_dev` of the general set, and `score`.

    `score`, which picks the best model, is the domain's nDCG@10 less what the general set's has fallen below the base's.
    """

    domain: DevSet | None
    general: DevSet | None

    def base(self) -> dict[str, float]:
        """The base model's measures; nothing is encoded."""
        return self._scored(lambda part: part.base)

    def __call__(self, model: SentenceTransformer) -> dict[str, float]:
        """The measures of `model`."""
        return self._scored(lambda part: part.ndcg(model))

    def _scored(self, ndcg: Callable[[DevSet], float]) -> dict[str, float]:
        found = {name: ndcg(part) for name, part in (("dev", self.domain), ("general_dev", self.general)) if part}
        fall = max(0.0, self.general.base - found["general_dev"]) if self.general else 0.0
        return found | {"score": found.get("dev", 0.0) - fall}
