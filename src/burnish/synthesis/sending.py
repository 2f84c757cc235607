"""Sending a request and taking its answer, from this machine or from those of a cluster."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import openai

from burnish.compute import LostError
from burnish.synthesis import faults
from burnish.synthesis.faults import Fault
from burnish.synthesis.service import Service

# From the JSON of a request to the bytes of its answer, or why there is none. One try.
Send = Callable[[dict[str, Any]], Awaitable[bytes | Fault]]


@asynccontextmanager
async def sender(service: Service) -> AsyncIterator[Send]:
    """How this run sends requests: by this process, or by the machines of the service's cluster in turn.

    A request under way on a machine that is lost counts as one whose connection broke: it is sent again, and if the service had
    answered it just then, that answer is paid for and lost, as it is when this process is killed. No other can be.

    Raises:
        InputError: requests are sent from here, and the environment holds no key.
    """
    if service.cluster is None:
        async with _client(service) as client:
            yield partial(_answer, client, service.timeout_seconds)
        return
    callers = service.cluster.callers(partial(_caller, replace(service, cluster=None)))

    async def send(sent: dict[str, Any]) -> bytes | Fault:
        try:
            return await callers.call(sent)
        except LostError:
            return Fault("passing", "machine lost")

    yield send


def _caller(service: Service) -> Send:
    """How one machine of a cluster sends requests, with the key that it finds in its own environment."""
    return partial(_answer, _client(service), service.timeout_seconds)


def _client(service: Service) -> openai.AsyncOpenAI:
    """A client whose retries are not used.

    It retries each request by itself, and so goes on asking through the pause that a 429 asked of another; it passes by any
    rate limit; and its timeout is one for each read, which an answer that trickles never reaches.
    """
    return openai.AsyncOpenAI(**service.options(), max_retries=0)


async def _answer(client: openai.AsyncOpenAI, seconds: float, sent: dict[str, Any]) -> bytes | Fault:
    """One request, given up after so many seconds."""
    rest = {name: value for name, value in sent.items() if name not in {"model", "messages"}}
    try:
        async with asyncio.timeout(seconds):
            answer = await client.chat.completions.with_raw_response.create(
                model=sent["model"], messages=sent["messages"], extra_body=rest
            )
    except openai.APIStatusError as error:
        return faults.answered(error)
    except TimeoutError:
        return Fault("passing", "no whole answer in time")
    except openai.APIError as error:
        found = faults.broken(error)
        timed_out = isinstance(error, openai.APITimeoutError) and not found.unreachable
        return replace(found, words="no whole answer in time") if timed_out else found
    return answer.content
