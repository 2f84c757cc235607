"""JSON lines: what is read, and how a line that is none is told."""

from pathlib import Path

import pytest

from burnish.errors import InputError
from burnish.records import json_lines


def test_each_line_is_a_record(tmp_path: Path) -> None:
    """In the file's order; empty lines, Windows line ends and a byte order mark do not matter."""
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}\r\n\n  \n{"a": "\\ud83d\\ude00"}')
    assert list(json_lines(tmp_path / "a.jsonl")) == [{"a": "é"}, {"a": "😀"}]


@pytest.mark.parametrize(
    "line",
    [b'{"a": 1', b'{"a": "\xff"}', b"[1]", b"3", b'{"a": "\\ud83d"}', b'{"\\ude00": 1}', b"[" * 100_000],
    ids=["cut off", "latin-1", "list", "number", "half a character", "half a character as key", "nested"],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: bytes) -> None:
    """The message names file and line, and what was expected."""
    (tmp_path / "a.jsonl").write_bytes(b"{}\n\n" + line)
    with pytest.raises(InputError, match=r"a\.jsonl, line 3: expected a JSON object"):
        list(json_lines(tmp_path / "a.jsonl"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path to nothing, or to a folder, is no file of records."""
    for path in (tmp_path / "a.jsonl", tmp_path):
        with pytest.raises(InputError, match="expected a file of JSON lines, found none"):
            list(json_lines(path))
