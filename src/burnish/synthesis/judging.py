"""A language model as judge: which of the queries that were made do their passages answer?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.errors import UnfinishedError
from burnish.spelling import spelling
from burnish.synthesis.contents import scores
from burnish.synthesis.pairs import Made
from burnish.synthesis.prompt import Prompt, Question
from burnish.synthesis.questions import OF_THE_TEXT, Replies, judge_question, sampling
from burnish.synthesis.replies import STATUSES, Reply, Status
from burnish.synthesis.rounds import Round
from burnish.synthesis.subjects import Subject
from burnish.synthesis.verdicts import Scored


@dataclass(frozen=True)
class Judge:
    """Who judges, and what is kept; each field is a knob that params.yaml explains.

    `threshold` 0 judges nothing, and no prompt is read then.
    """

    threshold: int
    model: str
    prompt: Prompt | None
    max_output_tokens: int
    temperature: float
    reasoning_effort: str

    def question(self, subject: Subject, queries: Sequence[str]) -> Question:
        """One request for the scores of all queries that were made for `subject`."""
        assert self.prompt
        parameters = sampling(self.max_output_tokens, self.temperature, self.reasoning_effort)
        return judge_question(self.prompt, subject, queries, model=self.model, parameters=parameters)


@dataclass(frozen=True)
class Sifted:
    """What became of the queries that were made; those without a score are in neither part.

    Attributes:
        left: what the judge passed.
        lowest: the lowest score of each text left, by `spelling`, as `pairs.query_tables` tells texts apart.
        refused: what is below the threshold.
        counts: of replies by status, of scores, and of what was dropped by reason.
    """

    left: Made
    lowest: Mapping[str, int]
    refused: Scored
    counts: dict[str, Any]


def verdicts(judge: Judge, made: Made, replies: Replies, max_bad_share: float) -> Round:
    """The questions to the judge, one for each subject that queries were made for, in their order."""
    asked = [(judge.question(subject, queries), len(queries)) for subject, queries in made if queries]
    sizes = {one.key: size for one, size in asked}

    def status(one: Question, reply: Reply) -> Status:
        if reply.status not in OF_THE_TEXT:
            return reply.status
        read: Status = "ok" if scores(reply.text, count=sizes[one.key]) else "malformed"
        return read if reply.text.strip() else "empty"

    return Round("verdicts of the judge", [one for one, _ in asked], replies.exactly, status, max_bad_share)


def sifted(judge: Judge, made: Made, round_: Round, *, accept_coverage: float) -> Sifted:
    """What the judge passed and what it refused of `made`.

    Raises:
        InputError: too many verdicts are no use.
        UnfinishedError: too few subjects have a verdict.
    """
    statuses: Counter[str] = Counter(dict.fromkeys(STATUSES, 0))
    given: Counter[int] = Counter(dict.fromkeys(range(1, 11), 0))
    dropped: Counter[str] = Counter({"below_threshold": 0, "unjudged": 0})
    left: list[tuple[Subject, Sequence[str]]] = []
    lowest: dict[str, int] = {}
    refused: list[tuple[Subject, str, int]] = []
    for (subject, queries), one in zip([both for both in made if both[1]], round_.questions, strict=True):
        reply, _ = round_.found(one)
        points: list[int] | None = None
        if reply:
            status = round_.status(one, reply)
            statuses[status] += 1
            points = scores(reply.text, count=len(queries)) if status == "ok" else None
        given.update(points or ())
        scored = list(zip(queries, points or (), strict=False))
        good = [(query, score) for query, score in scored if score >= judge.threshold]
        for query, score in good:
            lowest[spelling(query)] = min(score, lowest.get(spelling(query), score))
        refused += [(subject, query, score) for query, score in scored if score < judge.threshold]
        dropped["below_threshold" if points else "unjudged"] += len(queries) - len(good)
        left.append((subject, [query for query, _ in good]))
    round_.check_bad(statuses)
    if statuses.total() < accept_coverage * len(round_.questions):
        raise UnfinishedError(
            f"synthesize: {statuses.total()} of {len(round_.questions)} subjects have a verdict of the judge, where "
            f"synthesize.accept_coverage asks for a share of {accept_coverage}; set synthesize.provider to openai (with a key) to "
            "ask for the rest, lower accept_coverage, which drops what is unjudged, or set judge.threshold to 0"
        )
    counts = {
        "replies": dict(statuses),
        "scores": {str(score): number for score, number in sorted(given.items())},
        "dropped": dict(dropped),
    }
    return Sifted(left, lowest, refused, counts)
