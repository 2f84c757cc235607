"""What `burnish doctor` looks at in a built corpus."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from burnish import tables
from burnish.embedding import vectors
from burnish.evaluation import doctor, measures
from burnish.evaluation.doctor import Finding
from burnish.search import lexical, retrieval
from burnish.search.nearest import exact
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES
from burnish.writing import word_count

_SAMPLE = 1000  # passages that the base's tokenizer is tried on


def findings(root: Path, *, enough: float) -> list[Finding]:
    """Everything that can be said before training, from what `dvc repro mix` made below `root`.

    What is not built yet is said, not guessed.
    """
    found = doctor.environment(root)
    counts = root / "data/corpus/counts.json"
    if not counts.is_file():
        return [*found, Finding("note", "no corpus yet: run `dvc repro mix`, then ask again")]
    found += doctor.corpus(json.loads(counts.read_text(encoding="utf-8")))
    found += _tokens(root)
    training, test_folder = root / "data/mixed/training", root / "data/mixed/test"
    if not (test_folder / "queries.parquet").is_file():
        return [*found, Finding("note", "no queries yet: run `dvc repro mix`, then ask again")]
    trained = (
        tables.read(QUERIES, training / "queries.parquet")
        .filter(pl.col("split") == "train", pl.col("origin") != "general")
        .height
    )
    found.append(Finding("ok" if trained >= doctor.FEW_PAIRS else "note", f"{trained} domain queries to train on"))
    test = tables.read(QUERIES, test_folder / "queries.parquet").filter(pl.col("origin") != "general")
    found += _recall(root, test, enough)
    return found + doctor.test_size(test.height, ", ".join(test["origin"].unique().sort()))


def _tokens(root: Path) -> list[Finding]:
    """What the base's tokenizer makes of a sample of the passages."""
    passages = tables.read(PASSAGES, root / "data/corpus/passages.parquet")
    texts = passages.gather_every(max(1, passages.height // _SAMPLE))["text"].to_list()
    return doctor.tokens(*tokens_of(texts, root / "models/base/tokenizer.json"))


def tokens_of(texts: Sequence[str], tokenizer_file: Path) -> tuple[float, float]:
    """(tokens a word, share of them that stand for what the vocabulary lacks) of what a tokenizer makes of `texts`."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokens = [token for text in texts for token in tokenizer.encode(text, add_special_tokens=False).tokens]
    words = sum(map(word_count, texts))
    unknown = sum(token in {"[UNK]", "<unk>"} for token in tokens)
    return len(tokens) / max(1, words), unknown / max(1, len(tokens))


def _recall(root: Path, test: pl.DataFrame, enough: float) -> list[Finding]:
    passages = tables.read(PASSAGES, root / "data/corpus/passages.parquet")
    qrels = tables.read(QRELS, root / "data/mixed/test/qrels.parquet").filter(
        pl.col("query_id").is_in(test["query_id"].to_list())
    )
    by_document = measures.judged_by_document(qrels)
    truth = measures.of_unit(qrels, passages, by_document=by_document).filter(pl.col("grade") > 0)
    answers = [frozenset(truth.filter(pl.col("query_id") == one)["target_id"]) for one in test["query_id"]]
    names = passages["document_id" if by_document else "passage_id"].to_list()
    base = root / "data/vectors/base"
    dense, _ = exact(
        vectors.read(base / "queries.parquet", test["query_id"].to_list()),
        vectors.read(base / "passages.parquet", passages["passage_id"].to_list()),
        100,
    )
    documents = tables.read(DOCUMENTS, root / "data/corpus/documents.parquet")
    languages = retrieval.passage_languages(passages, documents, "und")
    words, _ = lexical.bm25(test["text"].to_list(), tables.embedded_text(passages), 100, languages)
    shares = [doctor.recall_at_10([_distinct(row, names) for row in ranked], answers) for ranked in (dense, words)]
    return doctor.verdict(shares[0], shares[1], enough=enough)


def _distinct(row: np.ndarray, names: list[str]) -> list[str]:
    return list(dict.fromkeys(names[at] for at in row))
