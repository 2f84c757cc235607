"""What one run may still ask for: caps on requests and on dollars, held against the worst that a request can cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.synthesis.prompt import Question
from burnish.synthesis.replies import Reply
from burnish.synthesis.tickets import Ticket
from burnish.synthesis.tokens import most_tokens

_MILLION = 1_000_000
BATCH_SHARE = 0.5  # of the price, where requests go by the Batch API


class Price(Knobs):
    """Dollars for a million tokens."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]

    def dollars(self, tokens_in: float, tokens_out: float) -> float:
        """What so many tokens cost.

        >>> Price(input=0.25, output=2.0).dollars(1_000_000, 500_000)
        1.25
        """
        return (tokens_in * self.input + tokens_out * self.output) / _MILLION


@dataclass(frozen=True)
class Caps:
    """The most that one run may ask for.

    Attributes:
        max_requests: questions, retries not counted.
        max_dollars: None for no cap.
        prices: by model.
        share: of the price that is paid, 0.5 for batches.
    """

    max_requests: int
    max_dollars: float | None
    prices: Mapping[str, Price]
    share: float = 1.0

    def check(self, models: Sequence[str]) -> None:
        """Check that what is capped has a price.

        Raises:
            InputError: dollars are capped and a model has no price.
        """
        unpriced = [one for one in models if one not in self.prices]
        if self.max_dollars is not None and unpriced:
            raise InputError(
                f"synthesize.prices: expected the price of {unpriced[0]!r}, since max_dollars is {self.max_dollars:g}; found "
                f"{', '.join(sorted(self.prices)) or 'none'}: add `{unpriced[0]}: {{input: ..., output: ...}}` in dollars for "
                "a million tokens (0 for a server of your own), or set max_dollars to null"
            )

    def dollars(self, model: str, tokens_in: float, tokens_out: float) -> float:
        """What so many tokens cost; nothing for a model without a price."""
        price = self.prices.get(model)
        return self.share * price.dollars(tokens_in, tokens_out) if price else 0.0


@dataclass
class Budget:
    """What a run has asked for and spent so far.

    Attributes:
        caps: what it may not pass.
        requests: replies that came.
        dollars: what they cost, and the most that tries can have cost whose answer did not come.
        submitted: the most that each request can cost that is in a batch under way, by its key.
        begun: the most that each question can cost that is being asked, by its key.
    """

    caps: Caps
    requests: int = 0
    dollars: float = 0.0
    submitted: dict[str, float] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)

    def submit(self, batches: Iterable[Ticket]) -> None:
        """Count requests that an earlier run submitted: their replies will come, and cost, whatever else is asked."""
        for one in batches:
            tokens_in = one.tokens_in / max(1, len(one.requests))
            for key, request in one.requests.items():
                self.submitted[key] = self._most(request, tokens_in)

    def affordable(self, questions: Sequence[Question]) -> list[Question]:
        """Those of `questions` that are submitted, and of the others the first, as many as the caps allow even if each costs
        the most that it can.

        So the cap holds whatever the replies turn out to be. They cost less, as a rule: what is left over then affords more.
        """
        found = [one for one in questions if one.key in self.submitted]
        room = max(0, self.caps.max_requests - self.requests - len(self.submitted))
        reserved = self.dollars + sum(self.submitted.values())
        for one in [one for one in questions if one.key not in self.submitted][:room]:
            reserved += self.most(one)
            if self.caps.max_dollars is not None and reserved > self.caps.max_dollars:
                break
            found.append(one)
        return found

    def begin(self, questions: Sequence[Question]) -> None:
        """Reserve the most that each of these can cost, until its reply is charged."""
        self.begun = {one.key: self.most(one) for one in questions if one.key not in self.submitted}

    def most(self, one: Question) -> float:
        """The most dollars that a question can cost: a token for each byte in, and all tokens out that it may have."""
        return self._most(one.request, most_tokens(one.message))

    def charge(self, reply: Reply, one: Question | None) -> None:
        """Count a reply: by the tokens that the server told, else at the most; a request that it turned down is free.

        Args:
            reply: what came.
            one: what it answers; none where a batch brings what is not asked any more.
        """
        request, key = (one.request, one.key) if one else (reply.request, reply.key)
        begun, submitted = self.begun.pop(key, 0.0), self.submitted.pop(key, 0.0)
        if reply.usage:
            cost = self.caps.dollars(request["model"], reply.usage["input"], reply.usage["output"])
        else:
            cost = 0.0 if reply.status == "failed-permanently" else self.most(one) if one else max(begun, submitted)
        self.requests += 1
        self.dollars += cost

    def lose(self, one: Question) -> bool:
        """Count a try whose answer did not come, though the server may have computed and charged it, at the most; whether the
        cap still allows another try at once. If not, what others cost less than they can may afford it later.
        """
        self.dollars += self.most(one)
        if self.caps.max_dollars is None or self.dollars + sum(self.begun.values()) <= self.caps.max_dollars:
            return True
        self.begun.pop(one.key, None)
        return False

    def _most(self, request: Mapping[str, Any], tokens_in: float) -> float:
        return self.caps.dollars(request["model"], tokens_in, request["parameters"]["max_output_tokens"])

    def reached(self) -> str:
        """What was asked for, and which cap stands in the way of more."""
        if self.requests >= self.caps.max_requests:
            return f"asked {self.requests} times, as synthesize.max_requests allows"
        return (
            f"asked {self.requests} times for ${self.dollars:.4f}, and of the ${self.caps.max_dollars:g} that "
            "synthesize.max_dollars allows not enough is left for another reply"
        )
