"""Anyone's queries, measured as the pipeline measures its own."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from burnish import tables
from burnish.errors import InputError
from burnish.evaluation import evaluate
from burnish.tables import DOCUMENTS, PASSAGES

TEXTS = {
    "bread": "How to bake bread in an oven",
    "boat": "Sailing a boat at night",
    "horse": "Drawing a horse with a pencil",
    "moon": "The moon and its light",
}
QUERIES = {"q0": "a loaf from flour and yeast", "q1": "ships on the sea after dark", "q2": "sketching animals"}


def lines(path: Path, rows: list[dict[str, str]]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def beir(folder: Path, *grades: tuple[str, str, int]) -> dict[str, Any]:
    """The files of a BEIR folder as arguments of `evaluated`."""
    qrels = folder / "qrels.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{g}\n" for q, d, g in grades))
    return {
        "queries": lines(folder / "queries.jsonl", [{"_id": name, "text": text} for name, text in QUERIES.items()]),
        "qrels": qrels,
        "corpus": lines(folder / "corpus.jsonl", [{"_id": name, "text": text} for name, text in TEXTS.items()]),
        "built": folder / "built",
        "store": folder / "store",
    }


RIGHT = (("q0", "bread", 1), ("q1", "boat", 1), ("q2", "horse", 1))


def test_a_model_that_finds_all_answers_scores_one(base_model: Path, tmp_path: Path) -> None:
    """On another corpus.jsonl, with every measure and the numbers of queries and passages."""
    found = evaluate.evaluated(base_model, **beir(tmp_path, *RIGHT))
    assert (found["queries"], found["passages"]) == (3, 4)
    assert (found["ndcg@10"], found["mrr@10"], found["recall@1"], found["map@100"]) == (1.0, 1.0, 1.0, 1.0)


def test_queries_without_a_judgment_are_left_out(base_model: Path, tmp_path: Path) -> None:
    """One judged query, answered third or later by what it is about least."""
    found = evaluate.evaluated(base_model, **beir(tmp_path, ("q0", "boat", 1)))
    assert found["queries"] == 1
    assert found["recall@1"] == 0.0


def test_what_is_stored_is_not_embedded_again(base_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second evaluation computes no vector, and gives the same figures."""
    first = evaluate.evaluated(base_model, **beir(tmp_path, *RIGHT))
    made = sorted((tmp_path / "store").rglob("*.parquet"))
    assert evaluate.evaluated(base_model, **beir(tmp_path, *RIGHT)) == first
    assert sorted((tmp_path / "store").rglob("*.parquet")) == made


def test_the_built_corpus_is_judged_by_documents(base_model: Path, tmp_path: Path) -> None:
    """Without a corpus of its own the built one is searched, and a judged document counts by its best passage."""
    arguments = beir(tmp_path, ("q0", "kitchen", 1), ("q1", "harbour", 1))
    rows = [
        (f"{document}#{at}", document, at, "", "", TEXTS[name], 5)
        for document, names in {"kitchen": ("moon", "bread"), "harbour": ("boat", "horse")}.items()
        for at, name in enumerate(names)
    ]
    documents = [(one, "files", one, one, "en", "0", one) for one in ("kitchen", "harbour")]
    tables.write(pl.DataFrame(rows, schema=PASSAGES.columns, orient="row"), PASSAGES, tmp_path / "built/passages.parquet")
    tables.write(
        pl.DataFrame(documents, schema=DOCUMENTS.columns, orient="row"), DOCUMENTS, tmp_path / "built/documents.parquet"
    )
    found = evaluate.evaluated(base_model, **arguments | {"corpus": None})
    assert (found["queries"], found["passages"], found["recall@1"]) == (2, 4, 1.0)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda given: given["qrels"].write_text("query-id\tcorpus-id\tscore\nq0\tnowhere\t1\n"), "nowhere"),
        (lambda given: given["queries"].unlink(), "queries.jsonl"),
        (lambda given: given["corpus"].write_text('{"id": 1}\n'), "corpus.jsonl"),
        (
            lambda given: given["corpus"].write_text('{"_id": "a", "text": "x"}\n{"_id": "b"}\n'),
            "record 2: expected `_id` and `text`",
        ),
        (lambda given: given["corpus"].write_text('{"_id": "a", "text": "x"}\n' * 2), "repeat a key"),
    ],
)
def test_bad_files_are_named(base_model: Path, tmp_path: Path, spoil: Any, told: str) -> None:
    """An unknown id, a missing file, records of another shape, an id that stands twice."""
    given = beir(tmp_path, *RIGHT)
    spoil(given)
    with pytest.raises(InputError, match=told):
        evaluate.evaluated(base_model, **given)


def test_an_unbuilt_corpus_says_what_to_run(base_model: Path, tmp_path: Path) -> None:
    """Or to give one."""
    with pytest.raises(InputError, match="dvc repro extract"):
        evaluate.evaluated(base_model, **beir(tmp_path, *RIGHT) | {"corpus": None})
