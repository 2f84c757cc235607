"""The dev measure: the base's from its stored vectors, and what is lost in general counts against a model."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sentence_transformers import SentenceTransformer

from burnish import tables
from burnish.arrays import Vectors
from burnish.embedding import encoding, models
from burnish.tables import PASSAGES, QRELS, QUERIES
from burnish.training import devset
from burnish.training.devset import DevMeasure, DevSet

TEXTS = ["Rice is cooked in water.", "A boat sails by wind.", "Tomatoes grow in the sun.", "A clock has hands."]


@pytest.fixture(scope="module")
def base(base_model: Path) -> SentenceTransformer:
    """The base model."""
    return models.load(base_model, "cpu")


def dev(model: SentenceTransformer, *, split: str = "dev") -> DevSet | None:
    """Two queries over four passages, each with one answer."""
    asked = pl.DataFrame(
        [("q0", "how to cook rice", "en", "curated", split), ("q1", "what drives a ship", "en", "curated", split)],
        schema=QUERIES.columns,
        orient="row",
    )
    judged = pl.DataFrame(
        [("q0", "d0", "passage", 1, 1.0, "curated"), ("q1", "d1", "passage", 1, 1.0, "curated")],
        schema=QRELS.columns,
        orient="row",
    )
    passages = pl.DataFrame(
        [(f"d{at}", f"d{at}", 0, "", "", text, 5) for at, text in enumerate(TEXTS)], schema=PASSAGES.columns, orient="row"
    )
    stored: Vectors = encoding.encoder(model, "passage")(tables.embedded_text(passages))
    known = dict(zip(["q0", "q1"], encoding.encoder(model, "query")(asked["text"].to_list()), strict=True))
    return devset.dev_set(asked, judged, passages, stored, known, per_query=2)


def test_the_stored_vectors_give_what_the_base_model_gives(base: SentenceTransformer) -> None:
    """Nothing need be encoded to know where a training begins."""
    found = dev(base)
    assert found is not None
    assert found.base == pytest.approx(found.ndcg(base))
    assert DevMeasure(found, found).base() == pytest.approx(DevMeasure(found, found)(base))


def test_without_dev_queries_there_is_none(base: SentenceTransformer) -> None:
    """A training set without dev queries has no dev measure, and its score is 0."""
    assert dev(base, split="train") is None
    assert DevMeasure(None, None).base() == {"score": 0.0}


def test_a_fall_in_general_counts_against_a_model(base: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.2 lost in general is taken off the domain's measure; a rise is not added."""
    found = dev(base)
    assert found is not None
    measure = DevMeasure(found, found)
    for now, score in ((found.base - 0.2, found.base - 0.4), (found.base + 0.1, found.base + 0.1)):
        monkeypatch.setattr(DevSet, "ndcg", lambda *_, now=now: now)
        assert measure(base)["score"] == pytest.approx(score)
        assert np.isfinite(measure(base)["general_dev"])
