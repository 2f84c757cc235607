"""A model judged on anyone's queries, with the pipeline's own measures."""

from pathlib import Path
from typing import Any

import polars as pl

from burnish import tables
from burnish.embedding import encoding, models
from burnish.embedding.vectors import VectorStore
from burnish.errors import InputError
from burnish.evaluation import measures
from burnish.queries.curated import JudgmentFiles, curated
from burnish.queries.judgments import Shares
from burnish.records import json_lines
from burnish.search import retrieval
from burnish.tables import DOCUMENTS, PASSAGES

_DEPTH = 300


def evaluated(model: Path, queries: Path, qrels: Path, *, corpus: Path | None, built: Path, store: Path) -> dict[str, Any]:
    """Every measure of a model, its number of queries and of passages.

    Args:
        model: folder of the model.
        queries: file of queries; those without a judgment are left out.
        qrels: file of judgments, naming documents or passages.
        corpus: a corpus.jsonl in BEIR's format, one passage a record; None: the built corpus.
        built: folder of the built corpus.
        store: the vector store; what the pipeline embedded is not embedded again.

    Raises:
        InputError: a file is missing or malformed, or a judgment names an unknown id.
    """
    passages = _beir(corpus) if corpus else _built(built)
    judged = curated(
        [JudgmentFiles(queries=str(queries), qrels=str(qrels), language="und")],
        Path(),
        passage_ids=frozenset(passages["passage_id"]),
        document_ids=frozenset(passages["document_id"]),
        shares=Shares(test=0.0, dev=0.0),
    )
    loaded, digest = models.load(model), models.digest(model)
    bf16 = encoding.bf16_is_faster(loaded.device)

    def vectors(role: encoding.Role, texts: list[str]) -> Any:
        precision = "bfloat16" if bf16 else "float32"
        shelf = VectorStore.of(store, model_digest=digest, prompt=encoding.prompt(loaded, role), precision=precision)
        return shelf.vectors(texts, encoding.encoder(loaded, role, bf16=bf16))[0]

    asked = vectors("query", judged.queries["text"].to_list())
    stored = vectors("passage", tables.embedded_text(passages))
    run = retrieval.dense_run("model", judged.queries, passages, asked, stored, width=stored.shape[1], depth=_DEPTH)
    by_document = measures.judged_by_document(judged.qrels)
    truth = measures.of_unit(judged.qrels, passages, by_document=by_document)
    ranked = measures.of_targets(run, passages, by_document=by_document)
    values = measures.by_query(ranked, truth)
    return {"queries": values.height, "passages": passages.height} | measures.means(values, ranked, truth)


def _built(folder: Path) -> pl.DataFrame:
    if not (folder / "passages.parquet").is_file():
        raise InputError(f"{folder}: the corpus is not built; run `dvc repro extract`, or give --corpus")
    tables.read(DOCUMENTS, folder / "documents.parquet")
    return tables.read(PASSAGES, folder / "passages.parquet")


def _beir(path: Path) -> pl.DataFrame:
    rows = []
    for number, record in enumerate(json_lines(path), 1):
        if not {"_id", "text"} <= record.keys():
            raise InputError(f"{path}: record {number}: expected `_id` and `text`, found {sorted(record)}; add what is missing")
        name = str(record["_id"])
        rows.append((name, name, 0, str(record.get("title") or ""), "", str(record["text"]), 0))
    if not rows:
        raise InputError(f"{path}: expected records with `_id` and `text`, found none")
    return tables.checked(pl.DataFrame(rows, schema=PASSAGES.columns, orient="row"), PASSAGES, str(path))
