"""What `burnish doctor` looks at in a built corpus."""

import json
import platform
import shutil
from collections.abc import Sequence
from importlib.metadata import metadata
from pathlib import Path

import numpy as np
import polars as pl
import psutil
from tokenizers import Tokenizer

from burnish import tables
from burnish.embedding import vectors
from burnish.embedding.models import ORIGIN
from burnish.errors import InputError
from burnish.evaluation import doctor, inputs, machine, measures
from burnish.evaluation.doctor import Finding
from burnish.search import lexical, retrieval
from burnish.search.nearest import exact
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES
from burnish.writing import word_count

_BASE_VECTORS = "data/vectors/base"
_SAMPLE = 1000  # passages that the base's tokenizer is tried on


def findings(root: Path, params: Path, *, enough: float) -> list[Finding]:
    """Everything that can be said before training, from what `dvc repro mix` made below `root`.

    What is not built yet is said, not guessed.

    Args:
        root: the repository's folder.
        params: its file of knobs.
        enough: the base's recall@10 from which fine-tuning is not the first thing to do.

    Raises:
        InputError: the knobs cannot be read.
    """
    if not params.is_file():
        raise InputError(f"{params}: expected the knobs here, found none; run `burnish doctor` in the repository's folder")
    counts = root / "data/corpus/counts.json"
    told = json.loads(counts.read_text(encoding="utf-8")) if counts.is_file() else None
    found = _machine(root, told["passages"] if told else 0, adapters=inputs.adapters(params))
    found += inputs.key(params, synthesized=(root / "data/synthetic/queries.parquet").is_file())
    base = root / "models/base"
    if (base / ORIGIN).is_file():
        found += doctor.prompts(base)
    if not told:
        found += [*inputs.documents(params, root), *inputs.judgments(params)]
        return [*found, Finding("note", "no corpus yet: run `dvc repro mix`, then ask again")]
    found += doctor.corpus(told)
    if not (base / "tokenizer.json").is_file():
        missing = Finding("note", "no base model yet: run `dvc repro base`, then ask again")
        return [*found, *inputs.judgments(params), missing]
    found += _tokens(root)
    if not (root / "data/mixed/test/queries.parquet").is_file():
        return [*found, *inputs.judgments(params), Finding("note", "no queries yet: run `dvc repro mix`, then ask again")]
    return found + _queries(root, enough)


def _machine(root: Path, passages: int, *, adapters: bool) -> list[Finding]:
    """What this machine offers, against what a corpus of so many passages needs; 0: there is none yet."""
    need = machine.sizes(root / "models/base", passages)
    memory = psutil.virtual_memory()
    embedded = (root / _BASE_VECTORS / "passages.parquet").is_file()
    return [
        machine.python(platform.python_version(), metadata("burnish")["Requires-Python"]),
        *doctor.environment(),
        machine.memory(memory.available, memory.total, need),
        machine.disk(shutil.disk_usage(root).free, need, embedded=embedded, adapters=adapters),
    ]


def _queries(root: Path, enough: float) -> list[Finding]:
    """What there is to train on and to test by, and how far the base comes."""
    trained = tables.read(QUERIES, root / "data/mixed/training/queries.parquet").filter(
        pl.col("split") == "train", pl.col("origin") != "general"
    )
    found = doctor.training(dict(trained["origin"].value_counts().iter_rows()))
    test = tables.read(QUERIES, root / "data/mixed/test/queries.parquet").filter(pl.col("origin") != "general")
    if all((root / _BASE_VECTORS / f"{name}.parquet").is_file() for name in ("queries", "passages")):
        found += _recall(root, test, enough)
    else:
        found.append(Finding("note", "no vectors of the base: run `dvc repro embed-base`, then ask again"))
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
    base = root / _BASE_VECTORS
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
