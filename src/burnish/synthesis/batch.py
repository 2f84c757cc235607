"""OpenAI's Batch API: the same questions for half the price, answered within a day, and paid for once whatever crashes."""

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from openai.types import Batch
from tqdm import tqdm

from burnish.errors import InputError, UnfinishedError
from burnish.synthesis import completions, faults
from burnish.synthesis.completions import Dialect
from burnish.synthesis.faults import Fault
from burnish.synthesis.prompt import Question
from burnish.synthesis.remote import ENDPOINT, Remote
from burnish.synthesis.replies import Reply, ReplyStore
from burnish.synthesis.service import Service, Traffic
from burnish.synthesis.tickets import Ticket, Tickets
from burnish.synthesis.tokens import most_tokens

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000  # of one input file, by OpenAI's guide to the Batch API

_FIRST_LOOK, _SLOWEST_LOOK = 0.5, 60.0  # seconds between two looks at the batches under way
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_ENDINGS = {"expired": "expired", "cancelled": "was cancelled"}
_FULL = "token_limit_exceeded"  # more tokens would wait at the service than this account may have waiting


def ask(questions: Sequence[Question], service: Service, keep: Callable[[Reply], None]) -> Traffic:
    """Have each question answered in batches, and hand each reply to `keep`.

    Before a batch is created it is written down, in the folder of the reply store, under a mark that the batch carries. A
    run that follows a crash looks for the mark at the service, waits for what it finds, and submits the rest alone.

    Raises:
        InputError: there is no key, or the service has no Batch API, or refuses the batch, the model or a parameter.
        UnfinishedError: the service does not answer, or could not answer all; what it answered is kept.
    """
    assert service.store is not None, "mode batch needs Service.store"
    remote = Remote(service)
    try:
        with Tickets(service.store, service.address) as tickets:
            return _Asking(service, remote, tickets, keep).all(questions)
    finally:
        remote.close()


def submitted(service: Service) -> list[Ticket]:
    """The batches that earlier runs left at the service, as far as they are written down."""
    return list(Tickets(service.store, service.address)) if service.store else []


def parts(
    questions: Iterable[Question], size: Callable[[Question], int], *, requests: int, total: int
) -> Iterator[list[Question]]:
    """The questions in order, cut so that no part has more than `requests`, or a `total` size of more than that.

    >>> asked = [Question(word, {}) for word in ("one", "two", "three", "four")]
    >>> [[one.message for one in part] for part in parts(asked, lambda one: len(one.message), requests=3, total=9)]
    [['one', 'two'], ['three', 'four']]
    """
    part: list[Question] = []
    filled = 0
    for one in questions:
        more = size(one)
        if part and (len(part) == requests or filled + more > total):
            yield part
            part, filled = [], 0
        part.append(one)
        filled += more
    if part:
        yield part


class _Asking:
    """The batches of one run: those that an earlier one left, those to submit, and what became of their questions."""

    def __init__(self, service: Service, remote: Remote, tickets: Tickets, keep: Callable[[Reply], None]) -> None:
        self._service = service
        self._remote = remote
        self._tickets = tickets
        self._keep = keep
        self._kept: frozenset[str] = frozenset()
        self._unanswered: Counter[str] = Counter()
        self._answered = 0

    def all(self, questions: Sequence[Question]) -> Traffic:
        """Submit, wait, fetch."""
        under_way = [named for one in self._tickets if (named := self._submitted_before(one))]
        if under_way and self._service.store:
            self._kept = frozenset(reply.key for reply in ReplyStore(self._service.store))
        sent = {one.mark: [asked for asked in questions if asked.key in one.requests] for one in under_way}
        taken = {key for one in under_way for key in one.requests}
        fresh = (one for one in questions if one.key not in taken)
        waiting = deque(parts(fresh, lambda one: len(self._line(one)), requests=MOST_REQUESTS, total=MOST_BYTES))
        with tqdm(total=len(questions), desc="ask in batches", unit="request", disable=None) as bar:
            self._run(waiting, under_way, sent, bar.update)
        if self._unanswered:
            told = ", ".join(f"{number} {why}" for why, number in sorted(self._unanswered.items()))
            raise UnfinishedError(
                f"synthesize: {self._unanswered.total()} requests in batches got no answer ({told}); every reply is kept: run "
                "the same command again, which submits only these, or set synthesize.provider to replay to go on without them"
            )
        return Traffic(self._answered)

    def _run(
        self,
        waiting: deque[list[Question]],
        under_way: list[Ticket],
        sent: dict[str, list[Question]],
        done: Callable[[int], object],
    ) -> None:
        """Until nothing waits to be submitted and no batch is under way.

        Args:
            waiting: what to submit, a list for each batch.
            under_way: the tickets of submitted batches.
            sent: the questions of each of these, by mark.
            done: is told the number of requests of each batch that ended.
        """
        pause = _FIRST_LOOK
        full = False
        while waiting or under_way:
            while waiting and not full:
                part = waiting.popleft()
                ticket = self._submitted(part)
                under_way.append(ticket)
                sent[ticket.mark] = part
            time.sleep(pause)
            pause = min(_SLOWEST_LOOK, 1.5 * pause)
            for ticket in list(under_way):
                found = self._remote.look(ticket.batch_id)
                if found.status not in _ENDED:
                    continue
                under_way.remove(ticket)
                pause = _FIRST_LOOK
                full = found.status == "failed" and _FULL in _codes(found)
                if full:
                    self._tickets.drop(ticket)
                    waiting.extendleft(_smaller(sent[ticket.mark], alone=not under_way))
                else:
                    self._fetch(ticket, found)
                    done(len(ticket.requests))
            full = full and bool(under_way)

    def _submitted_before(self, ticket: Ticket) -> Ticket | None:
        """The ticket of a batch that the service has, with its id; another one is dropped, since nothing was paid for it."""
        if ticket.batch_id:
            return ticket
        if batch_id := self._remote.found(ticket.mark):
            return self._tickets.named(ticket, batch_id)
        self._tickets.drop(ticket)
        return None

    def _submitted(self, part: list[Question]) -> Ticket:
        tokens_in = sum(most_tokens(one.message) for one in part)
        ticket = self._tickets.begun({one.key: one.request for one in part}, tokens_in)
        lines = self._tickets.input_file(ticket, map(self._line, part))
        try:
            file = self._remote.uploaded(lines)
        except (InputError, UnfinishedError):
            self._tickets.drop(ticket)
            raise
        finally:
            lines.unlink()
        return self._tickets.named(ticket, self._remote.submitted(ticket.mark, file))

    def _line(self, one: Question) -> bytes:
        """A question as a line of an input file."""
        body = completions.body(one, Dialect.first(self._service, one))
        line = {"custom_id": one.key, "method": "POST", "url": ENDPOINT, "body": body}
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"

    def _fetch(self, ticket: Ticket, batch: Batch) -> None:
        """Keep the replies of a batch that ended, and drop its ticket once every one of them is kept.

        Raises:
            InputError, UnfinishedError: what `keep` raised first, or why the service answered none.
        """
        missing = set(ticket.requests) - self._kept
        stops: list[InputError | UnfinishedError] = []
        unread = 0
        for line in self._remote.results(batch):
            key, found = _result(line, ticket.requests)
            unread += found is None
            if found is None or key not in missing:
                continue
            missing.remove(key)
            try:
                self._take(found)
            except (InputError, UnfinishedError) as error:  # the rest is paid for too
                stops.append(error)
        if unread or (missing and batch.status == "completed"):
            raise UnfinishedError(
                f"synthesize: {max(unread, len(missing))} results of the batch {batch.id} could not be read; all others are kept: run "
                f"the same command again to fetch them again, or remove {self._tickets.path(ticket)} to pay for them again"
            )
        self._tickets.drop(ticket)
        if batch.status == "failed":
            told = ", ".join(sorted(_codes(batch))) or "no reason given"
            stops.append(
                InputError(f"synthesize: the service took none of a batch's requests ({told}); check synthesize.model")
            )
        elif missing:
            self._unanswered[f"in a batch that {_ENDINGS[batch.status]}"] += len(missing)
        if stops:
            raise stops[0]

    def _take(self, found: Reply | Fault) -> None:
        """Keep a reply, or count why there is none.

        Raises:
            InputError, UnfinishedError: what `keep` raises; or the service will answer no request as things stand.
        """
        if isinstance(found, Reply):
            self._answered += 1
            self._keep(found)
        elif found.kind == "passing":
            self._unanswered[found.words] += 1
        else:
            raise found.error()


def _result(line: bytes, requests: Mapping[str, dict[str, Any]]) -> tuple[str, Reply | Fault | None]:
    """The key and the outcome that a line of results tells; nothing where it is torn.

    A request that the service will never serve has a reply too, and is not asked again.
    """
    try:
        told = json.loads(line)
        key, response, error = told["custom_id"], told.get("response"), told.get("error")
        if key not in requests:
            return "", Fault("passing", "nobody's result")
        if not response:
            return key, Fault("passing", str((error or {}).get("code")))
        if response["status_code"] == 200:
            return key, _completed(requests[key], response["body"])
        found = faults.fault(response["status_code"], response["body"])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return "", None
    if found.kind in {"question", "refused"}:
        return key, completions.never(requests[key], found)
    return key, found


def _completed(request: dict[str, Any], body: Any) -> Reply | Fault:
    """The reply in an answer of status 200, which may lack one for good: to fetch it again would not help."""
    try:
        return completions.reply(request, body)
    except (KeyError, TypeError, IndexError, AttributeError):
        return completions.NONE


def _codes(batch: Batch) -> set[str]:
    errors = batch.errors.data if batch.errors and batch.errors.data else []
    return {str(one.code) for one in errors}


def _smaller(part: list[Question], *, alone: bool) -> list[list[Question]]:
    """What to submit instead of a batch that the account had no room for: the same, once another has ended, or its halves.

    Raises:
        UnfinishedError: one request alone had no room.
    """
    if not alone:
        return [part]
    if len(part) < 2:
        raise UnfinishedError(
            "synthesize: the account may have no more tokens waiting at the service; every reply is kept: wait until its other "
            "batches have ended, then run the same command again"
        )
    half = len(part) // 2
    return [part[:half], part[half:]]
