"""Before any training: is the environment fit, is the corpus, and is fine-tuning the first thing to do?"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from burnish.embedding import families, models
from burnish.embedding.encoding import bf16_is_faster

Level = Literal["ok", "note", "stop"]
# The standard deviation over queries of the nDCG@10 difference between a tuned model and its base, which turns a number of
# queries into the difference that they can show. 0.25 on the default domain's 216 queries; rounded up, from that domain alone.
_SPREAD = 0.30
# The default base's English vocabulary takes 1.2 tokens for a word of the general set, 2.0 of the API reference (1.6 % of them
# unknown), and of tests/languages.py 2.3 for German, 4.6 for Arabic, 5.6 for Russian; of the Chinese ones 67 % are unknown.
MANY_TOKENS, MANY_UNKNOWN = 2.2, 0.05
FEW_PAIRS = 500  # a rule of thumb, not measured here: with fewer training queries doctor says so
# Beside 359 judged training queries on product manuals, 2,724 cut from the documents cost 0.042 nDCG@10 (LOG.md); with fewer
# judged ones it was not measured.
MANY_ASKED = 300


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: "ok", a "note" to think about, or a reason to "stop"."""

    level: Level
    text: str


def environment() -> list[Finding]:
    """What this machine computes with."""
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    precision = "bfloat16" if bf16_is_faster(torch.device(device)) else "float32"
    found = [Finding("ok", f"device {device}, {os.cpu_count()} cores, fastest precision {precision}")]
    if device == "cpu":
        found.append(Finding("note", "no GPU: fine for a model of 30 million parameters and some 10,000 pairs, slow beyond"))
    return found


def prompts(model: Path) -> list[Finding]:
    """Whether the base model in the folder `model` has the prompts that its family was trained with."""
    named = json.loads((model / models.ORIGIN).read_text(encoding="utf-8"))["model"]
    if (family := families.of_model(named, model)) is None:
        return []
    config = json.loads((model / "config_sentence_transformers.json").read_text(encoding="utf-8"))
    differing = families.differences(family, config["prompts"])
    return [Finding("note", one) for one in differing] or [Finding("ok", f"the prompts of the family {family.name} are set")]


def corpus(counts: Mapping[str, Any]) -> list[Finding]:
    """What the extraction's counts say of the chunking."""
    tokens = counts["passage_tokens"]
    found = [
        Finding(
            "ok",
            f"{counts['documents']} documents, {counts['passages']} passages of {tokens['p5']:.0f} to {tokens['p95']:.0f} "
            f"tokens (5th to 95th percentile), median {tokens['p50']:.0f}",
        )
    ]
    if counts["truncated_share"] > 0:
        found.append(
            Finding(
                "note", f"the model would cut off {counts['truncated_share']:.1%} of the passages: lower extract.max_tokens"
            )
        )
    if counts["near_duplicate_document_share"] > 0.2:
        share = counts["near_duplicate_document_share"]
        found.append(
            Finding("note", f"{share:.0%} of the documents are near-duplicates of others: answers repeat, so judge them all")
        )
    if counts["failures"]:
        found.append(Finding("note", f"not read: {counts['failures']}"))
    return found


def tokens(per_word: float, unknown: float) -> list[Finding]:
    """Whether the base model's vocabulary knows the corpus's language at all.

    Args:
        per_word: tokens that a word of the corpus takes on average.
        unknown: the share of tokens that stand for anything the vocabulary lacks.

    >>> [finding.level for finding in tokens(1.4, 0.0) + tokens(5.2, 0.0) + tokens(1.5, 0.3)]
    ['ok', 'note', 'note']
    """
    said = f"a word of the corpus takes {per_word:.1f} tokens of the base model, {unknown:.1%} of them unknown to it"
    if per_word <= MANY_TOKENS and unknown <= MANY_UNKNOWN:
        return [Finding("ok", said)]
    return [
        Finding("note", f"{said}: a model for this language, or a multilingual one, is the first thing to try (base.model)")
    ]


def verdict(base_recall: float, bm25_recall: float, *, enough: float) -> list[Finding]:
    """Whether fine-tuning is the first thing to do, from recall@10 on the test queries (on dev and test of any origin).

    Args:
        base_recall: the base model's.
        bm25_recall: BM25's.
        enough: the recall@10 from which re-ranking, chunking or a larger model promise more than fine-tuning.
    """
    found = [Finding("ok", f"recall@10: base {base_recall:.3f}, BM25 {bm25_recall:.3f}")]
    if base_recall >= enough:
        found.append(Finding("note", f"the base already finds {base_recall:.0%} within ten: try a re-ranker first"))
    else:
        found.append(Finding("ok", f"below {enough:.2f}: the base misses answers that fine-tuning can bring"))
    if bm25_recall > base_recall:
        found.append(Finding("note", "BM25 beats the base: combine both, whatever fine-tuning brings"))
    return found


def training(queries: Mapping[str, int]) -> list[Finding]:
    """Whether there is enough to train on, and whether queries cut from the documents stand beside enough that somebody asked.

    Args:
        queries: the number of the domain's training queries by origin.

    >>> [finding.level for finding in training({"curated": 300, "extractive": 2000})]
    ['ok', 'note']
    """
    total, cut = sum(queries.values()), queries.get("extractive", 0)
    found = [Finding("ok" if total >= FEW_PAIRS else "note", f"{total} domain queries to train on")]
    if cut and total - cut >= MANY_ASKED:
        found.append(
            Finding(
                "note",
                f"{cut} of them are cut from the documents, beside {total - cut} that are not: try without (mix.weights.extractive: 0)",
            )
        )
    return found


def test_size(queries: int, origin: str) -> list[Finding]:
    """What so many test queries can show, and how many a difference of 0.05 nDCG@10 needs.

    >>> [finding.level for finding in test_size(40, "synthetic")]
    ['note', 'note']
    """
    shown = 2.8 * _SPREAD / math.sqrt(max(1, queries))
    needed = math.ceil((2.8 * _SPREAD / 0.05) ** 2)
    found = [
        Finding(
            "ok" if shown <= 0.06 else "note",
            f"{queries} {origin} test queries can show a difference of {shown:.3f} nDCG@10 (80 % power); 0.05 needs {needed}",
        )
    ]
    if origin != "curated":
        found.append(
            Finding(
                "note",
                f"the test is {origin}: it measures questions like the training's own; write {needed} judged queries, or as many as you can, for a real one",
            )
        )
    return found


def recall_at_10(ranked: Sequence[Sequence[str]], answers: Sequence[frozenset[str]]) -> float:
    """Mean share of each query's answers among its first ten."""
    shares = [len(set(found[:10]) & right) / len(right) for found, right in zip(ranked, answers, strict=True) if right]
    return float(np.mean(shares)) if shares else 0.0
