"""Sources: which documents each kind names, and how one that cannot be used is told."""

import hashlib
import pickle
from pathlib import Path

import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError

from burnish.documents import sources
from burnish.documents.blocks import Block, ParseError
from burnish.documents.sources import Pending, Source
from burnish.errors import InputError

FIELDS = {"id_field": "id", "title_field": "title", "text_field": "text"}


def source(kind: str, path: str = "", **more: object) -> Source:
    """A source, checked as params.yaml's are."""
    given = {"kind": kind, "language": "en"} | ({"path": path} if path else {}) | more
    return TypeAdapter(Source).validate_python(given)


def found(root: Path, kind: str, path: str = "", **more: object) -> list[Pending]:
    """Every document of one source."""
    return list(sources.pending([source(kind, path, **more)], root))


def complaint(root: Path, kind: str, path: str = "", **more: object) -> str:
    """What is said of a source."""
    with pytest.raises(InputError) as caught:
        found(root, kind, path, **more)
    return str(caught.value)


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """The folder `root`, with these files in it."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def test_a_folder_is_read_to_its_depth(tmp_path: Path) -> None:
    """By name, each under its path; hidden files and other formats are left out."""
    write(tmp_path, dict.fromkeys(["a/z.md", "a/b/y.PDF", "a/.hidden.md", "a/.git/x.md", "a/data.bin", "c.txt"], ""))
    assert [one.document_id for one in found(tmp_path, "files", "a")] == ["a/b/y.PDF", "a/z.md"]
    assert [one.document_id for one in found(tmp_path, "files", "a/")] == ["a/b/y.PDF", "a/z.md"]
    assert [one.document_id for one in found(tmp_path, "files", "**/*.md")] == ["a/z.md"]


def test_a_file_is_titled_by_its_name(tmp_path: Path) -> None:
    """Its content is identified by its bytes, and read when asked, in another process too."""
    write(tmp_path, {"Master_Supply Agreement.txt": "Text."})
    (one,) = found(tmp_path, "files", "*.txt")
    assert (one.title, one.sha256()) == ("Master Supply Agreement", hashlib.sha256(b"Text.").hexdigest())
    assert pickle.loads(pickle.dumps(one)).blocks() == [Block("text", "Text.")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"id": "007", "title": "T", "text": "One.\\n\\nTwo."}\n{"id": 8, "title": null, "text": "x", "more": 1}'),
        ("a.csv", 'text,id,title,more\n"One.\n\nTwo.",007,T,1\nx,8,,2\n'),
    ],
)
def test_records_of_text_files_are_documents(tmp_path: Path, name: str, content: str) -> None:
    """Ids stay as they are written; a title may be empty; further fields do not matter."""
    one, other = found(write(tmp_path, {name: content}), name.rpartition(".")[2], name, **FIELDS)
    assert (one.document_id, one.title, one.uri) == ("007", "T", name)
    assert one.blocks() == [Block("text", "One."), Block("text", "Two.")]
    assert (other.document_id, other.title, other.content) == ("8", "", "x")


def test_records_of_parquet_are_documents(tmp_path: Path) -> None:
    """Numbers as ids are their digits."""
    pl.DataFrame({"id": [7, 8], "title": ["a", None], "text": ["x", "y"]}).write_parquet(tmp_path / "a.parquet")
    assert [(one.document_id, one.title) for one in found(tmp_path, "parquet", "a.parquet", **FIELDS)] == [
        ("7", "a"),
        ("8", ""),
    ]


def test_a_late_word_in_a_column_of_numbers_is_text(tmp_path: Path) -> None:
    """What the first rows hold decides no type."""
    lines = ["id,title,text", *(f"{number},t,{number}" for number in range(500)), "last,t,a word"]
    documents = found(write(tmp_path, {"a.csv": "\n".join(lines)}), "csv", "a.csv", **FIELDS)
    assert (len(documents), documents[-1].document_id, documents[-1].content) == (501, "last", "a word")


def test_a_beir_corpus_is_read(tmp_path: Path) -> None:
    """Ids are kept; a missing title is empty."""
    write(tmp_path, {"b/corpus.jsonl": '{"_id": "d1", "title": "T", "text": "x"}\n{"_id": "d2", "text": "y"}'})
    assert [(one.document_id, one.title, one.content) for one in found(tmp_path, "beir", "b")] == [
        ("d1", "T", "x"),
        ("d2", "", "y"),
    ]


def test_installed_packages_are_read() -> None:
    """Only docstrings of so many words; the dotted path is id and title."""
    from importlib.metadata import version

    packages = {"iniconfig": version("iniconfig")}
    documents = found(Path(), "python-api", packages=packages, minimum_words=1)
    most = max(len(str(one.content).split()) for one in documents)
    (longest,) = found(Path(), "python-api", packages=packages, minimum_words=most)
    assert longest.document_id == longest.title
    assert longest.document_id.startswith("iniconfig")
    assert f"with at least {most + 1} words" in complaint(Path(), "python-api", packages=packages, minimum_words=most + 1)


def test_a_record_beyond_the_limit_is_a_failure_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted as a file's would be, and the others are read."""
    monkeypatch.setattr(sources, "MAX_TEXT_BYTES", 5)
    write(tmp_path, {"a.csv": "id,title,text\n1,t,abcdef\n2,t,abcde\n"})
    large, small = found(tmp_path, "csv", "a.csv", **FIELDS)
    with pytest.raises(ParseError, match="6 characters") as caught:
        large.blocks()
    assert (caught.value.kind, small.blocks()) == ("too-large", [Block("text", "abcde")])


def test_an_empty_record_is_a_failure_of_its_own(tmp_path: Path) -> None:
    """It is told when it is read, so that it is counted and does not stop the others."""
    write(tmp_path, {"a.csv": "id,title,text\n1,t,\n2,t,x\n"})
    empty, full = found(tmp_path, "csv", "a.csv", **FIELDS)
    with pytest.raises(ParseError) as caught:
        empty.blocks()
    assert (caught.value.kind, full.blocks()) == ("empty", [Block("text", "x")])


def test_sources_come_in_the_order_given(tmp_path: Path) -> None:
    """Several sources make one corpus."""
    write(tmp_path, {"a.md": "a", "b.txt": "b"})
    both = sources.pending([source("files", "*.txt"), source("files", "*.md")], tmp_path)
    assert [one.document_id for one in both] == ["b.txt", "a.md"]


@pytest.mark.parametrize("path", ["nowhere", "*.pdf", "../elsewhere/*.md"])
def test_a_source_without_documents_is_told(tmp_path: Path, path: str) -> None:
    """With its number, where it was looked for, and what would have counted."""
    told = complaint(write(tmp_path, {"a.md": "a"}), "files", path)
    assert f"sources[0] (files): no document found at {tmp_path / path}" in told
    assert ".docx" in told


@pytest.mark.parametrize("path", ["/absolute/*.md", "a/**.md"])
def test_a_path_that_cannot_be_searched_is_told(tmp_path: Path, path: str) -> None:
    """An absolute glob, and one that Python does not know."""
    told = complaint(tmp_path, "files", path)
    assert repr(path) in told
    assert "expected a path or glob relative to" in told


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_missing_record_file_is_told(tmp_path: Path, kind: str) -> None:
    """By its whole path."""
    assert f"{tmp_path / 'a.x'}: expected a" in complaint(tmp_path, kind, "a.x", **FIELDS)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", '{"id": "1", "title": "t", "text": "x"}\n{"id": "2"}', "record 2 lacks field 'title'; found ['id']"),
        ("a.csv", "id,title,body\n1,t,x\n", "record 1 lacks field 'text'; found ['body', 'id', 'title']"),
        ("a.csv", "id,title,text\n1,t,x\n,t,x\n", "record 2: expected an id in field 'id', found none"),
        ("a.csv", b"id,title,text\n1,t,\xff\n", "not readable as csv"),
        ("a.csv", "", "not readable as csv"),
        ("a.csv", "id,title,text\n1,t,x,y,z\n", "not readable as csv"),
        ("a.parquet", "no table", "not readable as parquet"),
        ("a.jsonl", b'{"id": "1", "title": "t", "text": "\xff"}', "line 1: expected a JSON object in UTF-8"),
        ("a.jsonl", '{"id": "1", "title": "t", "text": "\\ud800"}', "line 1: expected a JSON object in UTF-8"),
        ("a.jsonl", "", "sources[0] (jsonl): no document found"),
    ],
)
def test_records_that_cannot_be_read_are_told(tmp_path: Path, name: str, content: str | bytes, told: str) -> None:
    """The message names the file, the record and what is wrong with it."""
    assert told in complaint(write(tmp_path, {name: content}), name.rpartition(".")[2], name, **FIELDS)


@pytest.mark.parametrize("line", ['{"text": "x"}', '{"_id": 3, "text": "x"}', '{"_id": "a", "text": null}'])
def test_a_beir_record_that_is_none_is_told(tmp_path: Path, line: str) -> None:
    """BEIR's ids and texts are strings."""
    told = complaint(write(tmp_path, {"b/corpus.jsonl": line}), "beir", "b")
    assert "line 1: expected the strings `_id` and `text`" in told


@pytest.mark.parametrize(
    "knobs",
    [
        {"kind": "xml", "path": "a", "language": "en"},
        {"kind": "files", "path": "a", "language": "english"},
        {"kind": "files", "path": "", "language": "en"},
        {"kind": "files", "path": "a", "language": "en", "glob": "*"},
        {"kind": "jsonl", "path": "a", "language": "en"},
    ],
)
def test_a_source_that_is_none_is_refused(knobs: dict[str, str]) -> None:
    """Unknown kinds, languages and fields, and missing ones."""
    with pytest.raises(ValidationError):
        TypeAdapter(Source).validate_python(knobs)
