"""Tables of tabs, plain or compressed, and how one that is damaged is told."""

import gzip
from pathlib import Path

import pytest

from burnish.errors import InputError
from burnish.queries import tsv

LINES = "1\tTea is made\tfrom leaves.\r\n\n2 Cups hold tea.\n3\tMünze\n"
ROWS = [("1", "Tea is made\tfrom leaves."), ("2", "Cups hold tea."), ("3", "Münze")]


@pytest.mark.parametrize("stored", ["a.tsv", "a.tsv.gz"])
@pytest.mark.parametrize("asked", ["a.tsv", "a.tsv.gz"])
def test_lines_become_fields(tmp_path: Path, stored: str, asked: str) -> None:
    """The last field takes in the rest; empty lines are none; a missing file is looked for with .gz."""
    data = LINES.encode()
    (tmp_path / stored).write_bytes(gzip.compress(data) if stored.endswith(".gz") else data)
    if stored == "a.tsv" and asked != stored:
        with pytest.raises(InputError, match=r"a\.tsv\.gz: expected a file of 2 tab-separated columns, found none"):
            list(tsv.fields(tmp_path / asked, 2))
    else:
        assert list(tsv.fields(tmp_path / asked, 2)) == ROWS


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"1\ta\n2\n", "a.tsv, line 2: expected 2 columns, found 1"),
        (b"1\ta\n2\t\xff\n", "a.tsv, line 2: not UTF-8"),
    ],
)
def test_a_bad_line_is_told(tmp_path: Path, data: bytes, told: str) -> None:
    """By file and number."""
    (tmp_path / "a.tsv").write_bytes(data)
    with pytest.raises(InputError) as caught:
        list(tsv.fields(tmp_path / "a.tsv", 2))
    assert told in str(caught.value)


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"no gzip", lambda data: data[:40] + b"x" * 40])
def test_a_damaged_archive_is_told(tmp_path: Path, damage) -> None:
    """Cut off, no archive at all, or overwritten: not a traceback, and not fewer rows."""
    whole = gzip.compress(b"".join(b"%d\t%d\n" % (at, at * 7919 % 10007) for at in range(2000)))
    (tmp_path / "a.tsv.gz").write_bytes(damage(whole))
    with pytest.raises(InputError, match=r"a\.tsv\.gz: damaged, .*; copy it again"):
        list(tsv.fields(tmp_path / "a.tsv", 2))
