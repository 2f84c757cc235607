"""Synthetic queries: replies that are replayed, requests that are paid for once, caps that hold."""

import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from burnish import tables
from burnish.errors import InputError, UnfinishedError
from burnish.synthesis.budget import Price
from burnish.synthesis.contents import parsed
from burnish.synthesis.pairs import lexical_copy_rate
from burnish.synthesis.prompt import Prompt
from burnish.synthesis.questions import FOUND
from burnish.synthesis.replies import STATUSES, ReplyStore, line
from burnish.synthesis.service import Service
from burnish.synthesis.settings import Settings
from burnish.synthesis.shards import Damage
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES
from handmade import PHRASES, SUBJECTS, corpus, documents_of, made, plan, record, settings, table

ROOT = Path(__file__).parent.parent
SECRET = "sk-test-0123456789-not-to-be-seen"


class Model(ThreadingHTTPServer):
    """A loopback server of chat completions that counts what it is asked and answered.

    `answer` gives (status, headers, body) for the document's title and how often it was asked before.
    """

    daemon_threads = True

    def __init__(self, answer: Callable[[str, int], tuple[int, dict[str, str], bytes]]) -> None:
        self.answer = answer
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The base URL to give a client."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions"
        assert self.headers["Authorization"] == f"Bearer {SECRET}"
        found = re.search(r"<excerpt>\n(.*)\n", body["messages"][0]["content"])
        assert found
        with self.server.lock:
            before = self.server.asked[found[1]]
            self.server.asked[found[1]] += 1
            self.server.bodies.append(body)
        status, headers, content = self.server.answer(found[1], before)
        with self.server.lock:
            self.server.answered[found[1]] += status == 200  # paid for, whether or not it arrives
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def completion(text: str | None, **choice: Any) -> tuple[int, dict[str, str], bytes]:
    """A good answer that holds `text`."""
    message = {"role": "assistant", "content": text, "refusal": choice.pop("refusal", None)}
    chosen = {"index": 0, "message": message, "finish_reason": "stop", **choice}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return 200, {}, json.dumps({"id": "1", "object": "chat.completion", "choices": [chosen], "usage": usage}).encode()


def queries(title: str, before: int = 0) -> tuple[int, dict[str, str], bytes]:
    """A good answer: two queries about the title."""
    return completion(json.dumps({"queries": [f"what are {title}", f"make {title} in one call"]}))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Model]]:
    """Starts model servers, and stops them when the test is over."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    running: list[Model] = []

    def start(answer: Callable[[str, int], tuple[int, dict[str, str], bytes]] = queries) -> Model:
        server = Model(answer)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def asking(server: Model, **changed: Any) -> Settings:
    """Settings that ask `server`."""
    service = Service(server.url, timeout_seconds=30, concurrency=3, retries=2)
    return settings(provider="openai", service=service, **changed)


# Replay


def test_recorded_replies_become_queries_and_qrels(tmp_path: Path) -> None:
    """A recorded reply answers whatever model is set; an excerpt without one is counted, not faked."""
    record(tmp_path / "recorded", corpus(3), {"Frames": '["keep columns", "table type"]', "Joins": '["merge two tables"]'})
    found = made(tmp_path, corpus(3), settings(model="another"))
    assert (found.counts["replayed"], found.counts["without_reply"]) == (2, 1)
    assert sorted(found.queries["text"]) == ["keep columns", "merge two tables", "table type"]
    assert set(found.queries["origin"]) == {"synthetic"}
    assert set(found.qrels["target_id"]) == {"Frames#0", "Joins#0"}
    tables.checked(found.queries, QUERIES, "queries")
    tables.checked(found.qrels, QRELS, "qrels")


def test_a_reply_recorded_for_other_text_serves_the_same_place(tmp_path: Path) -> None:
    """After a change of the excerpt's size the document's reply still serves, and is counted apart."""
    record(tmp_path / "recorded", corpus(2), {"Frames": '["keep columns"]'})
    found = made(tmp_path, corpus(2), settings(excerpt_characters=25))
    assert [found.counts[way] for way in ("replayed", "replayed_by_document", "without_reply")] == [0, 1, 1]


def test_a_document_that_reads_otherwise_is_asked_about(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """A reply recorded for the text as it was stands in while nobody is asked. Who asks, asks about the text as it is, once,
    and no query of the old text becomes one of the new; a bad reply to the old text counts against nothing. The plan is the
    same either way.
    """
    record(tmp_path / "recorded", corpus(2), {"Frames": '["keep columns"]', "Joins": '["merge two tables"]'})
    edited = corpus(2).with_columns(pl.col("text").str.replace("Frames hold", "Frames no longer hold"))
    server = serve()
    for chosen in (settings(), asking(server)):
        (part,) = plan(tmp_path, edited, chosen).parts
        assert (part.found, part.asked) == ({"replayed": 1, "replayed_by_document": 1}, 1)
    assert sorted(made(tmp_path, edited, settings()).queries["text"]) == ["keep columns", "merge two tables"]
    assert not server.asked
    found = made(tmp_path, edited, asking(server))
    assert server.asked == {"Frames": 1}
    assert [found.counts[way] for way in FOUND] == [1, 0, 1, 0]
    assert sorted(found.queries["text"]) == ["make Frames in one call", "merge two tables", "what are Frames"]
    assert made(tmp_path, edited, asking(server)).asked == 0

    record(tmp_path / "bad", corpus(1), {"Frames": "no list"})
    strict = {"recorded": tmp_path / "bad", "store": tmp_path / "fresh"}
    assert made(tmp_path, edited[:1], asking(server, max_bad_share=0.0), **strict).counts["replies"]["malformed"] == 0


def test_a_reply_to_another_prompt_does_not_serve(tmp_path: Path) -> None:
    """A new prompt is a new question: what the old one recorded is not passed off as its answer."""
    record(
        tmp_path / "recorded",
        corpus(1),
        {"Frames": '["keep columns"]'},
        settings(prompt=Prompt("q.txt", "Other: {excerpt}", PHRASES)),
    )
    assert made(tmp_path, corpus(1), settings()).counts["without_reply"] == 1


def test_too_few_replies_name_the_knob(tmp_path: Path) -> None:
    """Below accept_coverage the stage stops and says which knob asks for more."""
    record(tmp_path / "recorded", corpus(3), {"Frames": '["keep columns"]'})
    with pytest.raises(UnfinishedError, match="accept_coverage"):
        made(tmp_path, corpus(3), settings(accept_coverage=0.5))


def test_too_many_bad_replies_name_the_knob(tmp_path: Path) -> None:
    """Above max_bad_share the stage fails; at it, the bad ones are counted by kind."""
    record(tmp_path / "recorded", corpus(2), {"Frames": '["keep columns"]', "Joins": "no"})
    assert made(tmp_path, corpus(2), settings(max_bad_share=0.5)).counts["replies"]["malformed"] == 1
    with pytest.raises(InputError, match="max_bad_share"):
        made(tmp_path, corpus(2), settings(max_bad_share=0.4))


def test_one_text_for_several_passages(tmp_path: Path) -> None:
    """A query made for several passages is one query with several answers; made for too many it is dropped."""
    every = {name: json.dumps(["how does it work", f"about {name}"]) for name in SUBJECTS[:3]}
    record(tmp_path / "recorded", corpus(3), every)
    kept = made(tmp_path, corpus(3), settings(max_passages_per_query=3))
    assert (kept.queries.height, kept.qrels.height, kept.counts["dropped"]) == (4, 6, {})
    found = made(tmp_path, corpus(3), settings(max_passages_per_query=2))
    assert (found.queries.height, found.qrels.height, found.counts["dropped"]) == (3, 3, {"too_many_passages": 1})


def test_spellings_of_one_query_are_one_query(tmp_path: Path) -> None:
    """Case, punctuation, accents and white space make no other question, and the first spelling stays."""
    texts = {
        "Frames": ["What's a lien?"],
        "Joins": ["what s a  lien", "is it élan"],
        "Windows": ["What’s a LIEN", "is it elan"],
    }
    record(tmp_path / "recorded", corpus(3), {name: json.dumps(asked) for name, asked in texts.items()})
    found = made(tmp_path, corpus(3), settings(max_passages_per_query=3))
    answers = found.queries.join(found.qrels, on="query_id").group_by("text").len()
    assert dict(answers.iter_rows()) == {"What's a lien?": 3, "is it élan": 2}
    fewer = made(tmp_path, corpus(3), settings(max_passages_per_query=2))
    assert (fewer.queries["text"].to_list(), fewer.counts["dropped"]) == (["is it élan"], {"too_many_passages": 1})


def test_the_same_replies_give_the_same_tables(tmp_path: Path) -> None:
    """The layout of shards, the order of passages, and recorded against paid change no row and no count but the way."""
    texts = {name: json.dumps([f"about {name}", "how does it work"]) for name in SUBJECTS}
    record(tmp_path / "recorded", corpus(), texts)
    one = made(tmp_path, corpus(), settings())
    (shard,) = (tmp_path / "recorded").iterdir()
    for number, part in enumerate(reversed(shard.read_bytes().splitlines(keepends=True))):
        (tmp_path / "recorded" / f"{number}.jsonl").write_bytes(part)
    shard.unlink()
    other = made(tmp_path, corpus().sample(fraction=1.0, shuffle=True, seed=1), settings())
    assert one.queries.equals(other.queries)
    assert one.qrels.equals(other.qrels)
    assert one.counts == other.counts


def test_one_more_document_changes_no_other_query(tmp_path: Path) -> None:
    """Ids of queries come from their own document, so that a new one leaves the others as they are."""
    record(tmp_path / "recorded", corpus(), {name: json.dumps([f"about {name}"]) for name in SUBJECTS})
    less, more = (made(tmp_path, corpus(count), settings()).queries for count in (5, 6))
    assert set(less["query_id"]) < set(more["query_id"])


def test_damaged_recorded_lines_are_reported(tmp_path: Path) -> None:
    """A damaged line is named, and the replies beside it serve."""
    record(tmp_path / "recorded", corpus(2), {"Frames": '["keep columns"]', "Joins": '["merge tables"]'})
    (shard,) = (tmp_path / "recorded").iterdir()
    shard.write_bytes(shard.read_bytes()[:-20])
    assert plan(tmp_path, corpus(2), settings()).damaged == [Damage(shard, 1, 1)]
    assert made(tmp_path, corpus(2), settings()).counts["replayed"] == 1


def test_lexical_copy_rate() -> None:
    """Of "keep values quietly" two words of three stand in the passage; of "xyz" none: (2/3 + 0) / 2."""
    passages = table(("d", "T", "", "Values that we keep."))
    asked = pl.DataFrame([("a", "keep values quietly"), ("b", "xyz")], ["query_id", "text"], orient="row")
    judged = pl.DataFrame({"query_id": ["a", "b"], "target_id": ["d#0", "d#0"]})
    assert lexical_copy_rate(asked, judged, passages) == pytest.approx(1 / 3)


# Extractive


def test_extractive_queries_are_the_passages_own_words(tmp_path: Path) -> None:
    """Without a model: heading and title, first sentence, another sentence; labelled, and the passage stays whole."""
    passages = table(("d", "Frames", "Joins > Left", "Rows are kept. A missing match gives a null value. >>> f(x[1], y[2])"))
    found = made(tmp_path, passages, settings(provider="extractive", accept_coverage=1.0))
    assert sorted(found.queries["text"]) == ["A missing match gives a null value.", "Left Frames", "Rows are kept."]
    assert found.counts["queries"] == {"extractive": 3}
    assert set(found.qrels["origin"]) == {"extractive"}


def test_extractive_keeps_to_the_count(tmp_path: Path) -> None:
    """At most `count` queries a window."""
    assert made(tmp_path, corpus(3), settings(provider="extractive", count=1)).queries.height == 3


# Asking


def test_only_what_is_missing_is_asked_for(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """The recorded are not asked for, the rest once, and a second run asks nothing and makes the same tables."""
    server = serve()
    record(tmp_path / "recorded", corpus(4), {"Frames": '["keep columns"]'})
    one = made(tmp_path, corpus(4), asking(server, accept_coverage=1.0))
    assert server.asked == {"Joins": 1, "Windows": 1, "Graphs": 1}
    other = made(tmp_path, corpus(4), asking(server, accept_coverage=1.0))
    assert (one.asked, other.asked, sum(server.asked.values())) == (3, 0, 3)
    assert (one.queries.equals(other.queries), one.qrels.equals(other.qrels), one.counts == other.counts) == (True,) * 3


def test_the_request_carries_the_knobs(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """Model, temperature and the cap on output reach the service."""
    server = serve()
    made(tmp_path, corpus(1), asking(server, temperature=0.5, max_output_tokens=77))
    assert {name: server.bodies[0][name] for name in ("model", "temperature", "max_tokens")} == {
        "model": "m",
        "temperature": 0.5,
        "max_tokens": 77,
    }


def test_one_more_document_asks_once_more(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """Adding a document asks for that document alone."""
    server = serve()
    made(tmp_path, corpus(3), asking(server))
    made(tmp_path, corpus(4), asking(server))
    assert server.asked == dict.fromkeys(SUBJECTS[:4], 1)


def test_an_effort_is_sent_and_part_of_the_key_only_where_it_is_set(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """So replies that were paid for without one serve on. A recorded reply serves whatever is set."""
    server = serve()
    record(tmp_path / "recorded", corpus(1), {"Frames": '["keep columns"]'})
    made(tmp_path, corpus(2), asking(server))
    found = made(tmp_path, corpus(2), asking(server, reasoning_effort="low"))
    assert [one.get("reasoning_effort") for one in server.bodies] == [None, "low"]
    assert server.asked == {"Joins": 2}
    assert (found.counts["replayed"], found.counts["from_store"]) == (1, 1)
    assert made(tmp_path, corpus(2), asking(server)).asked == 0


def test_a_model_that_does_not_think_names_the_knob(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """One request tells."""
    told = {"error": {"message": "Unsupported parameter", "param": "reasoning_effort", "code": "unsupported_parameter"}}
    server = serve(lambda title, before: (400, {}, json.dumps(told).encode()))
    with pytest.raises(InputError, match=r"synthesize\.reasoning_effort"):
        made(tmp_path, corpus(), asking(server, reasoning_effort="low"))
    assert sum(server.asked.values()) == 1


def test_passing_faults_are_tried_again(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """A 429 with Retry-After and a 500 are tried again by the client, and cost nothing."""
    faults = {"Frames": (429, {"Retry-After": "0"}, b"{}"), "Joins": (500, {}, b"oops")}
    server = serve(lambda title, before: faults[title] if title in faults and not before else queries(title))
    found = made(tmp_path, corpus(3), asking(server))
    assert found.counts["replies"]["ok"] == 3
    assert server.answered == dict.fromkeys(SUBJECTS[:3], 1)


def test_bad_replies_are_kept_by_kind_and_not_paid_for_again(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """Refusals, truncated, empty and malformed replies and requests never to be served have a status and are final."""
    answers = {
        "Frames": completion(None, refusal="I cannot."),
        "Joins": completion('["cut', finish_reason="length"),
        "Windows": completion(""),
        "Graphs": completion("Here you are: one, two"),
        "Paths": (400, {}, b'{"error": {"message": "too long"}}'),
        "Trees": queries("Trees"),
    }
    server = serve(lambda title, before: answers[title])
    found = made(tmp_path, corpus(6), asking(server))
    kinds = ["refused", "truncated", "empty", "malformed", "failed-permanently", "ok"]
    assert found.counts["replies"] == {**dict.fromkeys(STATUSES, 0), **dict.fromkeys(kinds, 1)}
    assert {one.status for one in ReplyStore(tmp_path / "store")} == set(kinds)
    assert made(tmp_path, corpus(6), asking(server)).asked == 0


def test_asking_stops_when_too_many_replies_are_bad(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """Once the allowed share of bad replies is passed for good, nothing more is paid for."""
    server = serve(lambda title, before: completion("no"))
    with pytest.raises(InputError, match="max_bad_share"):
        made(tmp_path, corpus(), asking(server, max_bad_share=0.1))
    assert sum(server.asked.values()) < len(SUBJECTS)


def test_a_cap_stops_the_stage_and_keeps_what_was_paid(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """The cap ends a run with an error that says how to go on; the next run asks for the rest, none twice."""
    server = serve()
    with pytest.raises(UnfinishedError, match="max_requests"):
        made(tmp_path, corpus(5), asking(server, max_requests=3))
    assert len(ReplyStore(tmp_path / "store")) == 3
    assert made(tmp_path, corpus(5), asking(server, max_requests=3)).counts["from_store"] == 5
    assert server.asked == dict.fromkeys(SUBJECTS[:5], 1)


# A question's prompt has some 90 bytes, a token each at the most, and 100 tokens out: 0.0003 dollars at the most. The server
# says 7 and 3 tokens: 0.000013.
PRICES = {"m": Price(input=1.0, output=2.0)}


def test_dollars_are_capped_by_what_a_reply_can_cost(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """No request is begun that could pass the cap; what replies really cost affords further ones; the stage then stops."""
    server = serve()
    chosen = asking(server, prices=PRICES, max_dollars=0.0004)
    with pytest.raises(UnfinishedError, match=r"asked \d times for \$0\.000\d.*synthesize\.max_dollars.*run the same command"):
        made(tmp_path, corpus(), chosen)
    kept = len(ReplyStore(tmp_path / "store"))
    assert 1 < kept == sum(server.answered.values()) < len(SUBJECTS)
    for _ in SUBJECTS:
        try:
            found = made(tmp_path, corpus(), chosen)
            break
        except UnfinishedError:
            pass
    assert found.counts["from_store"] == len(SUBJECTS)
    assert server.answered == dict.fromkeys(SUBJECTS, 1)


def test_what_was_spent_is_what_the_server_told(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """Tokens in at the price of input, tokens out at that of output; half of it by batch."""
    found = made(tmp_path, corpus(4), asking(serve(), prices=PRICES, max_dollars=1.0))
    assert found.dollars == pytest.approx(4 * (7 * 1.0 + 3 * 2.0) / 1_000_000)


def test_without_a_price_dollars_cannot_be_capped(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """Before anything is asked, the error names the model, the knob and both remedies."""
    server = serve()
    with pytest.raises(InputError, match=r"synthesize\.prices: expected the price of 'm'.*max_dollars to null"):
        made(tmp_path, corpus(1), asking(server, max_dollars=1.0))
    assert not server.asked


def test_a_reply_in_another_language_is_no_use(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """It is counted by its kind, kept, not asked for again, and held against max_bad_share."""
    german = completion(json.dumps(["wie verbinde ich zwei Tabellen", "Zeilen verschwinden nach dem Verbinden"]))
    server = serve(lambda title, before: german if title == "Joins" else queries(title))
    found = made(tmp_path, corpus(3), asking(server))
    assert found.counts["replies"]["off-language"] == 1
    assert "Joins#0" not in set(found.qrels["target_id"])
    assert made(tmp_path, corpus(3), asking(server)).asked == 0
    with pytest.raises(InputError, match="1 off-language"):
        made(tmp_path, corpus(3), settings(max_bad_share=0.2))


def test_after_a_cap_replay_goes_on_with_what_there_is(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """Paid replies serve `replay` too, so that a partial set can be accepted without another request."""
    server = serve()
    with pytest.raises(UnfinishedError):
        made(tmp_path, corpus(5), asking(server, max_requests=3))
    found = made(tmp_path, corpus(5), settings(accept_coverage=0.6))
    assert (found.counts["from_store"], found.counts["without_reply"]) == (3, 2)


def test_an_unreachable_service_leaves_the_stage_unfinished(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """A service that nobody listens for is an error that says to run again, not a set of failed replies."""
    server = serve()
    chosen = asking(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(UnfinishedError, match="base_url"):
        made(tmp_path, corpus(1), replace(chosen, service=replace(chosen.service, retries=0)))
    assert not list((tmp_path / "store").glob("*.jsonl"))


@pytest.mark.parametrize(
    ("body", "tries"),
    [(b"<html>proxy</html>", 1), (b"[]", 1), (b'{"choices": []}', 2), (b'{"choices": [{"message": null}]}', 2)],
)
def test_an_answer_that_is_no_completion_leaves_the_stage_unfinished(
    tmp_path: Path, serve: Callable[..., Model], body: bytes, tries: int
) -> None:
    """A proxy's page or an odd body with status 200 is never taken for a reply; where it could be one question's, it is tried
    again.
    """
    server = serve(lambda title, before: (200, {}, body))
    chosen = asking(server)
    with pytest.raises(UnfinishedError, match=r"no chat completion|without a chat completion"):
        made(tmp_path, corpus(1), replace(chosen, service=replace(chosen.service, retries=1)))
    assert sum(server.asked.values()) == tries


def test_a_refused_key_is_told_without_the_key(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """The service's text may repeat the key: only the status is told."""
    server = serve(lambda title, before: (401, {}, json.dumps({"error": {"message": f"bad key {SECRET}"}}).encode()))
    with pytest.raises(InputError, match="401") as caught:
        made(tmp_path, corpus(1), asking(server))
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_without_a_key_nothing_is_asked(tmp_path: Path, serve: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """The key comes from the environment alone; without one the stage says so before any request."""
    server = serve()
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        made(tmp_path, corpus(1), asking(server))
    assert not server.asked


# The stage


KNOBS: dict[str, Any] = {
    "provider": "openai",
    "service": {
        "base_url": "",
        "mode": "requests",
        "output": "auto",
        "timeout_seconds": 60.0,
        "retries": 5,
        "concurrency": 3,
        "requests_per_minute": 0,
        "tokens_per_minute": 0,
    },
    "model": "m",
    "prompt": "general.txt",
    "count": 2,
    "excerpt_characters": 200,
    "excerpts_per_document": 1,
    "kinds": [],
    "wordings": [],
    "personas": [],
    "language": "document",
    "passages_per_query": 1,
    "companions": "document",
    "examples": 0,
    "temperature": 0.0,
    "max_output_tokens": 100,
    "reasoning_effort": "",
    "prices": {"m": {"input": 1.0, "output": 2.0}},
    "max_dollars": 10.0,
    "max_requests": 100,
    "max_bad_share": 0.0,
    "accept_coverage": 1.0,
    "max_passages_per_query": 2,
    "judge": {
        "threshold": 0,
        "model": "m",
        "prompt": "judge.txt",
        "max_output_tokens": 100,
        "temperature": 0.0,
        "reasoning_effort": "",
    },
}

LOCAL = {"engine": "local", "address": "", "cpus": 1}


def at(base_url: str) -> dict[str, Any]:
    """The service's knobs with this address."""
    return {**KNOBS["service"], "base_url": base_url}


def command(folder: Path, **changed: Any) -> list[str]:
    """The stage's command line over a corpus written below `folder`."""
    tables.write(corpus(), PASSAGES, folder / "passages.parquet")
    tables.write(documents_of(corpus()), DOCUMENTS, folder / "documents.parquet")
    (folder / "params.yaml").write_text(yaml.safe_dump({"synthesize": {**KNOBS, **changed}, "compute": LOCAL}))
    places = {
        "params": folder / "params.yaml",
        "passages": folder / "passages.parquet",
        "documents": folder / "documents.parquet",
        "recorded": folder / "recorded",
        "store": folder / "store",
        "prompts": ROOT / "prompts",
        "training": folder / "training",
        "out": folder / "out",
    }
    flags = [part for name, place in places.items() for part in (f"--{name}", str(place))]
    return [sys.executable, str(ROOT / "stages" / "synthesize.py"), *flags]


def run_stage(folder: Path, **changed: Any) -> subprocess.CompletedProcess[str]:
    """Run the stage to its end in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command(folder, **changed), env=environment, capture_output=True, text=True, check=False)


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of each file in `folder`."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.deep
def test_kill_in_the_middle_of_asking_asks_nothing_twice(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """After kill -9 the rerun asks only for what has no reply on disk, and its files equal those of an undisturbed run. What the
    server had answered, those answers included that came when nobody was left to read them, is at most what was kept and as many
    as `concurrency`: only these are paid for twice.
    """
    held, release, turns = threading.Semaphore(0), threading.Event(), itertools.count(1)

    def hold_after_six(title: str, before: int) -> tuple[int, dict[str, str], bytes]:
        if next(turns) > 6 and not release.is_set():
            held.release()
            release.wait(60)
        return queries(title)

    server = serve(hold_after_six)
    line_ = command(tmp_path, service=at(server.url))
    process = subprocess.Popen(line_, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    for _ in range(3):
        assert held.acquire(timeout=60)  # all three threads wait for an answer: what came before is on disk
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {one.request["document_id"] for one in ReplyStore(tmp_path / "store")}
    assert (len(server.asked), len(kept), set(server.answered)) == (9, 6, kept)
    assert not (tmp_path / "out").exists()
    release.set()
    end = time.monotonic() + 60
    while sum(server.answered.values()) < 9:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert sum(server.answered.values()) <= len(kept) + KNOBS["service"]["concurrency"]
    lost = set(server.answered) - kept
    server.asked.clear()

    again = run_stage(tmp_path, service=at(server.url))
    assert again.returncode == 0, again.stderr
    assert server.asked == dict.fromkeys(set(SUBJECTS) - kept, 1)
    assert server.answered == dict.fromkeys(SUBJECTS, 1) | dict.fromkeys(lost, 2)
    (tmp_path / "clean").mkdir()
    undisturbed = run_stage(tmp_path / "clean", service=at(server.url))
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert digests(tmp_path / "out") == digests(tmp_path / "clean" / "out")


@pytest.mark.deep
def test_no_file_or_message_holds_the_key(tmp_path: Path, serve: Callable[..., Model]) -> None:
    """After asking, neither the store nor the tables nor what was printed holds the key."""
    server = serve()
    done = run_stage(tmp_path, service=at(server.url))
    assert done.returncode == 0, done.stderr
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET not in done.stdout + done.stderr
    assert SECRET.encode() not in written


@pytest.mark.deep
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"provider": "telepathy"}, "synthesize.provider"),
        ({"temperature": 3.0}, "synthesize.temperature"),
        ({"service": at("https://user:password@example.org")}, "synthesize.service.base_url"),
        ({"prompt": "../secret.txt"}, "synthesize.prompt"),
        ({"prompt": "absent.txt"}, "absent.txt"),
        ({"wishes": 3}, "unknown knob `synthesize.wishes`"),
        ({"model": "unpriced"}, "synthesize.prices"),
        ({"personas": ["a nurse"]}, "{persona}"),
        ({"judge": {**KNOBS["judge"], "threshold": 7, "prompt": "general.txt"}}, "{queries}"),
        ({"examples": 2, "prompt": "varied.txt"}, "training"),
        ({"provider": "replay"}, "accept_coverage"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    """An impossible knob or too few replies: one clear line, status 2, no output folder."""
    done = run_stage(tmp_path, **changed)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


# The repository's own recorded replies


def test_the_recorded_replies_are_whole_and_of_the_frozen_prompt() -> None:
    """Every recorded line is sound, holds four queries, and names the prompt file as it is in the repository."""
    store = ReplyStore(ROOT / "data" / "replies")
    prompt = Prompt.read(ROOT / "prompts" / "api_reference.txt")
    assert store.damaged == []
    assert len(store) >= 1200
    assert {one.request["prompt"]["sha256"] for one in store} == {prompt.sha256}
    assert {len(parsed(one.text, most=9).queries) for one in store} == {4}
    assert all(line(one) for one in store)
