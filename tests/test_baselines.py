"""Other models beside base and tuned: their runs, and each vector computed once."""

from pathlib import Path

import polars as pl
import pytest

from burnish.embedding import encoding, models
from burnish.errors import InputError
from burnish.search import baselines, retrieval
from burnish.training import release
from test_retrieval import ASKED, passages

NIGHT = passages("Night sky with a full moon", "Bright sunshine", "A boat at sea")
DAY = passages("Sunlight at noon", "The moon rises")


@pytest.fixture(scope="module")
def tiny(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real model that is another one: two of the base's layers, at 64 dimensions."""
    return tiny_model(base_model, tmp_path_factory.mktemp("models") / "tiny")


def tiny_model(base: Path, folder: Path) -> Path:
    """A model of two of the base's layers and 64 dimensions, saved to `folder`."""
    model = models.load(base, "cpu")
    transformer = model[0].auto_model
    transformer.encoder.layer = transformer.encoder.layer[:2]
    transformer.config.num_hidden_layers = 2
    models.save(release.at_width(model, 64), folder)
    return folder


def shards(store: Path) -> dict[Path, int]:
    """Each file of a store, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}


def runs(model: Path, store: Path) -> list[pl.DataFrame]:
    """Its runs over both collections."""
    return list(baselines.runs("other", str(model), [(ASKED, NIGHT), (ASKED, DAY)], depth=3, store=store))


def test_a_run_is_the_models_own(tiny: Path, tmp_path: Path) -> None:
    """At its own width, over each collection, as its vectors rank the passages."""
    model = models.load(tiny, "cpu")
    asked = encoding.encoder(model, "query")(ASKED["text"].to_list())
    for collection, found in zip((NIGHT, DAY), runs(tiny, tmp_path), strict=True):
        corpus = encoding.encoder(model, "passage")([row["text"] for row in collection.iter_rows(named=True)])
        expected = retrieval.dense_run("other", ASKED, collection, asked, corpus, width=64, depth=3)
        assert found.drop("score").equals(expected.drop("score"))
        assert found["score"].to_list() == pytest.approx(expected["score"].to_list(), abs=0.01)


def test_a_vector_is_computed_once(tiny: Path, base_model: Path, tmp_path: Path) -> None:
    """A second run writes nothing to the store; another model has vectors of its own."""
    first = runs(tiny, tmp_path)
    kept = shards(tmp_path)
    assert [one.equals(other) for one, other in zip(first, runs(tiny, tmp_path), strict=True)] == [True, True]
    assert shards(tmp_path) == kept
    runs(base_model, tmp_path)
    assert shards(tmp_path).keys() > kept.keys()


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By the knob that names it."""
    with pytest.raises(InputError, match=r"retrieve\.baselines none/such: no such folder"):
        runs(Path("none/such"), tmp_path)
