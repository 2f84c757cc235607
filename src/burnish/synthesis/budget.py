"""What one run may still ask for: caps on requests and on dollars, held against the worst that a request can cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.synthesis.prompt import Question
from burnish.synthesis.replies import Reply
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
    """What a run has asked for and spent so far."""

    caps: Caps
    requests: int = 0
    dollars: float = 0.0

    def affordable(self, questions: Sequence[Question]) -> list[Question]:
        """The first of `questions`, as many as the caps allow even if each costs the most that it can.

        So the cap holds whatever the replies turn out to be. They cost less, as a rule: what is left over then affords more.
        """
        left = questions[: max(0, self.caps.max_requests - self.requests)]
        if self.caps.max_dollars is None:
            return list(left)
        found, reserved = [], self.dollars
        for one in left:
            reserved += self.most(one)
            if reserved > self.caps.max_dollars:
                break
            found.append(one)
        return found

    def most(self, one: Question) -> float:
        """The most dollars that a question can cost: a token for each byte in, and all tokens out that it may have."""
        return self.caps.dollars(one.request["model"], most_tokens(one.message), one.request["parameters"]["max_output_tokens"])

    def charge(self, one: Question, reply: Reply) -> None:
        """Count a reply: by the tokens that the server told, else at the most; a request that it turned down is free."""
        if reply.usage:
            cost = self.caps.dollars(one.request["model"], reply.usage["input"], reply.usage["output"])
        else:
            cost = 0.0 if reply.status == "failed-permanently" else self.most(one)
        self.requests += 1
        self.dollars += cost

    def reached(self) -> str:
        """What was asked for, and which cap stands in the way of more."""
        if self.requests >= self.caps.max_requests:
            return f"asked {self.requests} times, as synthesize.max_requests allows"
        return (
            f"asked {self.requests} times for ${self.dollars:.4f}, and of the ${self.caps.max_dollars:g} that "
            "synthesize.max_dollars allows not enough is left for another reply"
        )
