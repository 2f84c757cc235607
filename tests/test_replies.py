"""The reply store: nothing that was paid for is lost, nothing damaged is believed."""

import hashlib
import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from burnish.synthesis.replies import Reply, ReplyStore, line, repair
from burnish.synthesis.shards import Damage

PROCESSES = multiprocessing.get_context("spawn")


def reply(number: int, text: str = '["a query"]') -> Reply:
    """A reply whose key is decided by `number`."""
    request = {"model": "m", "prompt": {"file": "p.txt", "sha256": "0"}, "excerpt": str(number), "ordinal": 0}
    return Reply(request, "ok", text, {"input": 10, "output": 5})


def put_many(folder: Path, numbers: range, started: Event, go: Event) -> None:
    """Put a reply for each number, after the test has said go."""
    with ReplyStore(folder) as store:
        started.set()
        go.wait()
        for number in numbers:
            store.put(reply(number))


def put_and_die(folder: Path) -> None:
    """Put two replies, then be killed without any clean-up."""
    store = ReplyStore(folder)
    store.put(reply(1))
    store.put(reply(2))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_reply_comes_back_as_it_was_put(tmp_path: Path) -> None:
    """Text in any script, line breaks and usage survive the file."""
    one = reply(1, 'Größe \u2028 "質問"\n')
    with ReplyStore(tmp_path / "store") as store:
        store.put(one)
    assert ReplyStore(tmp_path / "store").get(one.key) == one


def test_a_store_that_is_only_read_makes_no_file(tmp_path: Path) -> None:
    """Replaying leaves the folder as it is, even when it is not there."""
    with ReplyStore(tmp_path / "store") as store:
        assert store.get("0") is None
    assert not (tmp_path / "store").exists()


def test_a_closed_shard_is_named_by_its_content(tmp_path: Path) -> None:
    """The name of a shard is the sha256 of its bytes."""
    with ReplyStore(tmp_path) as store:
        store.put(reply(1))
    (shard,) = tmp_path.iterdir()
    assert shard.name == f"{hashlib.sha256(shard.read_bytes()).hexdigest()}.jsonl"


def test_a_reply_is_on_disk_before_put_returns(tmp_path: Path) -> None:
    """Another process sees a reply while the one that put it still runs."""
    with ReplyStore(tmp_path) as store:
        store.put(reply(1))
        assert len(ReplyStore(tmp_path)) == 1


def test_kill_loses_no_reply(tmp_path: Path) -> None:
    """After kill -9 each reply whose `put` returned is there."""
    process = PROCESSES.Process(target=put_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [one.request["excerpt"] for one in sorted(ReplyStore(tmp_path), key=lambda r: r.request["excerpt"])] == [
        "1",
        "2",
    ]


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    """Replies of two processes that write one store at the same time are all whole."""
    go = PROCESSES.Event()
    started = [PROCESSES.Event(), PROCESSES.Event()]
    pairs = zip((range(50), range(40, 90)), started, strict=True)
    processes = [PROCESSES.Process(target=put_many, args=(tmp_path, part, own, go)) for part, own in pairs]
    for process in processes:
        process.start()
    for one in started:
        assert one.wait(60)
    go.set()
    for process in processes:
        process.join()
    store = ReplyStore(tmp_path)
    assert (len(store), store.damaged) == (90, [])


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_last_line_costs_only_itself(tmp_path: Path, cut: int) -> None:
    """A write that stopped anywhere in a line leaves the lines before it usable, and is no damage: there is no better copy."""
    whole = line(reply(1)) + line(reply(2))
    (tmp_path / "open-1-a.jsonl").write_bytes(whole[: len(line(reply(1))) + cut])
    store = ReplyStore(tmp_path)
    assert (len(store), store.damaged) == (1, [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b"a query", b"b query"),
        lambda text: text.replace(b'"ok"', b'"fine"'),
        lambda text: b"[" * 100_000 + b"\n",
        lambda text: b"\xff\xfe\n",
        lambda text: b"[]\n",
        lambda text: b'{"reply": 3, "request": {}, "sha256": ""}\n',
        lambda text: b'{"key":"k","request":[],"reply":{"status":"ok","text":"","usage":null},"sha256":""}\n',
    ],
)
def test_a_damaged_line_is_left_out_and_counted(tmp_path: Path, damage: object) -> None:
    """A line that does not match its checksum, or is no reply at all, is never believed; its neighbours are."""
    assert callable(damage)
    (tmp_path / "a.jsonl").write_bytes(damage(line(reply(1))) + line(reply(2)))
    store = ReplyStore(tmp_path)
    assert ([one.request["excerpt"] for one in store], store.damaged) == (["2"], [Damage(tmp_path / "a.jsonl", 1, 1)])
    assert repair(tmp_path)["a.jsonl"].lost == 1
    assert (len(ReplyStore(tmp_path)), ReplyStore(tmp_path).damaged) == (1, [])


def test_the_layout_of_shards_decides_nothing(tmp_path: Path) -> None:
    """The same replies, in other shards and another order, are the same store; so are two replies to one question."""
    lines = [line(reply(number)) for number in range(5)] + [line(reply(3, "[]"))]
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "a.jsonl").write_bytes(b"".join(lines))
    for number, part in enumerate(lines):
        (other / f"{9 - number}.jsonl").write_bytes(part)
    assert list(ReplyStore(one)) == list(ReplyStore(other))


def test_a_usable_reply_is_preferred_to_a_failed_one(tmp_path: Path) -> None:
    """Where two processes got different answers to one question, the one with queries counts."""
    failed = Reply(reply(1).request, "refused", "")
    with ReplyStore(tmp_path) as store:
        store.put(reply(1))
        store.put(failed)
    assert [one.status for one in ReplyStore(tmp_path)] == ["ok"]
