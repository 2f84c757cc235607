"""Asking in batches, against a real server: each question is computed once, whatever crashes, and every reply is kept."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import loopback
from asker import SCHEMA, ask_missing, kept, question
from burnish.errors import InputError, UnfinishedError
from burnish.synthesis import batch, limits, remote
from burnish.synthesis.replies import Reply, ReplyStore
from burnish.synthesis.service import Service
from burnish.synthesis.tickets import Tickets
from loopback import completion, cuts, fails, problem, serving

ASKER = Path(__file__).with_name("asker.py")
ALL = {f"q{number}": "ok" for number in range(12)}
ONCE = dict.fromkeys(ALL, 1)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that the server expects."""
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def at(server: loopback.Service, store: Path, **changed: Any) -> Service:
    """Knobs that ask `server` in batches."""
    return Service(
        server.url, **{"timeout_seconds": 30, "concurrency": 3, "retries": 2, "mode": "batch", "store": store, **changed}
    )


def tickets(store: Path) -> list[Path]:
    """The notes of batches under way."""
    return sorted((store / "batches").glob("*"))


def started(server: loopback.Service, store: Path) -> "subprocess.Popen[bytes]":
    """Another process that asks twelve questions in batches."""
    words = [sys.executable, str(ASKER), server.url, str(store), "12", "batch"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_batch_is_submitted_waited_for_and_kept(tmp_path: Path) -> None:
    """One file, one batch, a reply for each question with what it cost, and nothing left of the way there."""
    with serving() as server:
        traffic = ask_missing(tmp_path, at(server, tmp_path), 12, SCHEMA)
    assert (kept(tmp_path), server.delivered, len(server.batches), traffic.answered) == (ALL, ONCE, 1, 12)
    assert {one["response_format"]["type"] for one in server.sent} == {"json_schema"}
    assert {(reply.text, str(reply.usage)) for reply in ReplyStore(tmp_path)} >= {("about q3", "{'input': 7, 'output': 3}")}
    assert tickets(tmp_path) == []


def test_a_reply_of_a_batch_is_that_of_a_request(tmp_path: Path) -> None:
    """The same question has the same key and the same bytes in the store, whichever way it was asked."""
    with serving() as server:
        ask_missing(tmp_path / "batch", at(server, tmp_path / "batch"), 3)
        ask_missing(tmp_path / "requests", at(server, tmp_path, mode="requests", concurrency=1), 3)
    one, other = (list(ReplyStore(tmp_path / name)) for name in ("batch", "requests"))
    assert one == other


@pytest.mark.parametrize(
    ("call", "pending"),
    [
        ("POST files", 0),  # killed when the file is up, before its answer: no batch was created
        ("POST batches", 1),  # killed when the batch is created, before its id is known
        ("GET batches", 1),  # killed when it is looked at
        ("GET files", 1),  # killed when it is computed and fetched
    ],
)
def test_kill_at_any_moment_pays_nothing_twice(tmp_path: Path, call: str, pending: int) -> None:
    """After kill -9 the next run finds the batch by its id or its mark, and submits nothing that the service has."""
    with serving() as server:
        box: list[subprocess.Popen[bytes]] = []

        def kill() -> None:
            while not box:
                time.sleep(0.01)
            box[0].send_signal(signal.SIGKILL)
            box[0].wait()

        server.after[call] = kill
        box.append(started(server, tmp_path))
        assert box[0].wait(90) == -signal.SIGKILL
        assert (len(server.batches), kept(tmp_path)) == (pending, {})
        assert len(list((tmp_path / "batches").glob("*.json"))) == 1
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered, len(server.batches)) == (ALL, ONCE, 1)
    assert tickets(tmp_path) == []


def test_a_crash_amid_keeping_keeps_the_rest_once(tmp_path: Path) -> None:
    """Replies that were kept before a crash are neither paid for nor kept again when the batch is fetched again."""
    with serving() as server, ReplyStore(tmp_path) as replies:
        asked = [question(number) for number in range(12)]

        def keep(reply: Reply) -> None:
            if len(replies) == 5:
                raise OSError(28, "No space left on device")
            replies.put(reply)

        with pytest.raises(OSError, match="No space"):
            batch.ask(asked, at(server, tmp_path), keep)
        assert (len(kept(tmp_path)), len(tickets(tmp_path))) == (5, 1)
        again: list[Reply] = []
        left = [one for one in asked if replies.get(one.key) is None]
        batch.ask(left, at(server, tmp_path), again.append)
    assert (len(again), server.delivered, tickets(tmp_path)) == (7, ONCE, [])


def test_replies_that_are_no_longer_asked_for_are_kept_too(tmp_path: Path) -> None:
    """A batch that was paid for is fetched whole, even if by now fewer questions, or others, are asked."""
    with serving() as server:
        server.computing.clear()
        process = started(server, tmp_path)
        while not server.calls["GET batches"]:
            time.sleep(0.02)
        process.kill()
        process.wait()
        server.computing.set()
        ask_missing(tmp_path, at(server, tmp_path), 2)
    assert (kept(tmp_path), server.delivered) == (ALL, ONCE)


def test_what_keeping_raises_comes_after_all_is_kept(tmp_path: Path) -> None:
    """A caller that has seen enough bad replies gets the rest of the batch too: it is paid for."""
    seen: list[str] = []

    def keep(reply: Reply) -> None:
        seen.append(reply.request["messages"])
        if len(seen) > 3:
            raise InputError(f"too bad at {len(seen)}")

    with serving() as server, pytest.raises(InputError, match="too bad at 4"):
        batch.ask([question(number) for number in range(12)], at(server, tmp_path), keep)
    assert (len(seen), tickets(tmp_path)) == (12, [])


def test_each_result_has_its_status(tmp_path: Path) -> None:
    """What the service will not serve is kept by kind; what only failed is counted, told, and submitted again by the next run."""
    script = {
        "q0": (400, problem("Too long", code="context_length_exceeded", param="messages")),
        "q1": (400, problem("No", code="content_filter")),
        "q2": (200, completion(None, refusal="I cannot.")),
        "q3": (200, completion("cut", finish_reason="length")),
        "q4": (500, problem("oops")),
        "q5": (0, "batch_expired"),
        "q6": (200, {"choices": []}),  # to fetch it again would bring the same
    }
    with serving() as server:
        server.batch_script = lambda message: script.get(message, (200, completion("fine")))
        with pytest.raises(
            UnfinishedError,
            match=r"3 requests in batches got no answer .1 HTTP 200 without a chat completion, 1 HTTP 500, 1 batch_expired.",
        ):
            ask_missing(tmp_path, at(server, tmp_path), 8)
        found = kept(tmp_path)
        script.clear()
        ask_missing(tmp_path, at(server, tmp_path), 8)
    bad = {"q0": "failed-permanently", "q1": "refused", "q2": "refused", "q3": "truncated"}
    assert found == {**bad, "q7": "ok"}
    assert kept(tmp_path) == {**found, "q4": "ok", "q5": "ok", "q6": "ok"}
    assert server.asked == {f"q{number}": 1 + (number in {4, 5, 6}) for number in range(8)}
    assert max(count for message, count in server.delivered.items() if message != "q6") == 1


@pytest.mark.parametrize(("ending", "told"), [("expired", "in a batch that expired"), ("cancelled", "that was cancelled")])
def test_a_batch_that_ended_early_gives_what_it_has(tmp_path: Path, ending: str, told: str) -> None:
    """Of an expired or cancelled batch the answers are kept; the rest is told, and the next run submits it alone."""
    with serving() as server:
        server.ending = ending
        compute = server.compute

        def half(one: dict[str, Any]) -> None:
            lines = server.files[one["input_file_id"]].splitlines(keepends=True)
            server.files[one["input_file_id"]] = b"".join(lines[: len(lines) // 2])
            compute(one)

        server.compute = half  # type: ignore[method-assign]
        with pytest.raises(UnfinishedError, match=f"6 requests .*{told}"):
            ask_missing(tmp_path, at(server, tmp_path), 12)
        assert len(kept(tmp_path)) == 6
        server.compute, server.ending = compute, "completed"  # type: ignore[method-assign]
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered) == (ALL, ONCE)


def test_a_batch_that_the_service_took_nothing_of(tmp_path: Path) -> None:
    """A batch that failed its check is told with the service's code; nothing was paid, and nothing stands in the next run's way."""
    with serving() as server:

        def refused(one: dict[str, Any]) -> None:
            one["status"] = "failed"
            one["errors"] = {"object": "list", "data": [{"code": "model_not_found", "message": "m"}]}

        compute, server.compute = server.compute, refused  # type: ignore[method-assign]
        with pytest.raises(InputError, match="model_not_found"):
            ask_missing(tmp_path, at(server, tmp_path), 12)
        server.compute = compute  # type: ignore[method-assign]
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered) == (ALL, ONCE)


def test_an_account_with_little_room_gets_smaller_batches(tmp_path: Path) -> None:
    """Where the account may not have as much waiting, a batch is halved until it fits; what was refused costs nothing."""
    with serving() as server:
        server.room = 4
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered) == (ALL, ONCE)
    assert [one["status"] for one in server.batches].count("completed") == 4


def test_an_account_with_room_for_one_batch_gets_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a batch has no room beside another, it is submitted again as it was once the other has ended."""
    monkeypatch.setattr(batch, "MOST_REQUESTS", 6)
    with serving() as server:
        server.room = 6
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered) == (ALL, ONCE)
    assert sorted(one["status"] for one in server.batches) == ["completed", "completed", "failed"]


def test_a_refusal_after_a_lost_answer_forgets_no_batch(tmp_path: Path) -> None:
    """The batch is created, its answer lost, and the next call refused: the run after that still finds it."""
    with serving() as server:

        def created(handler: loopback.Handler) -> None:
            server.create(
                {
                    "completion_window": "24h",
                    "endpoint": "e",
                    "input_file_id": "file_0",
                    "metadata": {"burnish": read_ticket(tmp_path)},
                }
            )
            server.faults["GET batches"] = [fails(401)]
            cuts(handler)

        server.faults["POST batches"] = [created]
        with pytest.raises(InputError, match="refused the key"):
            ask_missing(tmp_path, at(server, tmp_path), 12)
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered, len(server.batches)) == (ALL, ONCE, 1)


def test_no_room_for_one_request_ends_the_run(tmp_path: Path) -> None:
    """Where not even one request has room, other batches of the account are in the way: told, with nothing paid."""
    with serving() as server:
        server.room = 0
        with pytest.raises(UnfinishedError, match="no more tokens waiting"):
            ask_missing(tmp_path, at(server, tmp_path), 2)
    assert kept(tmp_path) == {}


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("POST files", fails(500)),
        ("POST files", cuts),
        ("POST batches", fails(503)),
        ("POST batches", fails(429, Retry_After="0.2")),
        ("POST batches", cuts),
        ("GET batches", fails(500)),
        ("GET batches", cuts),
        ("GET files", fails(502)),
        ("GET files", cuts),
    ],
)
def test_a_passing_fault_is_tried_again(tmp_path: Path, call: str, fault: loopback.Act) -> None:
    """Busy, failing or broken off at any step: tried again, and one batch is created."""
    with serving() as server:
        server.faults[call] = [fault]
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered, len(server.batches)) == (ALL, ONCE, 1)


@pytest.mark.parametrize("call", ["GET batches", "GET files"])
def test_an_outage_of_minutes_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """While a batch is under way or fetched, a service may be gone for far longer than the retries of a request last. It is tried
    again at the pace of single requests.
    """
    waits: list[int] = []
    monkeypatch.setattr(limits, "back_off", lambda tries: waits.append(tries) or 0.01)
    with serving() as server:
        server.faults[call] = [fails(502), cuts, *[fails(500)] * 18]
        ask_missing(tmp_path, at(server, tmp_path, retries=0), 12)
    assert (kept(tmp_path), server.delivered, len(server.batches)) == (ALL, ONCE, 1)
    assert waits == list(range(1, 21))


def test_an_outage_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the run stops, and its note is there for the next one; so it does where the service asks for hours."""
    monkeypatch.setattr(limits, "back_off", lambda tries: 0.01)
    with serving() as server:
        server.faults["GET batches"] = [fails(429, Retry_After="7200")]
        with pytest.raises(UnfinishedError, match="wait 120 minutes"):
            ask_missing(tmp_path, at(server, tmp_path), 12)
        monkeypatch.setattr(remote.Remote._tried, "__defaults__", (0.0,))
        server.faults["GET batches"] = [fails(500)] * 3
        with pytest.raises(UnfinishedError, match="HTTP 500 after all retries"):
            ask_missing(tmp_path, at(server, tmp_path), 12)
        assert len(tickets(tmp_path)) == 1
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered, len(server.batches)) == (ALL, ONCE, 1)


def test_an_answer_lost_after_creation_creates_no_second_batch(tmp_path: Path) -> None:
    """Where the connection breaks after the service created the batch, it is found by its mark, pages down the list."""
    with serving() as server:

        def created(handler: loopback.Handler) -> None:
            for mark in ("burnish", "other", "other", "other", "other"):
                own = {"burnish": read_ticket(tmp_path)} if mark == "burnish" else {}
                told = {"completion_window": "24h", "endpoint": "e", "input_file_id": "file_0", "metadata": own}
                server.create(told)
            cuts(handler)

        server.faults["POST batches"] = [created]
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered, server.calls["POST batches"]) == (ALL, ONCE, 1)


def read_ticket(store: Path) -> str:
    """The mark of the only batch that is under way."""
    (path,) = (store / "batches").glob("*.json")
    return path.stem


def test_a_torn_file_of_results_is_fetched_again(tmp_path: Path) -> None:
    """Results that cannot be read are neither lost nor paid for again: the next run fetches them."""
    with serving() as server:
        server.computing.clear()
        whole: dict[str, bytes] = {}
        compute = server.compute

        def torn(one: dict[str, Any]) -> None:
            compute(one)
            whole.update(server.files)
            server.files[one["output_file_id"]] = server.files[one["output_file_id"]][:-30]

        server.compute = torn  # type: ignore[method-assign]
        server.computing.set()
        with pytest.raises(UnfinishedError, match="1 results of the batch batch_0 could not be read"):
            ask_missing(tmp_path, at(server, tmp_path), 12)
        assert len(kept(tmp_path)) == 11
        server.files.update(whole)
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), server.delivered, len(server.batches)) == (ALL, ONCE, 1)


@pytest.mark.parametrize(
    ("call", "fault", "told"),
    [
        ("POST files", fails(404), "mode to requests"),
        ("POST files", fails(401, problem(f"Bad key {loopback.KEY}")), "refused the key"),
        ("POST batches", fails(400, problem("No", code="billing_hard_limit_reached")), "billing_hard_limit_reached"),
        ("POST batches", fails(400, problem("No", code="invalid")), "HTTP 400, invalid"),
        ("GET batches", fails(404), "does not know the batch"),
        ("GET files", fails(404), "no longer has the results"),
    ],
)
def test_what_cannot_succeed_is_one_line(tmp_path: Path, call: str, fault: loopback.Act, told: str) -> None:
    """No Batch API, a wrong key, an empty account, results that are gone: told once, without the key."""
    with serving() as server:
        server.faults[call] = [fault]
        with pytest.raises((InputError, UnfinishedError), match=told) as caught:
            ask_missing(tmp_path, at(server, tmp_path), 12)
    assert loopback.KEY not in str(caught.value)
    assert server.calls[call] == 1


def test_two_processes_do_not_submit_the_same(tmp_path: Path) -> None:
    """While one process waits for batches of a store, another one is told so, and submits nothing."""
    with (
        serving() as server,
        Tickets(tmp_path, server.url),
        pytest.raises(UnfinishedError, match="another process"),
    ):
        ask_missing(tmp_path, at(server, tmp_path), 2)
    assert server.batches == []


def test_batches_at_another_address_are_left_alone(tmp_path: Path) -> None:
    """With another base_url, the notes of batches elsewhere stay, and those questions are asked here."""
    with Tickets(tmp_path, "https://elsewhere.example/v1") as other:
        note = other.path(other.begun({question(0).key: question(0).request}, 9))
    with serving() as server:
        ask_missing(tmp_path, at(server, tmp_path), 12)
    assert (kept(tmp_path), note.exists()) == (ALL, True)


def test_a_note_that_is_none_is_told(tmp_path: Path) -> None:
    """A file among the notes that is no note of a batch is named, with what to do."""
    (tmp_path / "batches").mkdir()
    (tmp_path / "batches/abc.json").write_text("[]")
    with serving() as server, pytest.raises(InputError, match=r"abc\.json"):
        ask_missing(tmp_path, at(server, tmp_path), 1)


def test_no_note_holds_a_text_or_the_key(tmp_path: Path) -> None:
    """While a batch is under way, what lies on disk holds neither the key nor what was asked."""
    with serving() as server:
        server.computing.clear()
        process = started(server, tmp_path)
        while not server.calls["GET batches"]:
            time.sleep(0.02)
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        process.kill()
        process.wait()
    assert b'"batch_id": "batch_0"' in written
    assert loopback.KEY.encode() not in written
    assert b'"content"' not in written


@pytest.mark.deep
def test_more_questions_than_a_batch_may_hold(tmp_path: Path) -> None:
    """50,001 questions are two batches, and every one has its reply."""
    seen: set[str] = set()
    with serving() as server:
        asked = [question(number) for number in range(50_001)]
        batch.ask(asked, at(server, tmp_path), lambda reply: seen.add(reply.key))
    assert [len(server.files[one["input_file_id"]].splitlines()) for one in server.batches] == [50_000, 1]
    assert len(seen) == 50_001
    assert tickets(tmp_path) == []
