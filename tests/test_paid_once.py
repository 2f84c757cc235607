"""The stage and what is paid for: its plan stands before the first request, damage stops it, and two processes pay once."""

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import loopback
from burnish import tables
from burnish.cli import cli
from burnish.synthesis.replies import ReplyStore
from burnish.synthesis.turns import turn
from burnish.tables import DOCUMENTS, PASSAGES
from conftest import ROOT
from handmade import SUBJECTS, corpus, documents_of
from test_generate import KNOBS, LOCAL, at

COMMAND = shlex.split(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["synthesize"]["cmd"])
PAID, RECORDED, OUT = Path("data/paid"), Path("data/replies"), Path("data/synthetic")
LOST = "Joins"  # whose reply a test damages
ONCE = dict.fromkeys(SUBJECTS, 1)

Stage = Callable[..., int | None]


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in that has the pipeline, twelve documents, and the key that the server expects."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    tables.write(corpus(), PASSAGES, Path("data/corpus/passages.parquet"))
    tables.write(documents_of(corpus()), DOCUMENTS, Path("data/corpus/documents.parquet"))
    for name in ("stages", "prompts", "dvc.yaml"):
        Path(name).symlink_to(ROOT / name)


def choose(server: loopback.Service, **changed: Any) -> None:
    """Write the knobs that ask `server`."""
    section = {**KNOBS, "service": at(server.url), **changed}
    Path("params.yaml").write_text(yaml.safe_dump({"synthesize": section, "compute": LOCAL}))


def run(stage: Stage, server: loopback.Service, **changed: Any) -> int | None:
    """The exit status of the stage, run as the pipeline does."""
    choose(server, **changed)
    return stage("synthesize", **{name.removeprefix("--"): place for name, place in zip(*[iter(COMMAND[2:])] * 2, strict=True)})


def started(output: str) -> "subprocess.Popen[bytes]":
    """The stage in a process of its own, with tables of its own; what it says goes to a file."""
    words = [f"{output}-tables" if word == str(OUT) else word for word in COMMAND[1:]]
    with Path(output).open("wb") as file:
        return subprocess.Popen([sys.executable, *words], stdout=file, stderr=subprocess.STDOUT)


def until(true: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def waits(output: str) -> bool:
    """Whether a process says that it waits."""
    return "waiting until it has ended" in Path(output).read_text()


def subject(message: str) -> str:
    """What a prompt of these tests is about."""
    return str(re.findall(r"<excerpt>\n(\w+)\n", message)[0])


def answer(message: str, before: int = 0) -> loopback.Act:
    """Two queries about the subject."""
    return loopback.says(json.dumps({"queries": [f"what are {subject(message)}", f"make {subject(message)} in one call"]}))


def asked(server: loopback.Service) -> dict[str, int]:
    """How often each subject was asked about."""
    return {subject(message): count for message, count in server.asked.items()}


def spoiled(folder: Path) -> Path:
    """The one shard of a store, after a byte of one reply on the disk has changed."""
    (shard,) = folder.glob("*.jsonl")
    content = shard.read_bytes()
    assert content.count(b"what are " + LOST.encode()) == 1
    shard.write_bytes(content.replace(b"what are " + LOST.encode(), b"What are " + LOST.encode()))
    return shard


# The plan


def test_the_plan_stands_before_the_first_request(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    """When the server gets its first request, whoever watches the stage has read requests, tokens, price, time and caps."""
    read: list[str] = []

    def look(message: str, before: int) -> loopback.Act:
        read.append(capfd.readouterr().out)
        return answer(message)

    with loopback.serving(look) as server:
        assert run(stage, server) == 0
    for part in ("12 without_reply -> 12 requests to make", "tokens in", "tokens out", "price: $", "time: ", "max_dollars 10"):
        assert part in read[0]


@pytest.mark.parametrize(("mode", "price", "count", "status"), [("requests", "$1.20", 6, 2), ("batch", "$0.60", 12, 0)])
def test_a_batch_costs_half_in_the_plan_and_under_the_cap(
    stage: Stage, capfd: pytest.CaptureFixture[str], mode: str, price: str, count: int, status: int
) -> None:
    """A reply takes 100 tokens at $1000 a million, $0.10, and no usage is told. A cap of $0.61 stops requests after six of twelve;
    in a batch it affords all.
    """
    body = {**loopback.completion('["a query"]'), "usage": None}
    with loopback.serving(lambda message, before: lambda handler: handler.give(200, body)) as server:
        server.batch_script = lambda message: (200, body)
        chosen = {"prices": {"m": {"input": 0.0, "output": 1000.0}}, "max_dollars": 0.61, "max_passages_per_query": 12}
        assert run(stage, server, service={**at(server.url), "mode": mode}, **chosen) == status
        assert sum(server.asked.values()) == count
    assert f"price: {price}, at most {price}" in capfd.readouterr().out


# Damage


@pytest.mark.parametrize("damaged", [PAID, RECORDED])
def test_damage_is_told_before_anything_is_asked(stage: Stage, capfd: pytest.CaptureFixture[str], damaged: Path) -> None:
    """In `burnish plan`, and in the stage's own plan: the file, what can be read of it, and the repair of the right folder. The
    stage then refuses to ask for what may be paid for already; replay goes on with what can be read.
    """
    with loopback.serving(answer) as server:
        assert run(stage, server) == 0
        if damaged == RECORDED:
            PAID.rename(RECORDED)
        PAID.mkdir(exist_ok=True)
        RECORDED.mkdir(exist_ok=True)
        shard = spoiled(damaged)
        server.asked.clear()
        capfd.readouterr()

        assert CliRunner().invoke(cli, ["plan"]).exit_code == 0
        plan = capfd.readouterr().out
        assert "1 without_reply -> 1 requests to make" in plan
        assert f"damaged: {shard}: 11 replies can be read and are used, at least 1 lost" in plan
        assert f"`burnish repair {damaged}`, before anything is asked" in plan
        assert run(stage, server) == 2
        told = capfd.readouterr()
        assert plan in told.out
        assert re.fullmatch(rf"error: {shard}: .* nothing was asked: .*`burnish repair {damaged}`.*\n", told.err)
        assert not server.asked

        assert run(stage, server, provider="replay", accept_coverage=0.9) == 0
        assert f"damaged: {shard}" in capfd.readouterr().out
        assert not server.asked


def test_damage_stops_no_run_that_asks_for_nothing(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    """Where another file has the replies too, nothing can be paid for twice: the damage is told, and the stage goes on."""
    with loopback.serving(answer) as server:
        assert run(stage, server) == 0
        (shard,) = PAID.glob("*.jsonl")
        (PAID / "copy.jsonl").write_bytes(shard.read_bytes())
        shard.write_bytes(shard.read_bytes()[:-25])
        assert run(stage, server) == 0
        assert asked(server) == ONCE
    assert f"damaged: {shard}: 11 replies" in capfd.readouterr().out


def test_after_a_repair_the_lost_reply_alone_is_asked_for(stage: Stage) -> None:
    """The command keeps every other reply, and the tables come out as they were."""
    with loopback.serving(answer) as server:
        assert run(stage, server) == 0
        before = {path.name: path.read_bytes() for path in OUT.iterdir()}
        kept = {one.key: one for one in ReplyStore(PAID) if one.request["document_id"] != LOST}
        shard = spoiled(PAID)
        broken = shard.read_bytes()
        server.asked.clear()

        repaired = CliRunner().invoke(cli, ["repair", str(PAID)])
        assert repaired.exit_code == 0
        assert f"{shard.name}: 11 replies kept, at least 1 lost; the damaged file is {PAID}/damaged" in repaired.output
        assert (PAID / "damaged" / shard.name).read_bytes() == broken
        assert {one.key: one for one in ReplyStore(PAID)} == kept
        assert run(stage, server) == 0
        assert asked(server) == {LOST: 1}
    assert {path.name: path.read_bytes() for path in OUT.iterdir()} == before


def test_what_failed_for_good_is_asked_for_again_once_it_is_forgotten(stage: Stage) -> None:
    """As after a server's limit was raised: the command takes these replies alone out of the store, and the file aside."""
    turned_down = loopback.fails(413, b"large")
    with loopback.serving(
        lambda message, before: answer(message) if before or subject(message) != LOST else turned_down
    ) as server:
        for _ in range(2):
            assert run(stage, server, max_bad_share=0.1) == 0
        assert asked(server) == ONCE
        (shard,) = PAID.glob("*.jsonl")
        before = shard.read_bytes()
        done = CliRunner().invoke(cli, ["repair", "--forget", "failed-permanently", str(PAID)])
        assert (done.exit_code, "1 replies forgotten that were failed-permanently" in done.output) == (0, True)
        assert (PAID / "forgotten" / shard.name).read_bytes() == before
        assert (len(ReplyStore(PAID)), ReplyStore(PAID).damaged) == (len(SUBJECTS) - 1, [])
        assert run(stage, server) == 0
    assert asked(server) == {**ONCE, LOST: 2}
    assert {one.status for one in ReplyStore(PAID)} == {"ok"}
    wrong = CliRunner().invoke(cli, ["repair", "--forget", "ok", str(PAID)])
    assert (wrong.exit_code, "expected one of refused" in wrong.output) == (2, True)


# Two processes


def test_two_processes_ask_no_question_twice() -> None:
    """The second says who has the turn and waits; then it makes another plan, asks for nothing, and makes the same tables."""
    release = threading.Event()

    def hold(message: str, before: int) -> loopback.Act:
        release.wait(60)
        return answer(message)

    with loopback.serving(hold) as server:
        choose(server)
        first = started("first")
        until(lambda: bool(server.asked))
        second = started("second")
        until(lambda: waits("second"))
        release.set()
        assert (first.wait(60), second.wait(60)) == (0, 0)
        assert asked(server) == ONCE
    told = Path("second").read_text()
    assert f"process {first.pid} is asking with the store data/paid" in told
    assert [re.findall(r"-> (\d+) requests", told), "waiting" in Path("first").read_text()] == [["12", "0"], False]
    assert all(path.read_bytes() == Path("second-tables", path.name).read_bytes() for path in Path("first-tables").iterdir())


@pytest.mark.deep
def test_a_killed_process_leaves_its_turn() -> None:
    """After kill -9 of the one that asks, the one that waits goes on with what it had paid for, and asks for the rest alone."""
    release = threading.Event()
    held = threading.Semaphore(0)

    def hold(message: str, before: int) -> loopback.Act:
        if len(server.delivered) < 5 or release.is_set():
            return answer(message)
        held.release()
        release.wait(60)
        return lambda handler: setattr(handler, "close_connection", True)

    with loopback.serving(hold) as server:
        choose(server)
        first = started("first")
        for _ in range(KNOBS["service"]["concurrency"]):
            assert held.acquire(timeout=60)
        second = started("second")
        until(lambda: waits("second"))
        first.send_signal(signal.SIGKILL)
        first.wait()
        release.set()
        assert second.wait(60) == 0
        assert {subject(message): count for message, count in server.delivered.items()} == ONCE


@pytest.mark.deep
def test_a_run_that_asks_for_nothing_waits_for_nobody(stage: Stage) -> None:
    """Whoever has all replies makes tables while another process asks with the same store."""
    with loopback.serving(answer) as server:
        assert run(stage, server) == 0
    with turn(PAID):
        assert started("second").wait(60) == 0
