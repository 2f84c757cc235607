"""Synthetic queries: what a language model, recorded or asked now, or the text itself says that a passage answers."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from burnish import tables, writing
from burnish.documents.sentences import sentences
from burnish.errors import InputError, UnfinishedError
from burnish.synthesis.asking import Prompt, Question, Service, ask, question
from burnish.synthesis.excerpts import Excerpt, excerpts
from burnish.synthesis.replies import STATUSES, Reply, ReplyStore, Status
from burnish.tables import QRELS, QUERIES

_SHORTEST, _LONGEST = 3, 300  # letters of a query; a Chinese sign counts as two
_LONGEST_REPLY = 100_000  # characters; a longer one is not what was asked for
_FENCED = re.compile(r"^\s*```\w*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)
_NO_TEXT = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})  # joiners, which many scripts need, are text
_PROSE = 0.75  # a sentence with a smaller share of letters and spaces is code or a table


@dataclass(frozen=True)
class Settings:
    """How queries are made; params.yaml explains each of the knobs that these are."""

    provider: str
    model: str
    prompt: Prompt
    service: Service
    count: int
    excerpt_characters: int
    excerpts_per_document: int
    temperature: float
    max_output_tokens: int
    max_requests: int
    max_bad_share: float
    accept_coverage: float
    max_passages_per_query: int


@dataclass(frozen=True)
class Parsed:
    """A model's reply as data: its queries, and how many of its items were no query or more than asked for."""

    status: Status
    queries: list[str]
    unusable: int = 0
    surplus: int = 0


@dataclass(frozen=True)
class Synthetic:
    """The tables, their counts, and what differs from run to run: requests made, unreadable lines of the stores."""

    queries: pl.DataFrame
    qrels: pl.DataFrame
    counts: dict[str, Any]
    asked: int
    damaged: dict[str, int]


@dataclass(frozen=True)
class _Work:
    excerpts: list[Excerpt]
    passages: pl.DataFrame
    languages: dict[str, str]
    recorded: ReplyStore
    paid: ReplyStore
    settings: Settings


@dataclass(frozen=True)
class _Drafts:
    """Queries before they are tables: with the excerpt that each was made for, in the excerpts' order."""

    origin: str
    queries: list[tuple[Excerpt, str]]
    dropped: Counter[str]
    replies: dict[str, Any]
    asked: int = 0


def synthetic(passages: pl.DataFrame, documents: pl.DataFrame, settings: Settings, *, recorded: Path, store: Path) -> Synthetic:
    """Queries and judgments for `passages`: the same for the same replies, wherever those lie.

    Args:
        passages: the table of passages.
        documents: the table of documents, which tells each one's language.
        settings: the knobs.
        recorded: the folder of recorded replies.
        store: the folder of the replies that were paid for; made by the first of them.

    Raises:
        InputError: too many replies are bad, or the service cannot be used with these knobs.
        UnfinishedError: the service stopped answering, a cap was reached, or too few excerpts have a reply.
    """
    languages = dict(documents.select("document_id", "language").iter_rows())
    if unknown := sorted(set(passages["document_id"].unique()) - set(languages)):
        raise InputError(f"passages name document {unknown[0]!r}, which documents lacks; run extract again")
    chosen = excerpts(passages, characters=settings.excerpt_characters, per_document=settings.excerpts_per_document)
    with ReplyStore(recorded) as kept, ReplyStore(store) as paid:
        drafts = PROVIDERS[settings.provider](_Work(chosen, passages, languages, kept, paid, settings))
        damaged = {**kept.damaged, **paid.damaged}
    queries, qrels, dropped = _tables(drafts, languages, settings.max_passages_per_query)
    counts = {
        "documents": len({one.document_id for one in chosen}),
        "excerpts": len(chosen),
        **drafts.replies,
        "queries": {drafts.origin: queries.height},
        "qrels": qrels.height,
        "passages": qrels["target_id"].n_unique(),
        "dropped": dict(sorted((drafts.dropped + dropped).items())),
        "lexical_copy_rate": lexical_copy_rate(queries, qrels, passages),
    }
    return Synthetic(queries, qrels, counts, drafts.asked, damaged)


def parsed(text: str, *, most: int) -> Parsed:
    """The queries in a model's reply: a JSON object with a list `queries`, or that list, perhaps fenced as code.

    The reply is data: nothing in it is followed, and what is no string of 3 to 300 letters is left out and counted.

    >>> parsed('{"queries": ["pin a  version", 7, "pin a version"]}', most=4)
    Parsed(status='ok', queries=['pin a version'], unusable=2, surplus=0)
    >>> parsed("Sure! Here they are.", most=4).status
    'malformed'
    """
    if not text.strip():
        return Parsed("empty", [])
    value = _json(text)
    listed = value.get("queries") if isinstance(value, dict) else value
    if not isinstance(listed, list):
        return Parsed("malformed", [])
    queries = list(dict.fromkeys(query for one in listed if (query := _usable(one))))
    status: Status = "ok" if queries else "malformed" if listed else "empty"
    return Parsed(status, queries[:most], len(listed) - len(queries), max(0, len(queries) - most))


def extracted_queries(title: str, heading: str, text: str, *, count: int, seed: str) -> list[str]:
    """At most `count` queries that a passage's own words make, for those who have no language model.

    Heading and title; the first sentence; and one other sentence, picked by a hash of `seed` (the inverse cloze task:
    Lee et al. 2019, arXiv:1906.00300, where a sentence stays in its passage one time in ten; here always, since a
    passage is what it is at search time). They teach a model to match words, hence an origin of their own.

    >>> text = "Joins two frames by a key. Rows without a match are left out."
    >>> extracted_queries("Frames", "Joins", text, count=3, seed="a")
    ['Joins Frames', 'Joins two frames by a key.', 'Rows without a match are left out.']
    """
    prose = [one for one in map(_usable, sentences(" ".join(text.split()))) if one and _is_prose(one)]
    others = [one for one in prose[1:] if writing.width(one) >= 20]
    pick = int(hashlib.sha256(seed.encode()).hexdigest(), 16)
    candidates = [_usable(f"{heading.rsplit(' > ', 1)[-1]} {title}"), *prose[:1]]
    candidates += [others[pick % len(others)]] if others else []
    return list(dict.fromkeys(one for one in candidates if one))[:count]


def lexical_copy_rate(queries: pl.DataFrame, qrels: pl.DataFrame, passages: pl.DataFrame) -> float:
    """The mean share, 0 to 1, of a query's words that stand in the passage judged to answer it.

    At 1 the queries teach nothing that BM25 does not know.
    """
    pairs = qrels.join(queries.select("query_id", "text"), on="query_id", maintain_order="left")
    answering = passages.filter(pl.col("passage_id").is_in(pairs["target_id"].unique().to_list()))
    texts = zip(answering["passage_id"], tables.embedded_text(answering), strict=True)
    words = {passage_id: _words(text) for passage_id, text in texts}
    shares = [
        len(asked & words[passage_id]) / len(asked)
        for passage_id, text in pairs.select("target_id", "text").iter_rows()
        if (asked := _words(text))
    ]
    return sum(shares) / len(shares) if shares else 0.0


def _replayed(work: _Work) -> _Drafts:
    """Queries from the replies that there are; nobody is called."""
    return _drafts(work, _questions(work), asked=0)


def _asked(work: _Work) -> _Drafts:
    """Queries from all replies, after a language model was asked for those that were missing."""
    settings, questions = work.settings, _questions(work)
    answers = _answers(work, questions)
    missing = {one.key: one for one, (reply, _) in zip(questions, answers, strict=True) if reply is None}
    bad = Counter(reply.status != "ok" for reply, _ in answers if reply)[True]
    bearable = settings.max_bad_share * len(questions)

    def keep(reply: Reply) -> None:
        nonlocal bad
        judged = _judged(reply, settings.count)
        work.paid.put(judged)
        bad += judged.status != "ok"
        if bad > bearable:  # the stage can only fail: stop paying
            raise _too_bad(bad, len(questions), settings)

    # In the order of keys, which are hashes: under a cap, what is asked first is an even sample of the corpus.
    now = [missing[one] for one in sorted(missing)][: settings.max_requests]
    if now:
        ask(now, settings.service, keep)
    if len(now) < len(missing):
        raise UnfinishedError(
            f"synthesize: asked {len(now)} times, as synthesize.max_requests allows, and {len(missing) - len(now)} "
            "excerpts still have no reply; every reply is kept: run the same command again to ask for more, raise "
            "max_requests, or set synthesize.provider to replay to go on with the replies that there are"
        )
    return _drafts(work, questions, asked=len(now))


def _extractive(work: _Work) -> _Drafts:
    """Queries from the passages' own words; no reply is looked at."""
    wanted = work.passages.select("passage_id", "title", "heading", "text").iter_rows()
    parts = {passage_id: rest for passage_id, *rest in wanted}
    made = [
        (one, query)
        for one in work.excerpts
        for query in extracted_queries(*parts[one.passage_id], count=work.settings.count, seed=one.passage_id)
    ]
    return _Drafts("extractive", made, Counter(), {})


PROVIDERS: dict[str, Callable[[_Work], _Drafts]] = {"replay": _replayed, "openai": _asked, "extractive": _extractive}


def _questions(work: _Work) -> list[Question]:
    chosen = work.settings
    parameters = {
        "count": chosen.count,
        "max_output_tokens": chosen.max_output_tokens,
        "temperature": chosen.temperature,
    }
    return [
        question(chosen.prompt, one, model=chosen.model, language=work.languages[one.document_id], parameters=parameters)
        for one in work.excerpts
    ]


def _answers(work: _Work, questions: Iterable[Question]) -> list[tuple[Reply | None, str]]:
    """The reply to each question, and how it was found.

    A recorded reply answers whatever model is set, since it is there so that none need be asked; but only for the
    prompt that made it. Where the excerpt reads otherwise than when it was recorded, as after a change of its size or
    of extraction, the reply for the same place in the document stands in.
    """
    by_text: dict[tuple[str, str], Reply] = {}
    by_place: dict[tuple[str, str, int], Reply] = {}
    for reply in sorted(work.recorded, key=lambda one: one.status != "ok"):
        asked = reply.request
        by_text.setdefault((asked["prompt"]["sha256"], asked["excerpt"]), reply)
        by_place.setdefault((asked["prompt"]["sha256"], asked["document_id"], asked["ordinal"]), reply)
    prompt = work.settings.prompt.sha256

    def answer(one: Question) -> tuple[Reply | None, str]:
        if found := by_text.get((prompt, one.request["excerpt"])):
            return found, "replayed"
        if found := work.paid.get(one.key):
            return found, "from_store"
        if found := by_place.get((prompt, one.request["document_id"], one.request["ordinal"])):
            return found, "replayed_by_document"
        return None, "without_reply"

    return [answer(one) for one in questions]


def _drafts(work: _Work, questions: Sequence[Question], *, asked: int) -> _Drafts:
    settings = work.settings
    made: list[tuple[Excerpt, str]] = []
    dropped: Counter[str] = Counter()
    statuses: Counter[str] = Counter(dict.fromkeys(STATUSES, 0))
    ways: Counter[str] = Counter({"replayed": 0, "replayed_by_document": 0, "from_store": 0, "without_reply": 0})
    for one, (reply, way) in zip(work.excerpts, _answers(work, questions), strict=True):
        ways[way] += 1
        if reply is None:
            continue
        read = parsed(reply.text, most=settings.count) if reply.status == "ok" else Parsed(reply.status, [])
        statuses[read.status] += 1
        made += [(one, query) for query in read.queries]
        dropped.update(unusable=read.unusable, beyond_count=read.surplus)
    _reject_unfinished(statuses, len(questions), settings)
    return _Drafts("synthetic", made, dropped, {"replies": dict(statuses), **ways}, asked)


def _reject_unfinished(statuses: Counter[str], excerpts_: int, settings: Settings) -> None:
    replies = statuses.total()
    bad = replies - statuses["ok"]
    if bad > settings.max_bad_share * replies:
        raise _too_bad(bad, replies, settings)
    if replies < settings.accept_coverage * excerpts_:
        raise UnfinishedError(
            f"synthesize: {replies} of {excerpts_} excerpts have a reply, a share of {replies / excerpts_:.3f}, where "
            f"synthesize.accept_coverage asks for {settings.accept_coverage}; lower it, set synthesize.provider to "
            "openai (with a key) to ask for the rest, or to extractive to do without a model"
        )


def _too_bad(bad: int, replies: int, settings: Settings) -> InputError:
    return InputError(
        f"synthesize: {bad} of {replies} replies are refused, empty, truncated, malformed or failed for good, where "
        f"max_bad_share allows {settings.max_bad_share}; change the model, the prompt or max_output_tokens, or raise it"
    )


def _judged(reply: Reply, count: int) -> Reply:
    return replace(reply, status=parsed(reply.text, most=count).status) if reply.status == "ok" else reply


def _tables(drafts: _Drafts, languages: dict[str, str], max_passages: int) -> tuple[pl.DataFrame, pl.DataFrame, Counter[str]]:
    """Queries and qrels; a text that was made for several passages is one query with several answers, or dropped."""
    dropped: Counter[str] = Counter()
    groups: dict[str, dict[str, tuple[Excerpt, str]]] = {}
    for excerpt, text in drafts.queries:
        answers = groups.setdefault(text.casefold(), {})
        dropped["repeated"] += excerpt.passage_id in answers
        answers.setdefault(excerpt.passage_id, (excerpt, text))
    queries: list[tuple[Any, ...]] = []
    qrels: list[tuple[Any, ...]] = []
    for answers in groups.values():
        if len(answers) > max_passages:
            dropped["too_many_passages"] += 1
            continue
        excerpt, text = next(iter(answers.values()))
        query_id = _query_id(excerpt, text)
        queries.append((query_id, text, languages[excerpt.document_id], drafts.origin, "train"))
        qrels += [(query_id, passage_id, "passage", 1, 1.0, drafts.origin) for passage_id in answers]
    return _frame(queries, QUERIES), _frame(qrels, QRELS), dropped


def _frame(rows: list[tuple[Any, ...]], table: tables.Table) -> pl.DataFrame:
    return pl.DataFrame(rows, table.columns, orient="row").sort(table.key)


def _query_id(excerpt: Excerpt, text: str) -> str:
    return "syn-" + hashlib.sha256(f"{excerpt.document_id}\0{excerpt.ordinal}\0{text}".encode()).hexdigest()[:16]


def _json(text: str) -> object:
    fenced = _FENCED.match(text)
    try:
        return json.loads(fenced[1] if fenced else text) if len(text) <= _LONGEST_REPLY else None
    except (ValueError, RecursionError):
        return None


def _usable(value: object) -> str | None:
    """A query on one line, or nothing where the value is none: no string, too short, too long, or no valid text."""
    if not isinstance(value, str):
        return None
    text = " ".join("".join(" " if unicodedata.category(one) in _NO_TEXT else one for one in value).split())
    return text if _SHORTEST <= writing.width(text) <= _LONGEST else None


def _is_prose(sentence: str) -> bool:
    letters = "".join(one for one in sentence if unicodedata.category(one)[0] in "LM" or one == " ")
    return writing.width(letters) >= _PROSE * writing.width(sentence)


def _words(text: str) -> set[str]:
    return set(writing.terms(writing.folded(text)))
