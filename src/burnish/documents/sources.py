"""Where documents come from: folders of files, records, BEIR folders, installed packages."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from burnish.documents import api_reference, parsing
from burnish.documents.blocks import MAX_TEXT_BYTES, Block, ParseError
from burnish.errors import InputError
from burnish.knobs import Knobs
from burnish.records import Language, json_lines
from burnish.writing import word_count


class FilesSource(Knobs):
    """Files below the documents folder that match a glob."""

    kind: Literal["files"]
    path: Annotated[str, Field(min_length=1)]
    language: Language


class RecordsSource(Knobs):
    """One document a record, of a JSON-lines, CSV or Parquet file."""

    kind: Literal["jsonl", "csv", "parquet"]
    path: Annotated[str, Field(min_length=1)]
    id_field: str
    title_field: str
    text_field: str
    language: Language


class BeirSource(Knobs):
    """The corpus.jsonl of a folder in BEIR's format."""

    kind: Literal["beir"]
    path: Annotated[str, Field(min_length=1)]
    language: Language


class ApiSource(Knobs):
    """Docstrings of installed Python packages, by name and version."""

    kind: Literal["python-api"]
    packages: dict[str, str]
    minimum_words: Annotated[int, Field(ge=1)]
    language: Language


Source = Annotated[FilesSource | RecordsSource | BeirSource | ApiSource, Field(discriminator="kind")]


@dataclass(frozen=True)
class Pending:
    """A document that is named but not yet read; `read` may run in another process.

    `digest_of` is the text or file whose sha256 identifies the content.
    """

    document_id: str
    source: str
    uri: str
    title: str
    language: str
    content: Path | str
    blocks: Callable[[], list[Block]]

    def sha256(self) -> str:
        """The sha256 of the content: of the file's bytes, or of the record's text."""
        if isinstance(self.content, Path):
            with self.content.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(self.content.encode()).hexdigest()


def pending(sources: Iterable[Source], root: Path) -> Iterator[Pending]:
    """Every document of every source, in a fixed order.

    Args:
        sources: as params.yaml lists them.
        root: the folder that their paths are relative to.

    Raises:
        InputError: a source has no document, or a file or record of it is not as it should be.
    """
    for number, source in enumerate(sources):
        found = False
        for document in _READERS[source.kind](source, root):
            found = True
            yield document
        if not found:
            raise InputError(f"sources[{number}] ({source.kind}): no document found{_hint(source, root)}")


def _hint(source: Source, root: Path) -> str:
    if isinstance(source, ApiSource):
        return f" with at least {source.minimum_words} words; lower `minimum_words`"
    kinds = ", ".join(parsing.FORMATS) if isinstance(source, FilesSource) else source.kind
    return f" at {root / source.path}; expected {kinds}: put documents there, or change `path`"


def _files(source: FilesSource, root: Path) -> Iterator[Pending]:
    pattern = source.path
    if (root / pattern).is_dir():
        pattern = f"{pattern.rstrip('/')}/**/*"
    try:
        paths = sorted(root.glob(pattern))
    except (NotImplementedError, ValueError) as error:
        raise InputError(f"sources: path {source.path!r}: expected a path or glob relative to {root}; {error}") from error
    for path in paths:
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_file() and not hidden and path.suffix.lower() in parsing.FORMATS:
            name = path.relative_to(root).as_posix()
            title = path.stem.replace("_", " ")
            yield Pending(name, "files", name, title, source.language, path, partial(parsing.blocks, path))


def _records(source: RecordsSource, root: Path) -> Iterator[Pending]:
    path = root / source.path
    fields = [source.id_field, source.title_field, source.text_field]
    for number, record in enumerate(_rows(path, source.kind)):
        missing = [field for field in fields if field not in record]
        if missing:
            raise InputError(f"{path}: record {number + 1} lacks field {missing[0]!r}; found {sorted(record)}")
        document_id, title, text = ("" if record[field] is None else str(record[field]) for field in fields)
        if not document_id:
            raise InputError(f"{path}: record {number + 1}: expected an id in field {source.id_field!r}, found none")
        yield Pending(document_id, source.kind, path.name, title, source.language, text, partial(_paragraphs, text))


def _rows(path: Path, kind: str) -> Iterator[dict[str, object]]:
    if not path.is_file():
        raise InputError(f"{path}: expected a {kind} file, found none; change the source's `path`")
    if kind == "jsonl":
        yield from json_lines(path)
        return
    try:
        scan = pl.scan_csv(path, infer_schema=False) if kind == "csv" else pl.scan_parquet(path)
        for batch in scan.collect_batches(chunk_size=10_000):
            yield from batch.iter_rows(named=True)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: not readable as {kind}: {error}") from error


def _beir(source: BeirSource, root: Path) -> Iterator[Pending]:
    path = root / source.path / "corpus.jsonl"
    for number, record in enumerate(json_lines(path), 1):
        if not isinstance(record.get("_id"), str) or not isinstance(record.get("text"), str):
            raise InputError(f"{path}, line {number}: expected the strings `_id` and `text`; found {sorted(record)}")
        text = str(record["text"])
        title = str(record.get("title") or "")
        yield Pending(str(record["_id"]), "beir", path.name, title, source.language, text, partial(_paragraphs, text))


def _api(source: ApiSource, root: Path) -> Iterator[Pending]:
    for package, expected in sorted(source.packages.items()):
        for path, docstring in api_reference.docstrings(package, expected):
            if word_count(docstring) >= source.minimum_words:
                uri = f"{package}=={expected}"
                reader = partial(api_reference.blocks, docstring)
                yield Pending(path, "python-api", uri, path, source.language, docstring, reader)


def _paragraphs(text: str) -> list[Block]:
    if len(text) > MAX_TEXT_BYTES:
        raise ParseError("too-large", f"{len(text):,} characters; at most {MAX_TEXT_BYTES:,} are read")
    found = [Block("text", part.strip()) for part in text.split("\n\n") if part.strip()]
    if not found:
        raise ParseError("empty", "no text")
    return found


_READERS: dict[str, Callable[..., Iterator[Pending]]] = {
    "files": _files,
    "jsonl": _records,
    "csv": _records,
    "parquet": _records,
    "beir": _beir,
    "python-api": _api,
}
