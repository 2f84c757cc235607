"""Few-shot examples: judged training queries that show a language model what users ask here."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from burnish.errors import InputError
from burnish.synthesis.phrases import Phrases
from burnish.synthesis.prompt import harmless

_PLACE = re.compile(r"\{(passage|query)\}")


@dataclass(frozen=True)
class Example:
    """The beginning of a passage, and a query that somebody judged it to answer."""

    passage: str
    query: str


def examples(
    queries: pl.DataFrame, qrels: pl.DataFrame, passages: pl.DataFrame, *, count: int, characters: int
) -> list[Example]:
    """The first `count` judged queries by a hash of their id, so that one more query seldom changes the choice.

    A few pairs serve the whole domain, as in Promptagator (arXiv:2209.11755, section 3.1: 2 to 8 of them).

    Args:
        queries: curated training queries, and no other.
        qrels: their judgments; of a judged document the first passage is shown.
        passages: the table of passages.
        count: at least 1.
        characters: the most of a passage that is shown.

    Raises:
        InputError: a query is held out or not curated, or there are fewer than `count`.
    """
    _reject_held_out(queries)
    texts = dict(queries.select("query_id", "text").iter_rows())
    answers: dict[str, str] = {}
    best = qrels.filter(pl.col("grade") > 0).sort("grade", "target_id", descending=[True, False])
    for query_id, target in best.select("query_id", "target_id").iter_rows():
        if query_id in texts:
            answers.setdefault(query_id, target)
    chosen = sorted(answers, key=lambda one: hashlib.sha256(one.encode()).digest())[:count]
    if len(chosen) < count:
        raise InputError(
            f"synthesize.examples: expected {count} curated training queries with an answer, found {len(chosen)}; judge more "
            "queries of the split train, or lower it"
        )
    shown = _beginnings(passages, {answers[one] for one in chosen}, characters)
    return [Example(shown[answers[one]], texts[one]) for one in chosen]


def written(chosen: Sequence[Example], phrases: Phrases) -> str:
    """The examples as a prompt shows them; nothing for none."""
    if not chosen:
        return ""
    return "\n\n".join([phrases.examples, *(_shown(one, phrases.example) for one in chosen)])


def _shown(one: Example, template: str) -> str:
    """Both places are filled at once: what a passage says is not read as one."""
    values = {"passage": harmless(one.passage), "query": harmless(one.query)}
    return _PLACE.sub(lambda place: values[place[1]], template)


def _reject_held_out(queries: pl.DataFrame) -> None:
    wrong = queries.filter((pl.col("split") != "train") | (pl.col("origin") != "curated"))
    if wrong.height:
        first = wrong.row(0, named=True)
        raise InputError(
            f"synthesize.examples: expected curated training queries alone, found {first['query_id']!r} ({first['origin']}, "
            f"{first['split']}): a held-out query in a prompt would be trained on; run collect again"
        )


def _beginnings(passages: pl.DataFrame, targets: set[str], characters: int) -> dict[str, str]:
    """The first `characters` of each target, a passage or a document's first passage, below its title."""
    own = passages.filter(pl.col("passage_id").is_in(list(targets)) | pl.col("document_id").is_in(list(targets)))
    found: dict[str, str] = {}
    for row in own.sort("document_id", "ordinal").iter_rows(named=True):
        text = f"{row['title']}\n{' '.join(row['text'].split())}".strip()[:characters]
        found[row["passage_id"]] = text
        found.setdefault(row["document_id"], text)
    return found
