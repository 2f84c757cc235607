"""Asking a language model: each question once, many at a time, as fast as the service allows, and no reply lost."""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tqdm import tqdm

from burnish.errors import UnfinishedError
from burnish.synthesis import batch, completions, limits, sending
from burnish.synthesis.completions import Dialect
from burnish.synthesis.faults import Fault
from burnish.synthesis.prompt import Question
from burnish.synthesis.replies import Reply
from burnish.synthesis.service import Service, Traffic

_IN_A_ROW = 3  # questions given up, with no reply in between, after which the service counts as gone


def ask(
    questions: Sequence[Question],
    service: Service,
    keep: Callable[[Reply], None],
    lose: Callable[[Question], bool] = lambda _: True,
) -> Traffic:
    """Ask each question and hand each reply to `keep`, in this thread, before anything else happens.

    Args:
        questions: what to ask.
        service: whom.
        keep: gets each reply.
        lose: is told of a try whose answer did not come but may be charged; whether to try again now. If not, the question is
            left without a reply.

    Raises:
        InputError: there is no key in the environment, or the service refuses it, the model or a parameter.
        UnfinishedError: the service cannot be reached or does not answer; what it had answered is kept.
    """
    if service.mode == "batch":
        traffic = batch.ask(questions, service, keep)
    else:
        traffic = asyncio.run(_Asking(service, keep, lose).all(questions))
    print(traffic.told(), file=sys.stderr)
    return traffic


class _ClosedError(Exception):
    """No further request is begun."""


class _Asking:
    """What the requests of one run share: rates, pauses, what was learnt of the server, and whether to go on.

    They are shared wherever the requests leave from: other machines (`sending`) only send what this process begins.
    """

    def __init__(self, service: Service, keep: Callable[[Reply], None], lose: Callable[[Question], bool]) -> None:
        self._service = service
        self._keep = keep
        self._lose = lose
        self._requests = limits.Pace(service.requests_per_minute)
        self._tokens = limits.Pace(service.tokens_per_minute)
        self._paused_until = 0.0
        self._closing = asyncio.Event()
        self._learnt: dict[Dialect, Dialect] = {}
        self._given_up: list[Fault] = []
        self._in_a_row = 0
        self._answered = 0
        self._again: Counter[str] = Counter()
        self._outputs: Counter[str] = Counter()

    async def all(self, questions: Sequence[Question]) -> Traffic:
        """Ask all; the first one alone, so that a wrong key, address or shape of output costs one request. Where the service
        fails at it, a second and a third alone tell whether the question or the service is at fault.
        """
        waiting = iter(questions)
        with tqdm(total=len(questions), desc="ask", unit="request", disable=None) as bar:
            async with sending.sender(self._service) as self._send:
                for _ in range(_IN_A_ROW):
                    if not self._answered:
                        await self._crew(itertools.islice(waiting, 1), 1, bar.update)
                await self._crew(waiting, self._service.concurrency, bar.update)
        if self._given_up:
            told = ", ".join(sorted({one.words for one in self._given_up}))
            raise UnfinishedError(
                f"synthesize: {len(self._given_up)} of {len(questions)} requests got no answer after all retries ({told}); every "
                "other reply is kept: run the same command again, which asks only for these, or set synthesize.provider to "
                "replay to go on without them"
            )
        return Traffic(self._answered, dict(self._again), dict(self._outputs))

    async def _crew(self, waiting: Iterator[Question], workers: int, done: Callable[[int], object]) -> None:
        """Some workers until nothing waits. When one fails, or the user interrupts, no request is begun any more and
        those under way, which may be paid for already, are waited for and kept.
        """
        crew = [asyncio.create_task(self._work(waiting, done)) for _ in range(workers)]
        try:
            ended, _ = await asyncio.wait(crew, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            if any(not one.done() for one in crew):  # one failed, or this was interrupted
                self._closing.set()
                await asyncio.wait(crew)
        failures = [error for one in [*ended, *crew] if (error := one.exception())]
        if failures:
            raise failures[0]

    async def _work(self, waiting: Iterator[Question], done: Callable[[int], object]) -> None:
        try:
            for one in waiting:
                if reply := await self._reply(one):
                    self._keep(reply)
                    self._answered += 1
                done(1)
                if self._closing.is_set():
                    return
        except _ClosedError:
            return
        except BaseException:
            self._closing.set()  # at once: another worker would begin a request before this error is seen
            raise

    async def _reply(self, one: Question) -> Reply | None:
        """The reply to a question, or nothing where it is given up for now."""
        first = Dialect.first(self._service, one)
        dialect = self._learnt.get(first, first)
        tries = 0
        while True:
            found = await self._attempt(one, dialect)
            if isinstance(found, Reply):
                self._learnt.setdefault(first, dialect)
                self._outputs[dialect.output] += 1
                self._in_a_row = 0
                return found
            if found.kind == "passing":
                tries += 1
                affordable = not found.may_cost or self._lose(one)
                if tries > self._service.retries:
                    self._give_up(found)
                    return None
                if not affordable:
                    self._leave(found)
                    return None
                self._again[found.words] += 1
                await self._wait(found, tries)
            elif other := self._otherwise(found, dialect, first):
                self._again[f"{dialect.output}, {dialect.limit} not offered"] += 1
                dialect = other
            else:
                return self._refusal(one, found)

    def _otherwise(self, found: Fault, dialect: Dialect, first: Dialect) -> Dialect | None:
        """How to ask the same once more, where the server did not know this way of asking."""
        if found.kind == "output" and self._service.output == "auto":
            return dialect.looser()
        if found.kind == "limit" and dialect.limit == first.limit:
            return dialect.renamed()
        return None

    def _refusal(self, one: Question, found: Fault) -> Reply:
        """That the service will never answer a question is a reply too, and not asked for again.

        Raises:
            InputError, UnfinishedError: as things stand it will answer none.
        """
        if found.kind == "final" or (found.kind == "output" and self._service.output != "auto" and not self._learnt):
            raise found.error()
        self._in_a_row = 0
        return completions.never(one.request, found)

    async def _wait(self, found: Fault, tries: int) -> None:
        """Wait before another try; where the service is too busy, all requests wait with this one.

        Raises:
            UnfinishedError: the service asks for longer than a run should wait.
        """
        seconds = found.pause(tries)
        if found.status in {429, 503}:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)
        await self._rest(seconds)

    def _give_up(self, found: Fault) -> None:
        """Leave a question without a reply: the service may fail at it alone. Where it fails at all, stop."""
        self._leave(found)
        self._given_up.append(found)

    def _leave(self, found: Fault) -> None:
        """Count a question that got no answer.

        Raises:
            UnfinishedError: several questions in a row were not answered; or none was yet, and it is not for the question.
        """
        self._in_a_row += 1
        if self._in_a_row >= _IN_A_ROW or (found.of_the_service and not self._answered):
            raise found.error()

    async def _attempt(self, one: Question, dialect: Dialect) -> Reply | Fault:
        """One request, begun when rates and pauses allow, and given up when its time is over."""
        cap = one.request["parameters"]["max_output_tokens"]
        expected = limits.estimated_tokens(one.message, cap)
        await self._turn(expected)
        answer = await self._send(completions.body(one, dialect))
        if isinstance(answer, Fault):
            return answer
        try:
            reply = completions.reply(one.request, told := json.loads(answer))
        except (KeyError, TypeError, IndexError, AttributeError):
            return completions.NONE if isinstance(told, dict) or self._answered else completions.NO_SERVICE
        except (ValueError, RecursionError):
            return completions.NONE if self._answered else completions.NO_SERVICE
        if reply.usage:
            self._tokens.correct(sum(reply.usage.values()) - expected)
        return reply

    async def _turn(self, tokens: int) -> None:
        """Wait until a request of this size may begin."""
        await self._unpaused()
        now = time.monotonic()
        await self._rest(max(self._requests.wait(1, now=now), self._tokens.wait(tokens, now=now)))
        await self._unpaused()

    async def _unpaused(self) -> None:
        while (left := self._paused_until - time.monotonic()) > 0:
            await self._rest(left)

    async def _rest(self, seconds: float) -> None:
        """Wait, but for no longer than requests are begun.

        Raises:
            _ClosedError: none is begun any more.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return
        raise _ClosedError
