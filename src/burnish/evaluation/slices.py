"""Slices of the test queries: where a model gained and where it lost."""

import math
from collections import Counter
from collections.abc import Iterable

import polars as pl

from burnish import writing
from burnish.tables import SLICE

DOMAIN_RATIO = 10.0  # how many times more frequent in the corpus than in the general set makes a word a domain term
_SHORT = 5  # words; a query of at most so many is short


def labels(queries: pl.DataFrame, seen: frozenset[str], domain_words: frozenset[str]) -> pl.DataFrame:
    """The slices of each query: one row for each (query_id, slice, label).

    Slices: answers (seen or unseen in training), origin, length (short: at most five words), vocabulary (domain-terms: at
    least half of the query's words of three letters or more are domain words), and each slice column of the table. Where
    words run together (Chinese, Thai) pairs of signs stand for words, and a word is as long as `writing.word_count` says.

    Args:
        queries: the test queries.
        seen: ids of those with an answer that some training query has too.
        domain_words: as `domain_words` gives them.
    """
    rows: list[tuple[str, str, str]] = []
    own = [name for name in queries.columns if name.startswith(SLICE)]
    for query in queries.iter_rows(named=True):
        long = [word for word in _words(query["text"]) if writing.width(word) > 2]
        terms = sum(word in domain_words for word in long) * 2 >= max(1, len(long))
        found = {
            "answers": "seen" if query["query_id"] in seen else "unseen",
            "origin": query["origin"],
            "length": "short" if _length(query["text"]) <= _SHORT else "long",
            "vocabulary": "domain-terms" if terms else "plain",
            **{name.removeprefix(SLICE): query[name] for name in own},
        }
        rows += [(query["query_id"], name, label) for name, label in found.items()]
    return pl.DataFrame(rows, schema={"query_id": pl.String, "slice": pl.String, "label": pl.String}, orient="row")


def domain_words(corpus: Iterable[str], general: Iterable[str]) -> frozenset[str]:
    """Words whose share of the corpus's words is at least DOMAIN_RATIO times their share of the general set's.

    Counts are of texts that hold the word, add-one smoothed, so that a word of one long table is no term of the domain, and
    a word that the smaller general set lacks by chance does not become one unless it is common in the corpus.

    >>> sorted(domain_words(["lazy frame"] * 30 + ["the sun"], ["the sun", "the moon"] * 15))
    ['frame', 'lazy']
    """
    here, there = _texts_with(corpus), _texts_with(general)
    sizes = [max(1, sum(counts.values())) for counts in (here, there)]
    return frozenset(
        word
        for word, count in here.items()
        if math.log((count + 1) / sizes[0]) - math.log((there[word] + 1) / sizes[1]) >= math.log(DOMAIN_RATIO)
    )


def seen_queries(queries: pl.DataFrame, qrels: pl.DataFrame, passages: pl.DataFrame) -> frozenset[str]:
    """Ids of the held-out queries one of whose answers is, or is in the document of, a training query's positive."""
    document = dict(passages.select("passage_id", "document_id").iter_rows())
    split = dict(queries.select("query_id", "split").iter_rows())
    named = qrels.filter(pl.col("grade") > 0).with_columns(pl.col("target_id").replace(document))
    trained = {target for query, target in named.select("query_id", "target_id").iter_rows() if split.get(query) == "train"}
    held = named.filter(pl.col("target_id").is_in(list(trained)))["query_id"]
    return frozenset(query for query in held if split.get(query, "train") != "train")


def _texts_with(texts: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(_words(text)))
    return counts


def _length(text: str) -> int:
    return writing.word_count(" ".join(writing.runs(_plain(text))))


def _words(text: str) -> list[str]:
    return writing.terms(_plain(text))


def _plain(text: str) -> str:
    return writing.folded(text).replace("_", " ")
