"""Asks numbered questions through a reply store, as a stage does; run as a program, it can be killed."""

import sys
from pathlib import Path
from typing import Any

from burnish.synthesis.asking import ask
from burnish.synthesis.prompt import Question
from burnish.synthesis.replies import ReplyStore
from burnish.synthesis.service import Service, Traffic

SCHEMA = {
    "title": "queries",
    "type": "object",
    "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
    "required": ["queries"],
    "additionalProperties": False,
}


def question(number: int, schema: dict[str, Any] | None = None) -> Question:
    """The question of this number; its message is the number with a q."""
    parameters = {"count": 4, "max_output_tokens": 100, "temperature": 0.5}
    request = {
        "model": "m",
        "prompt": {"file": "p.txt", "sha256": "0"},
        "excerpt": str(number),
        "messages": f"q{number}",
        "parameters": parameters,
        "document_id": f"d{number}",
        "ordinal": 0,
    }
    return Question(f"q{number}", request, schema)


def ask_missing(store: Path, service: Service, count: int, schema: dict[str, Any] | None = None) -> Traffic:
    """Ask those of the first `count` questions that `store` has no reply to."""
    with ReplyStore(store) as replies:
        missing = [one for number in range(count) if replies.get((one := question(number, schema)).key) is None]
        return ask(missing, service, replies.put)


def kept(store: Path) -> dict[str, str]:
    """The status of each reply in a store, by its question."""
    return {reply.request["messages"]: reply.status for reply in ReplyStore(store)}


if __name__ == "__main__":
    address, folder, number, mode = sys.argv[1:]
    chosen = Service(address, timeout_seconds=30, concurrency=3, mode=mode, store=Path(folder))  # type: ignore[arg-type]
    ask_missing(Path(folder), chosen, int(number))
