"""A reranker over a search: what it reads, how it orders, and what is refused."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from burnish import tables
from burnish.arrays import Vectors
from burnish.embedding import encoding, models
from burnish.errors import InputError
from burnish.evaluation import reranked
from burnish.search import index, reranker
from burnish.search.reranker import Reranker
from test_teachers import cross_encoder

TEXTS = {"bake": "Bread is baked in a hot oven.", "sail": "A boat sails against the wind.", "knit": "Wool is knitted by hand."}


@pytest.fixture(scope="module")
def judge(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a narrow, untrained cross-encoder."""
    return cross_encoder(tmp_path_factory.mktemp("judge") / "model", base_model)


def passages() -> pl.DataFrame:
    """One passage a document."""
    row = {"ordinal": 0, "title": "", "heading": "", "tokens": 9}
    rows = [row | {"passage_id": name, "document_id": f"d-{name}", "text": text} for name, text in TEXTS.items()]
    return pl.DataFrame(rows, schema=tables.PASSAGES.columns)


def queries(*texts: str) -> pl.DataFrame:
    """Queries q0, q1, ..."""
    return pl.DataFrame({"query_id": [f"q{at}" for at in range(len(texts))], "text": texts})


def run(**rankings: list[str]) -> pl.DataFrame:
    """A run of rankings by query; scores fall by 0.1 from 0.9."""
    rows = [
        ("tuned", query, passage, rank, 1 - 0.1 * rank)
        for query, found in rankings.items()
        for rank, passage in enumerate(found, 1)
    ]
    return pl.DataFrame(rows, schema=tables.RUNS.columns, orient="row")


def test_it_reads_what_the_library_reads(judge: Path) -> None:
    """The logits are those of sentence-transformers, each in its passage's place."""
    model = reranker.load(judge, "x")
    texts = [*TEXTS.values()] * 5
    plain = model.predict([("how to sail", text) for text in texts], activation_fn=torch.nn.Identity())
    found = reranker.logits(model, "how to sail", texts)
    assert found.dtype == np.float32
    assert found == pytest.approx(plain, abs=0.1 if encoding.bf16_is_faster(model.device) else 1e-5)
    assert reranker.logits(model, "how to sail", []).shape == (0,)


def test_a_new_head_is_drawn_by_its_seed(base_model: Path) -> None:
    """An encoder becomes a cross-encoder; the same seed gives the same scores, and the limit of tokens holds."""
    one, again, other = (reranker.load(base_model, "x", seed=seed, max_tokens=40) for seed in (1, 1, 2))
    texts = [*TEXTS.values()]
    scores: list[Vectors] = [reranker.logits(model, "how to sail", texts) for model in (one, again, other)]
    assert (scores[0] == scores[1]).all()
    assert (scores[0] != scores[2]).any()
    assert one.max_seq_length == 40
    assert reranker.load(base_model, "x", max_tokens=99_999).max_seq_length == 512


@pytest.mark.parametrize("kind", ["labels", "nothing"])
def test_what_is_no_reranker_is_refused(base_model: Path, tmp_path: Path, kind: str) -> None:
    """A classifier of three classes, an empty folder: one line with the knob."""
    folder = cross_encoder(tmp_path / "classes", base_model, labels=3) if kind == "labels" else tmp_path
    with pytest.raises(InputError, match=r"rerank\.base: .* is not loadable as a cross-encoder with one score a pair: "):
        reranker.load(folder, "rerank.base")


def test_a_saved_reranker_comes_back(judge: Path, tmp_path: Path) -> None:
    """With its depth and weight; a folder without one, or of one that is off, is refused."""
    Reranker(reranker.load(judge, "x"), 7, 2.5).save(tmp_path / "saved")
    found = Reranker.at(tmp_path / "saved")
    assert (found.depth, found.search_weight) == (7, 2.5)
    (tmp_path / "off").mkdir()
    (tmp_path / "off/reranker.json").write_text('{"on": false}', encoding="utf-8")
    for folder in ("off", "none"):
        with pytest.raises(InputError, match=r"expected a reranker, found none; set rerank\.base"):
            Reranker.at(tmp_path / folder)


def test_the_first_passages_are_read_and_the_others_follow(judge: Path) -> None:
    """Of each query the first `depth` alone; the rest keep their order behind them, and every passage stays in the run."""
    found = run(q0=["bake", "sail", "knit"], q1=["knit", "bake", "sail"])
    again = reranked.reread(reranker.load(judge, "x"), found, queries("oven", "wool"), passages(), 2)
    assert again.rows.select("query_id", "passage_id").rows() == [
        ("q0", "bake"),
        ("q0", "sail"),
        ("q1", "knit"),
        ("q1", "bake"),
    ]
    assert len(again.milliseconds) == 2
    assert min(again.milliseconds) > 0
    swapped = again.rows.with_columns(logit=pl.Series([0.0, 1.0, 0.5, 0.0], dtype=pl.Float32))
    new = tables.checked(reranked.as_run("new", found, swapped, 0.0), tables.RUNS, "here")
    assert new.sort("query_id", "rank").select("query_id", "passage_id", "rank").rows() == [
        ("q0", "sail", 1), ("q0", "bake", 2), ("q0", "knit", 3), ("q1", "knit", 1), ("q1", "bake", 2), ("q1", "sail", 3)
    ]  # fmt: skip
    assert new.sort("query_id", "rank")["score"].to_list() == [-1, -2, -3] * 2


def test_the_search_counts_by_its_weight(judge: Path) -> None:
    """A weight large enough leaves the search's order as it was."""
    found = run(q0=["bake", "sail", "knit"])
    again = reranked.reread(reranker.load(judge, "x"), found, queries("oven"), passages(), 3)
    swapped = again.rows.with_columns(logit=pl.Series([0.0, 1.0, 2.0], dtype=pl.Float32))
    orders = {
        weight: reranked.as_run("new", found, swapped, weight).sort("rank")["passage_id"].to_list() for weight in (0, 100)
    }
    assert orders == {0: ["knit", "sail", "bake"], 100: ["bake", "sail", "knit"]}


def test_the_weight_is_chosen_on_dev_queries(judge: Path) -> None:
    """The best of those offered, of equal ones the first; the first where no dev query has an answer."""
    model = reranker.load(judge, "x")
    rankings = {"q0": ["bake", "sail", "knit"], "q1": ["knit", "bake", "sail"]}
    asked = queries("oven", "wool")
    qrels = pl.DataFrame(
        [("q0", "bake", "passage", 1, 1.0, "curated"), ("q1", "knit", "passage", 1, 1.0, "curated")],
        schema=tables.QRELS.columns,
        orient="row",
    )
    weight, told = reranked.chosen_weight(model, run(**rankings), asked, qrels, passages(), [1000.0, 2000.0])
    assert weight == 1000.0
    assert told == {"queries": 2, "tuned": 1.0, "search_weight_1000": 1.0, "search_weight_2000": 1.0}
    reverse = {query: found[::-1] for query, found in rankings.items()}  # a search that is always wrong must not count
    weight, told = reranked.chosen_weight(model, run(**reverse), asked, qrels, passages(), [1000.0, 0.0])
    assert told["search_weight_1000"] == told["tuned"] == 0.5
    assert weight == (0.0 if told["search_weight_0"] > 0.5 else 1000.0)
    assert reranked.chosen_weight(model, run(**rankings), asked, qrels.head(0), passages(), [3.0, 0.0]) == (3.0, {"queries": 0})


def test_documents_are_judged_by_their_best_passage(judge: Path) -> None:
    """Where judgments name documents the dev measure is over documents."""
    qrels = pl.DataFrame([("q0", "d-bake", "document", 1, 1.0, "curated")], schema=tables.QRELS.columns, orient="row")
    found = run(q0=["bake", "sail", "knit"])
    told = reranked.chosen_weight(reranker.load(judge, "x"), found, queries("oven"), qrels, passages(), [1000.0])[1]
    assert told["search_weight_1000"] == 1.0


def test_the_index_is_searched_and_reranked(base_model: Path, judge: Path, tmp_path: Path) -> None:
    """The first passages come in the reranker's order with its scores, the others behind them with their cosines."""
    corpus = passages()
    vectors = encoding.encoder(models.load(base_model), "passage")(tables.embedded_text(corpus))
    index.build(corpus, vectors, model_digest=models.digest(base_model), out=tmp_path / "index")
    second = Reranker(reranker.load(judge, "x"), 2, 0.0)
    plain = index.search(tmp_path / "index", base_model, "how to sail", 3)
    found = index.search(tmp_path / "index", base_model, "how to sail", 3, reranker=second)
    logits = dict(zip(TEXTS, reranker.logits(second.model, "how to sail", [*TEXTS.values()]), strict=True))
    first = sorted((hit.passage_id for hit in plain[:2]), key=lambda one: -logits[one])
    assert [hit.passage_id for hit in found] == [*first, plain[2].passage_id]
    assert [hit.rank for hit in found] == [1, 2, 3]
    assert found[0].score == pytest.approx(logits[first[0]], abs=2e-2)
    assert found[2].score == pytest.approx(plain[2].score)
    one = index.search(tmp_path / "index", base_model, "how to sail", 1, reranker=second)
    assert [hit.passage_id for hit in one] == first[:1]


def test_a_search_is_timed(base_model: Path) -> None:
    """Once for each query, the first one's preparation left out."""
    corpus = passages()
    encode = encoding.encoder(models.load(base_model), "query")
    search = reranked.Search(encode, corpus, encode(tables.embedded_text(corpus)), 2)
    assert len(search.milliseconds(["a", "b"])) == 2
    assert search.run(queries("sail").with_columns(origin=pl.lit("x")))["passage_id"].to_list()[0] == "sail"
    assert search.run(queries()).is_empty()
