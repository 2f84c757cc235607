"""The index: found by the model that made it, refused to any other."""

import hashlib
import shutil
from pathlib import Path

import polars as pl
import pytest

from burnish import tables
from burnish.embedding import encoding, models
from burnish.errors import InputError
from burnish.search import index
from burnish.tables import PASSAGES

TEXTS = ["How to bake bread in an oven", "Sailing a boat at night", "Drawing a horse with a pencil", "The moon and its light"]


def passages() -> pl.DataFrame:
    """Four passages."""
    rows = [(f"p{at}", f"d{at}", 0, "Title", "", text, 5) for at, text in enumerate(TEXTS)]
    return pl.DataFrame(rows, schema=PASSAGES.columns, orient="row")


@pytest.fixture(scope="module")
def built(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of the four passages by the base model."""
    folder = tmp_path_factory.mktemp("built") / "index"
    vectors = encoding.encoder(models.load(base_model, "cpu"), "passage")(tables.embedded_text(passages()))
    index.build(passages(), vectors, model_digest=models.digest(base_model), out=folder)
    return folder


def test_search_finds_what_is_meant(built: Path, base_model: Path) -> None:
    """Ranked, with scores that fall and are cosines, and with the passage's own text."""
    hits = index.search(built, base_model, "ships on the sea after dark", 3)
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert (hits[0].passage_id, hits[0].document_id, hits[0].text) == ("p1", "d1", TEXTS[1])
    assert 1 >= hits[0].score > hits[1].score >= hits[2].score
    encode = encoding.encoder(models.load(base_model, "cpu"), "passage")
    asked, found = encode(["ships on the sea after dark", f"Title\n{TEXTS[1]}"])
    assert hits[0].score == pytest.approx(float(asked @ found), abs=1e-4)


def test_no_more_than_there_is_comes_back(built: Path, base_model: Path) -> None:
    """Asked for ten of four passages, each comes once."""
    hits = index.search(built, base_model, "bread", 10)
    assert sorted(hit.passage_id for hit in hits) == ["p0", "p1", "p2", "p3"]


def test_another_model_is_refused(built: Path, base_model: Path, tmp_path: Path) -> None:
    """A model that differs in one setting has other vectors: both digests are named, nothing is found."""
    other = tmp_path / "other"
    shutil.copytree(base_model, other)
    config = other / "sentence_bert_config.json"
    config.write_text(config.read_text().replace("256", "128"))
    with pytest.raises(InputError, match=models.digest(base_model)[:12]):
        index.search(built, other, "bread", 1)


def test_a_missing_index_is_an_error_that_says_what_to_run(base_model: Path, tmp_path: Path) -> None:
    """Nothing is built silently."""
    with pytest.raises(InputError, match="dvc repro index"):
        index.search(tmp_path, base_model, "bread", 1)


def test_building_twice_gives_the_same_bytes(built: Path, base_model: Path, tmp_path: Path) -> None:
    """So that DVC sees no change where there is none."""
    vectors = encoding.encoder(models.load(base_model, "cpu"), "passage")(tables.embedded_text(passages()))
    index.build(passages(), vectors, model_digest=models.digest(base_model), out=tmp_path / "again")
    digests = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        for folder in (built, tmp_path / "again")
    ]
    assert digests[0] == digests[1]
