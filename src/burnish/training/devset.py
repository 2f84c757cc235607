"""The dev measure: nDCG@10 over a fixed pool of passages, cheap enough to take many times in a training."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from sentence_transformers import SentenceTransformer

from burnish import tables
from burnish.embedding import encoding
from burnish.embedding.vectors import Vectors
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

    def digest(self) -> str:
        """The identity of what is measured: queries, judgments and pool."""
        parts = [frame.write_ndjson() for frame in (self.queries, self.qrels, self.passages)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def ndcg(self, model: SentenceTransformer) -> float:
        """Mean nDCG@10 of `model`."""
        bf16 = encoding.bf16_is_faster(model.device)
        queries = encoding.encoder(model, "query", bf16=bf16)(self.queries["text"].to_list())
        passages = encoding.encoder(model, "passage", bf16=bf16)(tables.embedded_text(self.passages))
        found = exact(queries, passages, min(100, self.passages.height))
        run = retrieval.as_run("dev", self.queries, self.passages, *found)
        run = measures.of_targets(run, self.passages, by_document=self.by_document)
        return measures.mean_of(measures.by_query(run, self.qrels, [measures.MAIN]), measures.MAIN)


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
    best, _ = exact(np.stack([query_vectors[one] for one in dev["query_id"]]), passage_vectors, per_query)
    own = passages.with_row_index("row").filter(pl.col("passage_id").is_in(answers) | pl.col("document_id").is_in(answers))
    pool = passages[sorted({*best.reshape(-1).tolist(), *own["row"].to_list()})]
    return DevSet(
        dev.select("query_id", "text"), measures.of_unit(chosen, passages, by_document=by_document), pool, by_document
    )


def combined(
    domain: DevSet | None, general: DevSet | None, base: SentenceTransformer
) -> Callable[[SentenceTransformer], dict[str, float]]:
    """A function from a model to its dev measures; `score`, which picks the best model, is the domain's nDCG@10 less what
    the general set's has fallen below the base's. The base is measured here, so that a resumed training has it too.
    """
    before = general.ndcg(base) if general else 0.0

    def measure(model: SentenceTransformer) -> dict[str, float]:
        found = {"dev": domain.ndcg(model)} if domain else {}
        score = found.get("dev", 0.0)
        if general:
            found["general_dev"] = general.ndcg(model)
            score -= max(0.0, before - found["general_dev"])
        return found | {"score": score}

    return measure
