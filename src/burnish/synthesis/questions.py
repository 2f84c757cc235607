"""Questions about subjects, and the replies to them that there are already."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from burnish.synthesis.contents import QUERIES_SCHEMA, SCORES_SCHEMA, Parsed, parsed
from burnish.synthesis.prompt import Prompt, Question, harmless
from burnish.synthesis.replies import Reply, ReplyStore
from burnish.synthesis.reply_language import off_language
from burnish.synthesis.shards import Damage
from burnish.synthesis.subjects import Subject

FOUND = ("replayed", "replayed_by_document", "from_store", "without_reply")  # how a reply was found
TO_ASK = frozenset({"replayed_by_document", "without_reply"})  # of these, where no reply is to the very text
OF_THE_TEXT = frozenset({"ok", "empty", "malformed", "off-language"})  # statuses that the text alone decides


def sampling(max_output_tokens: int, temperature: float, reasoning_effort: str) -> dict[str, Any]:
    """The parameters of any request. An effort that is not set is none, so that it changes no key.

    >>> sampling(400, 1.0, "")
    {'max_output_tokens': 400, 'temperature': 1.0}
    """
    effort = {"reasoning_effort": reasoning_effort} if reasoning_effort else {}
    return {"max_output_tokens": max_output_tokens, "temperature": temperature, **effort}


def question(prompt: Prompt, subject: Subject, *, model: str, parameters: Mapping[str, Any], examples: str) -> Question:
    """The request for queries about `subject`.

    Args:
        prompt: the prompt file.
        subject: what the queries are to be answered by, and how they are to be asked.
        model: the model's name at the service.
        parameters: the count, and those of `sampling`.
        examples: few-shot examples as the prompt shows them; empty for none.
    """
    values = {**subject.values(prompt.phrases), "count": str(parameters["count"]), "examples": examples}
    message = prompt.message(subject.excerpts, values)
    ways = {**subject.ways, **({"examples": _digest(examples)} if examples else {})}
    request = _request(prompt, subject, message, model, parameters)
    return Question(message, {**request, "ways": ways} if ways else request, QUERIES_SCHEMA)


def judge_question(
    prompt: Prompt, subject: Subject, queries: Sequence[str], *, model: str, parameters: Mapping[str, Any]
) -> Question:
    """The request for a judge's scores of `queries`: do the subject's excerpts answer them?"""
    listed = "\n".join(f"{number}. {harmless(query)}" for number, query in enumerate(queries, 1))
    message = prompt.message(
        subject.excerpts, {**subject.values(prompt.phrases), "queries": listed, "count": str(len(queries))}
    )
    return Question(message, _request(prompt, subject, message, model, parameters), SCORES_SCHEMA)


def read(reply: Reply, *, most: int, language: str) -> Parsed:
    """The queries of a reply, and its status by what its text holds; one in another language holds none.

    Args:
        reply: as it came or as it was kept.
        most: queries that were asked for.
        language: ISO 639 code of the queries that were asked for.
    """
    if reply.status not in OF_THE_TEXT:
        return Parsed(reply.status, [])
    found = parsed(reply.text, most=most)
    if found.status == "ok" and off_language("\n".join(found.queries), language):
        return Parsed("off-language", [])
    return found


class Replies:
    """The replies that there are: those recorded with the repository, and those paid for."""

    def __init__(self, recorded: ReplyStore, paid: ReplyStore) -> None:
        """Index the recorded replies by what they are about; the paid ones are found by key."""
        self.paid = paid
        self._recorded = recorded
        self._by_text: dict[tuple[str, str, str], Reply] = {}
        self._by_place: dict[tuple[str, str, int, str], Reply] = {}
        for reply in sorted(recorded, key=lambda one: one.status != "ok"):
            self._by_text.setdefault(_text(reply.request), reply)
            self._by_place.setdefault(_place(reply.request), reply)

    @property
    def damaged(self) -> list[Damage]:
        """The files of both stores that have lost replies."""
        return [*self._recorded.damaged, *self.paid.damaged]

    def about(self, one: Question) -> tuple[Reply | None, str]:
        """The reply that serves a request for queries, and how it was found (FOUND).

        A recorded reply answers whatever model is set, since it is there so that none need be asked; but only for the
        prompt that made it and the ways that it was asked in. Where the excerpt reads otherwise than when it was
        recorded, as after a change of its size or of extraction, the reply for the same place in the document stands in
        as long as nobody is asked: an edited document may no longer answer it, so that its text is asked about (TO_ASK).
        """
        if reply := self._by_text.get(_text(one.request)):
            return reply, "replayed"
        if reply := self.paid.get(one.key):
            return reply, "from_store"
        if reply := self._by_place.get(_place(one.request)):
            return reply, "replayed_by_document"
        return None, "without_reply"

    def exactly(self, one: Question) -> tuple[Reply | None, str]:
        """The reply to this very request, and how it was found."""
        if reply := self._recorded.get(one.key):
            return reply, "replayed"
        reply = self.paid.get(one.key)
        return reply, "from_store" if reply else "without_reply"


def _request(prompt: Prompt, subject: Subject, message: str, model: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": {"file": prompt.file, "sha256": prompt.sha256},
        "excerpt": subject.first.sha256,
        "messages": _digest(message),
        "parameters": dict(parameters),
        "document_id": subject.first.document_id,
        "ordinal": subject.first.ordinal,
    }


def _text(request: Mapping[str, Any]) -> tuple[str, str, str]:
    return request["prompt"]["sha256"], request["excerpt"], _ways(request)


def _place(request: Mapping[str, Any]) -> tuple[str, str, int, str]:
    return request["prompt"]["sha256"], request["document_id"], request["ordinal"], _ways(request)


def _ways(request: Mapping[str, Any]) -> str:
    return json.dumps(request.get("ways", {}), sort_keys=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
