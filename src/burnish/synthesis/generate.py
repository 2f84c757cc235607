"""Synthetic queries: what a language model, recorded or asked now, or the text itself says that a passage answers."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from burnish.errors import InputError, UnfinishedError
from burnish.synthesis import judging
from burnish.synthesis.batch import submitted
from burnish.synthesis.budget import Budget
from burnish.synthesis.contents import Parsed
from burnish.synthesis.examples import written
from burnish.synthesis.excerpts import excerpts
from burnish.synthesis.extractive import extracted_queries
from burnish.synthesis.judging import Sifted
from burnish.synthesis.pairs import Made, lexical_copy_rate, query_tables
from burnish.synthesis.plan import Part, Plan, part
from burnish.synthesis.prompt import Question
from burnish.synthesis.questions import FOUND, Replies, question, read, sampling
from burnish.synthesis.replies import STATUSES, Reply, ReplyStore, Status
from burnish.synthesis.rounds import Round, complete
from burnish.synthesis.settings import Inputs, Settings, check
from burnish.synthesis.subjects import Subject, Variety, subjects
from burnish.synthesis.tickets import FOLDER
from burnish.synthesis.turns import turn
from burnish.synthesis.verdicts import passed_queries, refused_pairs

_TYPICAL = "x" * 60  # stands for a query that is not written yet, in the plan of what the judge will be asked


@dataclass(frozen=True)
class Synthetic:
    """The tables, their counts, and what differs from run to run: requests and dollars."""

    queries: pl.DataFrame
    qrels: pl.DataFrame
    verdicts: pl.DataFrame
    refused: pl.DataFrame | None  # REFUSED; None where no judge was asked
    counts: dict[str, Any]
    asked: int
    dollars: float


@dataclass(frozen=True)
class _Drafts:
    """Queries before they are tables, in the subjects' order, what is to be counted about their replies, what the judge said."""

    origin: str
    made: Made
    dropped: Counter[str]
    counts: dict[str, Any]
    judged: Sifted | None = None


@dataclass(frozen=True)
class _Work:
    """A run: what is asked about, and the replies that there are."""

    inputs: Inputs
    settings: Settings
    subjects: list[Subject]
    replies: Replies
    budget: Budget

    @cached_property
    def wanted(self) -> Round:
        """The questions for queries, one for each subject."""
        chosen = self.settings
        how = sampling(chosen.max_output_tokens, chosen.temperature, chosen.reasoning_effort)
        parameters = {"count": chosen.count, **how}
        shown = written(self.inputs.examples, chosen.prompt.phrases)
        asked = [
            question(chosen.prompt, one, model=chosen.model, parameters=parameters, examples=shown) for one in self.subjects
        ]
        languages = {one.key: subject.language for one, subject in zip(asked, self.subjects, strict=True)}

        def status(one: Question, reply: Reply) -> Status:
            return read(reply, most=chosen.count, language=languages[one.key]).status

        return Round("replies", asked, self.replies.about, status, chosen.max_bad_share)


def synthetic(inputs: Inputs, settings: Settings, tell: Callable[[Plan], None]) -> Synthetic:
    """Queries and judgments for the passages: the same for the same replies, wherever those lie.

    Args:
        inputs: what queries are made from.
        settings: the knobs.
        tell: is given the plan before anything is asked, and another one where a wait for another process changed it.

    Raises:
        InputError: too many replies are bad, the service cannot be used with these knobs, or a file of replies is damaged
            and some would be asked for.
        UnfinishedError: the service stopped answering, a cap was reached, or too few excerpts have a reply.
    """
    with _opened(inputs, settings) as work:
        plan = _planned(work)
        tell(plan)
        asks = settings.provider == "openai" and plan.requests + plan.submitted > 0
        with _turn(work, plan, tell) if asks else nullcontext():
            drafts = PROVIDERS[settings.provider](work)
    queries, qrels, dropped = query_tables(drafts.made, origin=drafts.origin, max_passages=settings.max_passages_per_query)
    counts = {
        "documents": len({one.first.document_id for one in work.subjects}),
        "excerpts": len(work.subjects),
        **drafts.counts,
        **_ways(drafts.made, settings.variety),
        "queries": {drafts.origin: queries.height},
        "qrels": qrels.height,
        "passages": qrels["target_id"].n_unique(),
        "dropped": dict(sorted((drafts.dropped + dropped).items())),
        "lexical_copy_rate": lexical_copy_rate(queries, qrels, inputs.passages),
    }
    judged = drafts.judged
    verdicts = passed_queries(queries, judged.lowest if judged else {})
    refused = refused_pairs(judged.refused, judged.left, queries) if judged else None
    return Synthetic(queries, qrels, verdicts, refused, counts, work.budget.requests, work.budget.dollars)


def planned(inputs: Inputs, settings: Settings) -> Plan:
    """What `synthetic` would ask for, and what that would cost; nobody is asked and nothing is written."""
    with _opened(inputs, settings) as work:
        return _planned(work)


@contextmanager
def _opened(inputs: Inputs, settings: Settings) -> Iterator[_Work]:
    """The run, after all that can be checked beforehand."""
    check(settings, inputs)
    languages = dict(inputs.documents.select("document_id", "language").iter_rows())
    if unknown := sorted(set(inputs.passages["document_id"].unique()) - set(languages)):
        raise InputError(f"passages name document {unknown[0]!r}, which documents lacks; run extract again")
    cut = excerpts(inputs.passages, characters=settings.excerpt_characters, per_document=settings.excerpts_per_document)
    with ReplyStore(inputs.recorded) as recorded, ReplyStore(inputs.store) as paid:
        about = subjects(cut, languages, settings.variety)
        yield _Work(inputs, settings, about, Replies(recorded, paid), Budget(settings.caps))


@contextmanager
def _turn(work: _Work, plan: Plan, tell: Callable[[Plan], None]) -> Iterator[None]:
    """The turn to ask with the store of paid replies, once nothing of `plan` may be paid for already.

    What another process paid for between the plan and the turn makes another plan.
    """
    plan.check_whole()
    before = _submitted(work)
    with turn(work.inputs.store):
        if work.replies.paid.refresh() or _submitted(work) != before:
            plan = _planned(work)
            tell(plan)
            plan.check_whole()
        plan.check_submitted()
        yield


def _submitted(work: _Work) -> set[str]:
    """The keys of requests in batches under way; none where nobody is asked."""
    batches = submitted(work.settings.service) if work.settings.provider == "openai" else []
    return {key for one in batches for key in one.requests}


def _planned(work: _Work) -> Plan:
    settings, judge = work.settings, work.settings.judge
    parts: list[Part] = []
    if settings.provider != "extractive":
        wanted = work.wanted
        waiting = _submitted(work)
        most = settings.max_output_tokens
        parts.append(part("queries", settings.model, wanted, [], submitted=waiting, max_output_tokens=most))
        if judge.threshold:
            lacks = [wanted.lacks(one) for one in wanted.questions]
            made = [pair for pair, lacking in zip(_read(work).made, lacks, strict=True) if not lacking]
            known = judging.verdicts(judge, made, work.replies, settings.max_bad_share)
            later = [
                judge.question(subject, [_TYPICAL] * settings.count)
                for subject, lacking in zip(work.subjects, lacks, strict=True)
                if lacking
            ]
            most = judge.max_output_tokens
            parts.append(part("judge", judge.model, known, later, submitted=waiting, max_output_tokens=most))
    documents = len({one.first.document_id for one in work.subjects})
    notes, damaged = work.inputs.store / FOLDER, work.replies.damaged
    return Plan(documents, len(work.subjects), settings.provider, parts, settings.caps, settings.service, damaged, notes)


def _replayed(work: _Work) -> _Drafts:
    """Queries from the replies that there are; nobody is called."""
    return _from_replies(work, lambda _: None)


def _asked(work: _Work) -> _Drafts:
    """Queries from all replies, after a language model was asked for those that were missing."""
    return _from_replies(work, lambda wanted: complete(wanted, work.settings.service, work.budget, work.replies.paid))


def _extractive(work: _Work) -> _Drafts:
    """Queries from the passages' own words; no reply is looked at."""
    wanted = work.inputs.passages.select("passage_id", "title", "heading", "text").iter_rows()
    parts = {passage_id: rest for passage_id, *rest in wanted}
    ids = [one.first.passage_id for one in work.subjects]
    made = [
        (one, extracted_queries(*parts[passage_id], count=work.settings.count, seed=passage_id))
        for one, passage_id in zip(work.subjects, ids, strict=True)
    ]
    return _Drafts("extractive", made, Counter(), {})


PROVIDERS: dict[str, Callable[[_Work], _Drafts]] = {"replay": _replayed, "openai": _asked, "extractive": _extractive}


def _from_replies(work: _Work, fetch: Callable[[Round], None]) -> _Drafts:
    """Queries from the replies, after `fetch` had the chance to complete each round of them."""
    settings, judge = work.settings, work.settings.judge
    fetch(work.wanted)
    drafts = _read(work)
    statuses = Counter(drafts.counts["replies"])
    work.wanted.check_bad(statuses)
    replies, wanted = statuses.total(), len(work.subjects)
    if replies < settings.accept_coverage * wanted:
        raise UnfinishedError(
            f"synthesize: {replies} of {wanted} excerpts have a reply, a share of {replies / wanted:.3f}, where "
            f"synthesize.accept_coverage asks for {settings.accept_coverage}; lower it, set synthesize.provider to "
            "openai (with a key) to ask for the rest, or to extractive to do without a model"
        )
    if not judge.threshold:
        return drafts
    verdicts = judging.verdicts(judge, drafts.made, work.replies, settings.max_bad_share)
    fetch(verdicts)
    judged = judging.sifted(judge, drafts.made, verdicts, accept_coverage=settings.accept_coverage)
    return _Drafts(drafts.origin, judged.left, drafts.dropped, {**drafts.counts, "judge": judged.counts}, judged)


def _read(work: _Work) -> _Drafts:
    """The queries in the replies that there are."""
    made: list[tuple[Subject, list[str]]] = []
    dropped: Counter[str] = Counter()
    statuses: Counter[str] = Counter(dict.fromkeys(STATUSES, 0))
    ways: Counter[str] = Counter(dict.fromkeys(FOUND, 0))
    for subject, one in zip(work.subjects, work.wanted.questions, strict=True):
        reply, way = work.wanted.found(one)
        ways[way] += 1
        found = read(reply, most=work.settings.count, language=subject.language) if reply else Parsed("empty", [])
        statuses.update([found.status] if reply else [])
        made.append((subject, found.queries))
        dropped.update(unusable=found.unusable, beyond_count=found.surplus)
    return _Drafts("synthetic", made, dropped, {"replies": dict(statuses), **ways})


def _ways(made: Made, variety: Variety) -> dict[str, Any]:
    """How many queries were made in each of the ways that a knob asks for; nothing for knobs not in use."""
    knobs = {"kind": variety.kinds, "wording": variety.wordings, "persona": variety.personas}
    found: dict[str, Any] = {}
    for name, options in knobs.items():
        if options:
            by_option = Counter(dict.fromkeys(options, 0))
            for subject, queries in made:
                by_option[str(subject.ways[name])] += len(queries)
            found[f"by_{name}"] = dict(by_option)
    if variety.passages_per_query > 1:
        by_size = Counter(dict.fromkeys(range(1, variety.passages_per_query + 1), 0))
        for subject, queries in made:
            by_size[len(subject.excerpts)] += len(queries)
        found["by_passages"] = {str(size): number for size, number in by_size.items()}
    return found
