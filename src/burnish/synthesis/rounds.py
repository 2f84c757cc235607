"""Rounds of questions: those of one kind, asked as far as the caps allow, each reply kept as it comes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from burnish.errors import InputError, UnfinishedError
from burnish.synthesis.asking import ask
from burnish.synthesis.batch import submitted
from burnish.synthesis.budget import Budget
from burnish.synthesis.prompt import Question
from burnish.synthesis.questions import TO_ASK
from burnish.synthesis.replies import Reply, ReplyStore, Status
from burnish.synthesis.service import Service


@dataclass(frozen=True)
class Round:
    """Questions of one kind.

    Attributes:
        name: what a message calls the replies.
        questions: in the order of their subjects.
        found: the reply to a question that is there already, and how it was found (questions.FOUND).
        status: the status of the reply to a question, by what its text holds.
        max_bad_share: of the replies, that may be no use.
    """

    name: str
    questions: list[Question]
    found: Callable[[Question], tuple[Reply | None, str]]
    status: Callable[[Question, Reply], Status]
    max_bad_share: float

    def lacks(self, one: Question) -> bool:
        """Whether a question is to be asked: it has no reply, or one that only stands in until somebody is asked."""
        return self.found(one)[1] in TO_ASK

    def missing(self) -> list[Question]:
        """The questions to be asked, each once, in the order of keys.

        Keys are hashes: under a cap, what is asked first is an even sample of the corpus.
        """
        wanted = {one.key: one for one in self.questions if self.lacks(one)}
        return [wanted[key] for key in sorted(wanted)]

    def check_bad(self, statuses: Counter[str], *, expected: int | None = None) -> None:
        """Check that not too many replies are bad.

        Args:
            statuses: of the replies that there are.
            expected: how many there will be, where more are still to come.

        Raises:
            InputError: more are than the knob allows.
        """
        replies = statuses.total() if expected is None else expected
        bad = statuses.total() - statuses["ok"]
        if bad <= self.max_bad_share * replies:
            return
        kinds = ", ".join(f"{number} {kind}" for kind, number in statuses.most_common() if number and kind != "ok")
        raise InputError(
            f"synthesize: {bad} of {replies} {self.name} are no use ({kinds}), where max_bad_share allows {self.max_bad_share}; "
            "change the model, the prompt or max_output_tokens, for off-language `language` of the sources, or raise it"
        )


def complete(wanted: Round, service: Service, budget: Budget, paid: ReplyStore) -> None:
    """Ask for the replies that are missing and keep each in `paid`, with the status that its text gives it.

    Raises:
        InputError: more replies are bad than max_bad_share allows: what follows could only be paid for in vain.
        UnfinishedError: a cap was reached, or the service stopped answering. Every reply is kept.
    """
    waiting = wanted.missing()
    asked = {one.key: one for one in waiting}
    there = [(one, reply) for one in wanted.questions if not wanted.lacks(one) and (reply := wanted.found(one)[0])]
    statuses: Counter[str] = Counter(wanted.status(one, reply) for one, reply in there)

    def keep(reply: Reply) -> None:
        one = asked.get(reply.key)
        if one is None:  # of a batch that an earlier run submitted for other questions: paid for all the same
            paid.put(reply)
            budget.charge(reply, None)
            return
        status = wanted.status(one, reply)
        paid.put(replace(reply, status=status))
        budget.charge(reply, one)
        statuses[status] += 1
        wanted.check_bad(statuses, expected=len(wanted.questions))

    if waiting and service.mode == "batch":
        budget.submit(submitted(service))
    while waiting and ((now := budget.affordable(waiting)) or budget.submitted):
        budget.begin(now)
        ask(now, service, keep, budget.lose)
        budget.submitted.clear()
        waiting = [one for one in waiting if wanted.lacks(one)]
    if waiting:
        raise UnfinishedError(
            f"synthesize: {budget.reached()}, and {len(waiting)} {wanted.name} are still missing; those paid for are kept, nothing "
            "is recorded: run the same command again to spend as much again, raise the cap, or set synthesize.provider to "
            "replay, and accept_coverage to what you accept, to go on with the replies that there are"
        )
