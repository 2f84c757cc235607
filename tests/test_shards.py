"""Shards: named by their content, closed for those who were killed, and repaired without losing what is sound."""

import hashlib
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from burnish.synthesis import replies, shards
from burnish.synthesis.replies import Reply, ReplyStore, line


def reply(number: int) -> Reply:
    """A reply whose key is decided by `number`."""
    request = {"model": "m", "prompt": {"file": "p.txt", "sha256": "0"}, "excerpt": str(number), "ordinal": 0}
    return Reply(request, "ok", '["a query"]')


def lines(*numbers: int) -> bytes:
    """The lines of these replies."""
    return b"".join(line(reply(number)) for number in numbers)


def named(folder: Path, content: bytes) -> Path:
    """A closed shard of this content."""
    path = folder / f"{hashlib.sha256(content).hexdigest()}.jsonl"
    path.write_bytes(content)
    return path


def numbers(folder: Path) -> list[str]:
    """The numbers of the replies in a store."""
    return sorted(one.request["excerpt"] for one in ReplyStore(folder))


def test_an_abandoned_shard_is_closed_by_the_next_writer(tmp_path: Path) -> None:
    """What a killed process left open takes its content's name as soon as somebody puts a reply."""
    (tmp_path / "open-1-a.jsonl").write_bytes(lines(1, 2))
    (tmp_path / "open-1-b.jsonl").touch()
    with ReplyStore(tmp_path) as store:
        store.put(reply(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{hashlib.sha256(content).hexdigest()}.jsonl" for content in (lines(1, 2), lines(3))
    )


def test_a_shard_that_is_written_is_left_alone(tmp_path: Path) -> None:
    """Neither another writer nor a repair touches the shard of a process that still runs."""
    with ReplyStore(tmp_path) as one:
        one.put(reply(1))
        (mine,) = tmp_path.iterdir()
        with ReplyStore(tmp_path) as other:
            other.put(reply(2))
        assert replies.repair(tmp_path) == {}
        assert mine.exists()
        one.put(reply(3))
    assert numbers(tmp_path) == ["1", "2", "3"]
    assert not list(tmp_path.glob("open-*"))


def test_a_line_that_is_being_written_is_no_loss(tmp_path: Path) -> None:
    """A reader that sees half a line of a process that still writes does not call it damage."""
    writer = shards.Writer(tmp_path)
    writer.append(lines(1))
    writer.append(lines(2)[:40])
    assert (numbers(tmp_path), ReplyStore(tmp_path).damaged) == (["1"], [])
    writer.append(lines(2)[40:])
    assert numbers(tmp_path) == ["1", "2"]
    writer.close()


def test_a_last_line_without_its_end_is_sound(tmp_path: Path) -> None:
    """A whole reply counts, even where an editor or a power cut took the line break."""
    (tmp_path / "recorded.jsonl").write_bytes(lines(1, 2)[:-1])
    assert (numbers(tmp_path), ReplyStore(tmp_path).damaged) == (["1", "2"], [])


def cut_at_a_line(content: bytes) -> bytes:
    """The last line is gone, and the others are whole."""
    return content[: content.rindex(b"\n", 0, -1) + 1]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda content: content[:-25], ["1", "2", "9"]),
        (cut_at_a_line, ["1", "2", "9"]),
        (lambda content: content.replace(b"a query", b"b query", 1), ["2", "3", "9"]),
        (lambda content: content[:10] + b"\0" * 50 + content[60:], ["2", "3", "9"]),
        (lambda content: b"", ["9"]),
        (lambda content: content[:-1], ["1", "2", "3", "9"]),
        (lambda content: content + b"\n", ["1", "2", "3", "9"]),
        (lambda content: content + b"\0" * 50, ["1", "2", "3", "9"]),
    ],
)
def test_a_damaged_shard_is_told_and_repaired(tmp_path: Path, damage: Callable[[bytes], bytes], left: list[str]) -> None:
    """Torn, cut, altered or emptied: the name no longer fits the content. A repair keeps every sound line and the damaged file,
    and touches no other shard.
    """
    other = named(tmp_path, lines(9))
    shard = named(tmp_path, lines(1, 2, 3))
    shard.write_bytes(damage(shard.read_bytes()))
    broken, before = shard.read_bytes(), other.stat().st_mtime_ns
    assert ReplyStore(tmp_path).damaged == [shards.Damage(shard, len(left) - 1, 1)]
    done = replies.repair(tmp_path)
    assert done[shard.name] == shards.Repaired(len(left) - 1, 1, tmp_path / "damaged" / shard.name)
    assert (tmp_path / "damaged" / shard.name).read_bytes() == broken
    assert (numbers(tmp_path), ReplyStore(tmp_path).damaged, other.stat().st_mtime_ns) == (left, [], before)
    assert replies.repair(tmp_path) == {}


def test_an_unfinished_line_of_a_killed_process_is_no_damage(tmp_path: Path) -> None:
    """A shard that was left open in the middle of a line is closed without it by the next that writes; no repair is asked for."""
    (tmp_path / "open-1-a.jsonl").write_bytes(lines(1, 2)[:-30])
    with ReplyStore(tmp_path) as store:
        store.put(reply(3))
    assert (numbers(tmp_path), ReplyStore(tmp_path).damaged) == (["1", "3"], [])
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {
        f"{hashlib.sha256(content).hexdigest()}.jsonl" for content in (lines(1), lines(3))
    }


def test_a_full_disk_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    """A reply that found no room leaves nothing that the next one would stick to."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ReplyStore(tmp_path) as store:
        store.put(reply(1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(lines(1)) + 20, most))
        try:
            with pytest.raises(OSError, match="too large"):
                store.put(reply(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        store.put(reply(3))
    assert (numbers(tmp_path), ReplyStore(tmp_path).damaged) == (["1", "3"], [])


def test_stores_are_merged_by_putting_their_files_together(tmp_path: Path) -> None:
    """No shard of one machine has the name of another's, unless they are the same."""
    for name, own in (("a", (1, 2)), ("b", (2, 3))):
        with ReplyStore(tmp_path / name) as store:
            for number in own:
                store.put(reply(number))
    (tmp_path / "both").mkdir()
    for path in [*(tmp_path / "a").iterdir(), *(tmp_path / "b").iterdir()]:
        (tmp_path / "both" / path.name).write_bytes(path.read_bytes())
    assert numbers(tmp_path / "both") == ["1", "2", "3"]
