"""Where work is done: one machine, or a Ray cluster of two that loses one in the middle, with the same bytes in the end."""

import asyncio
import json
import pickle
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import torch
import yaml

import loopback
import test_extraction
import test_sharing
from burnish import compute, tables
from burnish.compute import Compute
from burnish.documents import extraction
from burnish.embedding import vectors
from burnish.errors import InputError
from burnish.synthesis.replies import ReplyStore
from burnish.tables import PASSAGES, QUERIES
from conftest import ROOT

LOCAL = Compute(engine="local", address="", cpus=1)
Stage = Callable[..., int | None]
Kill = Callable[[], None]


def test_the_local_engine_needs_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default imports nothing."""
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with compute.cluster(LOCAL) as found:
        assert found is None


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what to install, or what to set."""
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'burnish\[ray\]'.*set it to local"), compute.cluster(LOCAL.model_copy(update={"engine": "ray"})):  # fmt: skip
        pass


def test_an_address_where_nothing_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, in one line."""
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    wanted = Compute(engine="ray", address=address, cpus=1)
    with pytest.raises(InputError, match=f"compute.address '{address}': no Ray cluster") as told, compute.cluster(wanted):
        pass
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "http://head:6379", "head:"])
def test_an_address_of_another_kind_is_refused(address: str, tmp_path: Path) -> None:
    """Before any work, by the knob's name."""
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"compute": {"engine": "ray", "address": address, "cpus": 1}}))
    with pytest.raises(InputError, match=r"knob `compute\.address`"):
        compute.chosen(tmp_path / "p.yaml")


def test_no_stage_runs_again_for_another_engine() -> None:
    """DVC watches the params that stages declare, and none declares the section."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert all("compute" not in str(stage.get("params", [])) for stage in stages.values())


def test_the_page_shows_every_knob() -> None:
    """Its fragment is accepted as it stands."""
    page = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    fragments = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert [Compute.model_validate(one["compute"]).engine for one in fragments] == ["ray"]


class GoneError(Exception):
    """What Ray says of a lost machine."""


def caller(name: str, asked: list[str], lost: set[str]) -> Any:
    """A caller as Ray hands it out: it notes that it was asked, and fails while it is lost."""

    async def remote(_: bytes) -> bytes:
        asked.append(name)
        if name in lost:
            raise GoneError
        return pickle.dumps(name)

    return SimpleNamespace(call=SimpleNamespace(remote=remote))


def test_a_lost_caller_is_left_alone() -> None:
    """It fails at once, so that it would be back in turn first, and a few retries would be used up on it."""
    asked: list[str] = []
    both = compute.Callers[int, str]([caller(name, asked, {"lost"}) for name in ("lost", "here")], GoneError)

    async def calls() -> list[str | BaseException]:
        return [*await asyncio.gather(*(both.call(at) for at in range(4)), return_exceptions=True), await both.call(4)]

    found = asyncio.run(calls())
    assert [type(one).__name__ for one in found] == ["LostError", "str", "str", "str", "str"]
    assert asked.count("lost") == 1


def test_a_caller_that_was_lost_serves_again_once_the_others_are() -> None:
    """Ray starts it again in the meantime."""
    lost = {"first"}
    both = compute.Callers[int, str]([caller(name, [], lost) for name in ("first", "second")], GoneError)

    async def answer() -> str:
        try:
            return await both.call(0)
        except compute.LostError:
            return "lost"

    assert [asyncio.run(answer()) for _ in range(3)] == ["lost", "second", "second"]
    lost.symmetric_difference_update({"first", "second"})
    assert [asyncio.run(answer()) for _ in range(3)] == ["lost", "first", "first"]


def test_the_last_caller_is_asked_on() -> None:
    """Ray may start it again."""

    alone = compute.Callers[int, str]([caller("it", [], {"it"})], GoneError)

    async def calls() -> None:
        for _ in range(2):
            with pytest.raises(compute.LostError):
                await alone.call(0)

    asyncio.run(calls())


# Two machines, of which one is lost


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """A cluster of one machine, which holds the key."""
    pytest.importorskip("ray.data")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", loopback.KEY)
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "240")  # of a machine busy with other work
        memory = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={**memory, "include_dashboard": False})
        cluster.memory = memory
        yield cluster
        cluster.shutdown()


@pytest.fixture
def kill(machines: Any) -> Kill:
    """A function that kills the second machine, which begins with the test; it must have been called when the test ends."""
    node = machines.add_node(**machines.memory)
    machines.wait_for_nodes()
    return lambda: machines.remove_node(node, allow_graceful=False)


@pytest.fixture
def killed_amid(monkeypatch: pytest.MonkeyPatch, kill: Kill) -> list[int]:
    """The number of results that each use of the cluster gave; its second machine is killed after the first of them."""
    results: list[int] = []
    mapped = compute.Cluster.mapped

    def watched(self: compute.Cluster, make: Any, items: Any, *, model: bool = False) -> Iterator[Any]:
        results.append(0)
        for one in mapped(self, make, items, model=model):
            results[-1] += 1
            if results == [1]:
                kill()
            yield one

    monkeypatch.setattr(compute.Cluster, "mapped", watched)
    return results


def files(folder: Path) -> dict[str, bytes]:
    """The content of each file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def engines(machines: Any) -> dict[str, dict[str, Any]]:
    """The section `compute` for this machine, then for the cluster."""
    ray = Compute(engine="ray", address=machines.address, cpus=1)
    return {"local": LOCAL.model_dump(), "ray": ray.model_dump()}


@pytest.mark.deep
def test_extract_writes_the_same_bytes(
    machines: Any, killed_amid: list[int], base_model: Path, tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents that can be read and some that cannot, some to a task."""
    monkeypatch.setattr(extraction, "_DOCUMENTS_A_TASK", 4)
    monkeypatch.setattr(extraction, "_ROWS_IN_MEMORY", 100)
    texts = {
        f"d{at}_md": f"# Part {at}\n\n" + "\n\n".join(f"{test_extraction.WORDS}{at} {i}." for i in range(20))
        for at in range(120)
    }
    documents = test_extraction.write(
        tmp_path / "docs", **texts, bad_pdf=b"%PDF-1.7 nothing", latin_txt="Größe".encode("latin-1")
    )
    for name, section in engines(machines).items():
        knobs = {"extract": test_extraction.KNOBS, "compute": section}
        (tmp_path / "params.yaml").write_text(json.dumps(knobs))
        flags = {"params": tmp_path / "params.yaml", "documents": documents, "model": base_model}
        assert stage("extract", **flags, out=tmp_path / name) == 0
    assert killed_amid == [31]
    assert files(tmp_path / "ray") == files(tmp_path / "local")


@pytest.mark.deep
def test_embed_writes_the_same_bytes(
    machines: Any, killed_amid: list[int], base_model: Path, tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vectors, and the store's very files; a text of two tables is computed once."""
    monkeypatch.setattr(vectors, "SHARD", 8)
    row = dict.fromkeys(PASSAGES.columns, "x") | {"ordinal": 0, "tokens": 9}
    for name, count in (("passages", 60), ("general", 20)):
        rows = [
            row | {"passage_id": f"p{at:02}", "text": f"{test_extraction.WORDS}{at} " * (1 + at % 3)} for at in range(count)
        ]
        tables.write(pl.DataFrame(rows, schema=PASSAGES.columns), PASSAGES, tmp_path / f"{name}.parquet")
    asked = [
        dict.fromkeys(QUERIES.columns, "x")
        | {"query_id": f"q{at}", "text": f"what is {at}", "split": "test", "origin": "curated"}
        for at in range(9)
    ]
    tables.write(pl.DataFrame(asked), QUERIES, tmp_path / "queries.parquet")
    given = {name: tmp_path / f"{name}.parquet" for name in ("passages", "general", "queries")}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each worker: other numbers of threads give other last bits
    try:
        for name, section in engines(machines).items():
            (tmp_path / "params.yaml").write_text(json.dumps({"compute": section}))
            places = {"store": tmp_path / name / "store", "out": tmp_path / name / "out"}
            assert stage("embed", params=tmp_path / "params.yaml", model=base_model, **given, **places) == 0
    finally:
        torch.set_num_threads(threads)
    assert killed_amid == [8 + 2]
    assert files(tmp_path / "ray") == files(tmp_path / "local")


@pytest.mark.deep
def test_no_kept_reply_is_asked_for_again(
    machines: Any, kill: Kill, tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the store had when the machine was lost is not asked for again, nothing is lost, and the tables are the same."""
    kept: list[str] = []
    store = tmp_path / "ray/data/paid"

    def dying(message: str, before: int) -> loopback.Act:
        if sum(server.asked.values()) == 5:
            kept.extend(one.request["document_id"] for one in ReplyStore(store))
            kill()
        return test_sharing.answers(message, before)

    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    names = [*test_sharing.SUBJECTS, "Dates", "Lists"]
    for name, section in engines(machines).items():
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with loopback.serving(dying if name == "ray" else test_sharing.answers) as server:
            flags = test_sharing.write(tmp_path / name, server, names)
            params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
            params["synthesize"]["service"]["concurrency"] = 3
            Path("params.yaml").write_text(json.dumps(params | {"compute": section}))
            assert stage("synthesize", **flags) == 0
    assert len(kept) >= 1
    times = Counter(
        {found: count for message, count in server.delivered.items() for found in names if f"{found} hold" in message}
    )
    assert set(times) == {one.request["document_id"] for one in ReplyStore(store)} == set(names)
    assert all(times[one] == 1 for one in kept)
    assert sum(times.values()) - len(names) <= 3  # those under way, where the service answered them just then
    assert files(tmp_path / "ray/out") == files(tmp_path / "local/out")
