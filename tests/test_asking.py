"""Asking, against a real server that misbehaves: no reply is lost, none is paid for twice, and the service's limits hold."""

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import loopback
from asker import SCHEMA, ask_missing, kept, question
from burnish.errors import InputError, UnfinishedError
from burnish.synthesis import asking
from burnish.synthesis.asking import ask
from burnish.synthesis.replies import Reply, ReplyStore
from burnish.synthesis.service import Service
from loopback import Act, cuts, fails, hangs, problem, says, serving, trickles

ASKER = Path(__file__).with_name("asker.py")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that the server expects."""
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def at(server: loopback.Service, **changed: Any) -> Service:
    """Knobs that ask `server`."""
    return Service(server.url, **{"timeout_seconds": 30, "concurrency": 3, "retries": 3, **changed})


def each(numbers: range) -> dict[str, int]:
    """One for each question."""
    return {f"q{number}": 1 for number in numbers}


# Faults that pass


@pytest.mark.parametrize(
    "fault",
    [
        fails(429),
        fails(429, Retry_After="0.2"),
        fails(500),
        fails(503, b"<html>busy</html>", Retry_After="0.2"),
        fails(408),
        fails(529),
        cuts,
    ],
)
def test_a_passing_fault_loses_nothing_and_pays_nothing_twice(tmp_path: Path, fault: Act) -> None:
    """Busy, failing and broken off: the request is sent again, and every question is answered once."""
    faulty = {"q0", "q2"}
    with serving(lambda message, before: fault if message in faulty and not before else says("fine")) as server:
        traffic = ask_missing(tmp_path, at(server), 4)
    assert kept(tmp_path) == dict.fromkeys(each(range(4)), "ok")
    assert server.delivered == each(range(4))
    assert (traffic.answered, sum(traffic.tried_again.values())) == (4, 2)


@pytest.mark.parametrize("silence", [hangs, trickles])
def test_an_answer_that_never_ends_is_given_up(tmp_path: Path, silence: Act) -> None:
    """The time of a request is that of the whole of it: an answer of which a byte comes now and then is no answer."""
    with serving(lambda message, before: silence if message == "q1" and not before else says("fine")) as server:
        traffic = ask_missing(tmp_path, at(server, timeout_seconds=2), 3)
    assert kept(tmp_path) == dict.fromkeys(each(range(3)), "ok")
    assert server.delivered == each(range(3))
    assert traffic.tried_again == {"no whole answer in time": 1}


def test_a_pause_holds_for_all_requests(tmp_path: Path) -> None:
    """Where the service asks one request to wait, no other is begun before that either."""
    moments: list[float] = []

    def script(message: str, before: int) -> Act:
        def late(handler: loopback.Handler) -> None:
            time.sleep(0.4)
            says("fine")(handler)

        def busy(handler: loopback.Handler) -> None:
            moments.append(time.monotonic())
            fails(429, Retry_After="1.5")(handler)

        return busy if message == "q1" and not before else late if message in {"q2", "q3"} else says("fine")

    with serving(script) as server:
        ask_missing(tmp_path, at(server), 8)
    assert len(server.begun) == 9
    assert all(moment >= moments[0] + 1.5 for moment in server.begun[4:])


def test_a_service_that_asks_for_hours_ends_the_run(tmp_path: Path) -> None:
    """A day's limit is not waited for: what was answered is kept, and the user is told how long."""
    busy = fails(429, Retry_After="7200")
    with (
        serving(lambda message, before: says("fine") if message == "q0" else busy) as server,
        pytest.raises(UnfinishedError, match="wait 120 minutes"),
    ):
        ask_missing(tmp_path, at(server, concurrency=1), 3)
    assert kept(tmp_path) == {"q0": "ok"}
    assert sum(server.asked.values()) == 2


def test_one_question_that_the_service_fails_at_costs_itself(tmp_path: Path) -> None:
    """A question that crashes the server is left without a reply; the others are asked, and the next run asks it alone."""
    with serving(lambda message, before: fails(500) if message == "q1" and before < 2 else says("fine")) as server:
        with pytest.raises(UnfinishedError, match="1 of 5 requests got no answer after all retries .HTTP 500."):
            ask_missing(tmp_path, at(server, retries=1), 5)
        assert len(kept(tmp_path)) == 4
        ask_missing(tmp_path, at(server, retries=1), 5)
    assert server.delivered == each(range(5))


@pytest.mark.parametrize("fault", [fails(500), cuts, fails(200, {"choices": []}), fails(200, {"error": {"message": "no"}})])
@pytest.mark.parametrize("at_fault", [{"q0"}, {"q0", "q1"}, {"q3"}])
def test_a_question_that_the_service_fails_at_blocks_no_other(tmp_path: Path, fault: Act, at_fault: set[str]) -> None:
    """Though it is the first that is asked: up to two others, each alone, show that the service works. An answer of status 200
    that holds no completion is such a failure too, at any place.
    """
    with serving(lambda message, before: fault if message in at_fault else says("fine")) as server:
        for _ in range(2):
            with pytest.raises(UnfinishedError, match=f"{len(at_fault)} of . requests got no answer after all retries"):
                ask_missing(tmp_path, at(server, retries=1), 6)
            assert kept(tmp_path) == dict.fromkeys(set(each(range(6))) - at_fault, "ok")
    assert server.asked == {message: 4 if message in at_fault else 1 for message in each(range(6))}


@pytest.mark.parametrize(("fault", "count"), [(fails(500), 3), (cuts, 3), (fails(200, {"choices": []}), 3), (fails(503), 1)])
def test_a_service_that_never_worked_ends_the_run(tmp_path: Path, fault: Act, count: int) -> None:
    """Three questions without an answer, each asked alone, are enough to tell; one, where the service says that it is busy."""
    with serving(lambda message, before: fault) as server, pytest.raises(UnfinishedError, match="every reply so far is kept"):
        ask_missing(tmp_path, at(server, retries=0), 30)
    assert server.asked == each(range(count))


def test_an_address_without_a_server_ends_the_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other question could do better where there is no connection."""
    tried: list[Any] = []
    attempt = asking._Asking._attempt
    monkeypatch.setattr(asking._Asking, "_attempt", lambda self, one, dialect: tried.append(one) or attempt(self, one, dialect))
    with serving() as server:
        gone = at(server, retries=0)
    with pytest.raises(UnfinishedError, match="base_url"):
        ask_missing(tmp_path, gone, 9)
    assert len(tried) == 1


def test_a_service_that_is_gone_ends_the_run(tmp_path: Path) -> None:
    """After three questions in a row without an answer nothing more is asked."""
    with (
        serving(lambda message, before: says("fine") if message in {"q0", "q1"} else fails(502)) as server,
        pytest.raises(UnfinishedError, match="HTTP 502 after all retries"),
    ):
        ask_missing(tmp_path, at(server, retries=0, concurrency=1), 30)
    assert kept(tmp_path) == {"q0": "ok", "q1": "ok"}
    assert sum(server.asked.values()) == 5


# Faults that do not pass


@pytest.mark.parametrize(
    ("fault", "told", "kind"),
    [
        (fails(401, problem(f"Bad key {loopback.KEY}")), "refused the key", InputError),
        (fails(403), "refused the key", InputError),
        (fails(404), "no such model", InputError),
        (fails(400, problem("Only 1 is supported", param="temperature")), "synthesize.temperature", InputError),
        (fails(402), "credit", UnfinishedError),
        (fails(429, problem("Pay first", code="insufficient_quota")), "insufficient_quota", UnfinishedError),
        (fails(405), "HTTP 405", UnfinishedError),
        (fails(200, b"<html>Welcome</html>"), "no chat completion", UnfinishedError),
        (fails(200, [{"choices": []}]), "no chat completion", UnfinishedError),
    ],
)
def test_what_cannot_succeed_is_tried_once(tmp_path: Path, fault: Act, told: str, kind: type[Exception]) -> None:
    """A wrong key, model or parameter, an empty account, a proxy's page: one request, one line without the key, no reply."""
    with serving(lambda message, before: fault) as server, pytest.raises(kind, match=told) as caught:
        ask_missing(tmp_path, at(server), 9)
    assert (sum(server.asked.values()), kept(tmp_path)) == (1, {})
    assert loopback.KEY not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # a traceback would show the body


def test_each_kind_of_bad_reply_has_its_status(tmp_path: Path) -> None:
    """What was refused, empty, cut off or will never be served is a reply of that status, kept and not asked for again."""
    acts = [
        says("fine"),
        says(None, refusal="I cannot."),
        says("", finish_reason="content_filter"),
        fails(400, problem("No.", code="content_filter")),
        says("  "),
        says('{"queries": ["cut', finish_reason="length"),
        fails(400, problem("Too long", code="context_length_exceeded", param="messages")),
        fails(413, b"large"),
        says("this is no JSON at all"),
        says('{"wrong": "schema"}'),
    ]
    with serving(lambda message, before: acts[int(message[1:])]) as server:
        ask_missing(tmp_path, at(server), len(acts))
        ask_missing(tmp_path, at(server), len(acts))
    statuses = [kept(tmp_path)[f"q{number}"] for number in range(len(acts))]
    assert statuses == [
        "ok",
        *["refused"] * 3,
        "empty",
        "truncated",
        *["failed-permanently"] * 2,
        *["ok"] * 2,  # transport was sound; what a reply says is judged by those who asked
    ]
    assert server.asked == each(range(len(acts)))


@pytest.mark.parametrize("usage", [None, "free", {"prompt_tokens": "7"}, {"prompt_tokens": -1, "completion_tokens": 2}])
def test_odd_usage_costs_no_reply(tmp_path: Path, usage: object) -> None:
    """A server that counts tokens in its own way has been paid all the same."""
    with serving(lambda message, before: fails(200, {**loopback.completion("fine"), "usage": usage})) as server:
        ask_missing(tmp_path, at(server, tokens_per_minute=10**9), 1)
    assert [(reply.text, reply.usage) for reply in ReplyStore(tmp_path)] == [("fine", None)]


# The shape of output


def refuses(*shapes: str) -> Callable[[str, int], Act]:
    """A server that does not know some shapes of output."""

    def act(handler: loopback.Handler) -> None:
        shape = handler.server.sent[-1].get("response_format", {"type": "text"})["type"]
        (fails(400, problem(f"'response_format' of type {shape} is not supported")) if shape in shapes else says("fine"))(
            handler
        )

    return lambda message, before: act


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        ((), ["json_schema"] * 5),
        (("json_schema",), ["json_schema", *["json_object"] * 5]),
        (("json_schema", "json_object"), ["json_schema", "json_object", *["text"] * 5]),
    ],
)
def test_the_strictest_shape_that_the_server_knows(tmp_path: Path, unknown: tuple[str, ...], expected: list[str]) -> None:
    """By itself, asking falls back from schema to JSON mode to text; once a run, whatever the concurrency."""
    with serving(refuses(*unknown)) as server:
        traffic = ask_missing(tmp_path, at(server, concurrency=1), 5, SCHEMA)
    assert [one.get("response_format", {"type": "text"})["type"] for one in server.sent] == expected
    assert traffic.outputs == {expected[-1]: 5}
    assert sum(traffic.tried_again.values()) == len(unknown)
    assert server.delivered == each(range(5))


def test_a_schema_is_sent_strict_and_named(tmp_path: Path) -> None:
    """The server gets the question's schema whole; a question without one asks for text."""
    with serving() as server:
        ask_missing(tmp_path / "a", at(server), 1, SCHEMA)
        ask_missing(tmp_path / "b", at(server), 1)
    named = {"name": "queries", "strict": True, "schema": SCHEMA}
    assert server.sent[0]["response_format"] == {"type": "json_schema", "json_schema": named}
    assert "response_format" not in server.sent[1]


def test_a_shape_that_one_question_breaks_is_kept_for_the_others(tmp_path: Path) -> None:
    """Once the server has shown that it knows a shape, a question that it cannot hold to it is asked otherwise, alone."""
    broken = fails(400, problem("Failed to compile the grammar"))
    with serving(lambda message, before: broken if message == "q1" and not before else says("fine")) as server:
        traffic = ask_missing(tmp_path, at(server, concurrency=1), 4, SCHEMA)
    assert traffic.outputs == {"json_schema": 3, "json_object": 1}
    assert len(kept(tmp_path)) == 4


def test_a_shape_that_was_asked_for_by_name_is_not_given_up(tmp_path: Path) -> None:
    """With a shape set, a server that lacks it is an error that names the knob."""
    with serving(refuses("json_schema")) as server, pytest.raises(InputError, match=r"synthesize\.service\.output"):
        ask_missing(tmp_path, at(server, output="json_schema"), 5, SCHEMA)
    assert (sum(server.asked.values()), kept(tmp_path)) == (1, {})


def test_the_other_name_of_the_cap_is_found(tmp_path: Path) -> None:
    """A server that knows `max_completion_tokens` alone is asked by that name from then on."""

    def act(handler: loopback.Handler) -> None:
        old = "max_tokens" in handler.server.sent[-1]
        told = problem("'max_tokens' is not supported with this model.", code="unsupported_parameter", param="max_tokens")
        (fails(400, told) if old else says("fine"))(handler)

    with serving(lambda message, before: act) as server:
        ask_missing(tmp_path, at(server, concurrency=1), 3)
    assert [one.get("max_completion_tokens") for one in server.sent] == [None, 100, 100, 100]


# Limits


def test_no_more_requests_at_once_than_allowed(tmp_path: Path) -> None:
    """`concurrency` requests are under way together, and never more."""
    now, most, lock = itertools.count(), [0], threading.Lock()
    under_way = [0]

    def act(handler: loopback.Handler) -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.05 + 0.001 * next(now))
        with lock:
            under_way[0] -= 1
        says("fine")(handler)

    with serving(lambda message, before: act) as server:
        ask_missing(tmp_path, at(server, concurrency=4), 20)
    assert most == [4]


def test_requests_keep_to_the_rate(tmp_path: Path) -> None:
    """600 a minute are one each tenth of a second, those that are tried again included."""
    with serving(lambda message, before: fails(500) if message == "q3" and not before else says("fine")) as server:
        ask_missing(tmp_path, at(server, requests_per_minute=600), 8)
    assert len(server.begun) == 9
    assert server.begun[-1] - server.begun[0] >= 0.1 * 8 - 0.05


def test_tokens_keep_to_the_rate_by_what_they_turned_out_to_cost(tmp_path: Path) -> None:
    """Each question is expected to cost 101 tokens and costs 10, so that at 3,000 a minute the second one waits 0.2 seconds and not 2."""
    with serving() as server:
        ask_missing(tmp_path, at(server, tokens_per_minute=3000, concurrency=1), 6)
    assert 0.2 * 5 - 0.05 <= server.begun[-1] - server.begun[0] < 2 * 5


# Ends in the middle


def test_when_keeping_fails_what_is_under_way_is_kept(tmp_path: Path) -> None:
    """A caller that has seen enough stops the run: nothing more is asked, and what was asked for is handed over."""
    handed: list[str] = []
    all_in = threading.Barrier(3)

    def keep(reply: Reply) -> None:
        handed.append(reply.text)
        if len(handed) == 2:
            raise InputError("enough")

    def act(handler: loopback.Handler) -> None:
        if handler.message != "q0":
            all_in.wait(30)
        says("fine")(handler)

    with serving(lambda message, before: act) as server, pytest.raises(InputError, match="enough"):
        ask([question(number) for number in range(30)], at(server), keep)
    assert len(handed) == sum(server.delivered.values()) == 4


def started(server: loopback.Service, store: Path, mode: str = "requests") -> "subprocess.Popen[bytes]":
    """Another process that asks twelve questions."""
    words = [sys.executable, str(ASKER), server.url, str(store), "12", mode]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_is_gone_on_with(tmp_path: Path, sent: signal.Signals) -> None:
    """Killed (kill -9) while three requests are under way, which the server answers and charges, but whose answers nobody is left
    to read: the server has answered at most what was kept and as many as `concurrency`. Only these, which no client can save,
    are paid for twice: the next run asks for what has no reply and for nothing that was kept. On Ctrl-C the replies under way
    are waited for, and none is paid for twice.
    """
    under_way, release = threading.Semaphore(0), threading.Event()
    turns = itertools.count(1)

    def act(handler: loopback.Handler) -> None:
        if next(turns) > 6 and not release.is_set():
            if sent is signal.SIGKILL:
                handler.charge()
            under_way.release()
            release.wait(60)
            if sent is signal.SIGKILL:
                handler.close_connection = True
                return
        says("fine")(handler)

    with serving(lambda message, before: act) as server:
        process = started(server, tmp_path)
        for _ in range(3):
            assert under_way.acquire(timeout=60)
        process.send_signal(sent)
        if sent is signal.SIGINT:
            time.sleep(0.5)  # the signal arrives before the answers do
            release.set()
        assert process.wait(60) != 0
        release.set()
        first = set(kept(tmp_path))
        lost = set(server.delivered) - first
        assert (len(first), len(lost)) == ((6, 3) if sent is signal.SIGKILL else (9, 0))
        assert sum(server.delivered.values()) <= len(first) + 3
        ask_missing(tmp_path, at(server), 12)
        assert kept(tmp_path) == dict.fromkeys(each(range(12)), "ok")
        assert server.delivered == each(range(12)) | dict.fromkeys(lost, 2)


def test_a_full_disk_stops_asking(tmp_path: Path) -> None:
    """Where a reply cannot be kept, nothing more is paid for."""
    limited = f"ulimit -f 4; exec {sys.executable} {ASKER} $0 $1 400 requests"
    with serving(lambda message, before: says("long " * 200)) as server:
        done = subprocess.run(["bash", "-c", limited, server.url, str(tmp_path)], capture_output=True, text=True, check=False)
        assert "File too large" in done.stderr
        assert 1 <= len(kept(tmp_path)) <= sum(server.delivered.values()) <= len(kept(tmp_path)) + 3


# The key


@pytest.mark.parametrize("wrong", ["", "two words", "line\nbreak", "ключ"])
def test_without_a_usable_key_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """No key, or one that no header can carry: told by the variable's name, and never shown."""
    monkeypatch.setenv("OPENAI_API_KEY", wrong)
    with serving() as server, pytest.raises(InputError, match="OPENAI_API_KEY") as caught:
        ask_missing(tmp_path, at(server), 1)
    assert not server.asked
    assert not wrong or wrong not in str(caught.value)
