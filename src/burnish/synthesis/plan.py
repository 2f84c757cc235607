"""The plan: what would be asked for, what it costs and how long it takes, before a cent is spent."""

import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import InputError
from burnish.synthesis.budget import Caps
from burnish.synthesis.prompt import Question
from burnish.synthesis.questions import FOUND
from burnish.synthesis.replies import Reply
from burnish.synthesis.rounds import Round
from burnish.synthesis.service import Service
from burnish.synthesis.shards import Damage
from burnish.synthesis.tokens import TokenCounter, token_counter

_SECONDS = 4  # of one reply, for the time that a plan tells; services differ, and take longer for longer replies


@dataclass(frozen=True)
class Part:
    """One kind of questions: the queries, or the judge's verdicts.

    Attributes:
        found: the questions by how their reply was found.
        asked: requests to make; questions that read the same are one.
        submitted: requests that are in a batch under way, so that they need not be made.
        tokens_in: of these requests; `counted` says how they were counted.
        tokens_out: of their replies; `expected` says how they were estimated.
        most_out: of their replies, if each takes all that it may.
    """

    name: str
    model: str
    found: dict[str, int]
    asked: int
    submitted: int
    tokens_in: int
    tokens_out: int
    most_out: int
    counted: str
    expected: str


@dataclass(frozen=True)
class Plan:
    """What a run would ask for; nothing where queries are made without a model.

    Attributes:
        damaged: files of replies that have lost some.
        notes: where the notes of batches under way lie.
    """

    documents: int
    excerpts: int
    provider: str
    parts: list[Part]
    caps: Caps
    service: Service
    damaged: list[Damage]
    notes: Path

    @property
    def requests(self) -> int:
        """Requests of all parts."""
        return sum(one.asked for one in self.parts)

    @property
    def submitted(self) -> int:
        """Requests of all parts that are in batches under way."""
        return sum(one.submitted for one in self.parts)

    def dollars(self) -> tuple[float, float]:
        """The expected price and the highest possible one, without models that have no price."""
        expected = sum(self.caps.dollars(one.model, one.tokens_in, one.tokens_out) for one in self.parts)
        return expected, sum(self.caps.dollars(one.model, one.tokens_in, one.most_out) for one in self.parts)

    def seconds(self) -> float:
        """The expected time: what the strictest of the rates allows, or the replies that come in at once."""
        tokens = sum(one.tokens_in + one.tokens_out for one in self.parts)
        limits = [self.requests * _SECONDS / self.service.concurrency]
        limits += [60 * self.requests / self.service.requests_per_minute] if self.service.requests_per_minute else []
        limits += [60 * tokens / self.service.tokens_per_minute] if self.service.tokens_per_minute else []
        return max(limits)

    def told(self) -> str:
        """The plan in words, a line for each subject."""
        lines = [f"plan: {self.excerpts} excerpts of {self.documents} documents"]
        if not self.parts:
            return "\n".join([f"{lines[0]}; provider {self.provider} asks nobody", *self._losses()])
        for one in self.parts:
            found = ", ".join(f"{one.found.get(way, 0)} {way}" for way in FOUND)
            waiting = f", {one.submitted} submitted before, in batches under way" if one.submitted else ""
            lines.append(f"  {one.name} by {one.model}: {found} -> {one.asked} requests to make{waiting}")
            if one.asked:
                lines.append(f"    {one.tokens_in:,} tokens in, {one.counted}")
                lines.append(f"    {one.tokens_out:,} tokens out, {one.expected}; {one.most_out:,} at most")
        if self.requests:
            lines += [self._price(), self._time(), self._caps()]
        if self.provider == "replay":
            lines.append("  provider replay makes no request; openai would make these")
        return "\n".join([*lines, *self._losses()])

    def check_whole(self) -> None:
        """Check that nothing would be asked for while replies are lost.

        Which ones a damaged file has lost cannot be read from it, so any question without a reply may be one that was paid for.
        A good copy of the file costs nothing, and whoever pays decides whether there is one: `repair` says that there is none.
        A run that asks for nothing goes on, and so does one that replays: neither can pay twice.

        Raises:
            InputError: a file of replies is damaged, and there are requests to make.
        """
        if self.damaged and self.requests:
            lost = sum(one.lost for one in self.damaged)
            raise InputError(
                f"{', '.join(str(one.path) for one in self.damaged)}: expected whole files of replies, found at least {lost} replies "
                f"lost, which may be among the {self.requests} requests to make and would be paid for again; nothing was asked: put "
                f"back a good copy (from DVC, Git or another machine) or go on without them by {self._repairs()}, then run again; "
                "synthesize.provider replay goes on with the replies that can be read"
            )

    def check_submitted(self) -> None:
        """Check that nothing would be asked for that is in a batch under way, as where mode batch was given up for requests.

        Raises:
            InputError: some would.
        """
        if self.submitted and self.service.mode != "batch":
            raise InputError(
                f"synthesize.service.mode: expected batch, since {self.submitted} of the replies that are missing are in batches under "
                f"way, and would be paid for twice, found {self.service.mode}; nothing was asked: set it to batch and run again, which "
                f"fetches them, then change it; to give these batches up instead, remove their notes in {self.notes}"
            )

    def _losses(self) -> list[str]:
        """A line for each damaged file, and what to do."""
        lines = [
            f"  damaged: {one.path}: {one.sound} replies can be read and are used, at least {one.lost} lost"
            for one in self.damaged
        ]
        if lines:
            stops = ", before anything is asked: what is lost may be paid for already" if self.requests else ""
            lines.append(f"    put back a good copy, or leave out what is lost by {self._repairs()}{stops}")
        return lines

    def _repairs(self) -> str:
        folders = dict.fromkeys(one.path.parent for one in self.damaged)
        return " and ".join(f"`burnish repair {shlex.quote(str(folder))}`" for folder in folders)

    def _price(self) -> str:
        unpriced = sorted({one.model for one in self.parts if one.model not in self.caps.prices})
        if unpriced:
            return f"  price: unknown, since synthesize.prices does not name {', '.join(unpriced)}"
        expected, most = self.dollars()
        half = ", half the price by batch" if self.caps.share < 1 else ""
        return f"  price: ${expected:.2f}, at most ${most:.2f} (by synthesize.prices{half})"

    def _time(self) -> str:
        if self.service.mode == "batch":
            return "  time: up to 24 hours a batch"
        return f"  time: about {_duration(self.seconds())} ({self.service.concurrency} at once, {_SECONDS} seconds a reply assumed)"

    def _caps(self) -> str:
        caps = self.caps
        told = [f"max_requests {caps.max_requests}" + (" stops it before the end" if self.requests > caps.max_requests else "")]
        if caps.max_dollars is None:
            told.append("no max_dollars")
        else:
            stops = " would stop it before the end" if self.dollars()[0] > caps.max_dollars else ""
            told.append(f"max_dollars {caps.max_dollars:g}{stops}")
        return f"  caps of a run: {', '.join(told)}"


def part(
    name: str, model: str, wanted: Round, also: Sequence[Question], *, submitted: Collection[str], max_output_tokens: int
) -> Part:
    """The part of a plan for a round of questions.

    Args:
        name: what is asked for.
        model: who is asked.
        wanted: the questions, and the replies to them that there are.
        also: questions that will be asked too, whose text is not final yet.
        submitted: keys of the questions that are in batches under way.
        max_output_tokens: the most that a reply may have.
    """
    counter = token_counter(model)
    there = [wanted.found(one) for one in wanted.questions]
    missing = wanted.missing()
    asked = [*(one for one in missing if one.key not in submitted), *also]
    each, expected = _output([reply for reply, _ in there if reply], counter, max_output_tokens)
    found = Counter(way for _, way in there) + Counter(without_reply=len(also))
    tokens_in = counter.total([one.message for one in asked])
    tokens_out = round(each * len(asked))
    return Part(
        name,
        model,
        dict(found),
        len(asked),
        len(missing) + len(also) - len(asked),
        tokens_in,
        tokens_out,
        max_output_tokens * len(asked),
        counter.how,
        expected,
    )


def _output(replies: list[Reply], counter: TokenCounter, most: int) -> tuple[float, str]:
    """(tokens of a reply, how known): the mean of the replies that there are, else the most."""
    told = [one.usage["output"] for one in replies if one.usage]
    if told:
        return sum(told) / len(told), f"the mean of {len(told)} replies, as the service told"
    written = [one.text for one in replies if one.text]
    if written:
        sample = written[:: max(1, len(written) // 500)]
        mean = sum(map(counter.count, sample)) / len(sample)
        return min(mean, most), f"the mean of {len(sample)} replies that are there (thinking is not in them)"
    return most, "max_output_tokens for each, since there is no reply to go by"


def _duration(seconds: float) -> str:
    """Seconds in words.

    >>> _duration(50), _duration(300), _duration(9000)
    ('50 seconds', '5 minutes', '2.5 hours')
    """
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"
