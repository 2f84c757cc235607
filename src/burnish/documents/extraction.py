"""Documents and passages from sources, on all cores, in memory that does not grow with the corpus."""

import itertools
import multiprocessing
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from rensa import RMinHash
from tqdm import tqdm

from burnish import atomic, tables
from burnish.compute import Cluster
from burnish.documents import chunking, duplicates
from burnish.documents.blocks import ParseError
from burnish.documents.chunking import Sizes
from burnish.documents.lengths import Lengths
from burnish.documents.sources import Pending
from burnish.errors import InputError
from burnish.tables import DOCUMENTS, PASSAGES

_ROWS_IN_MEMORY = 50_000  # passages held before they are written to a part file: about 100 MB of text
_DOCUMENTS_A_TASK = 32


@dataclass(frozen=True)
class Extracted:
    """One document as read: its row, its passages' rows and its MinHash, or why it could not be read."""

    document: dict[str, str]
    passages: list[dict[str, Any]]
    signature: RMinHash | None
    failure: str = ""
    why: str = ""


@dataclass(frozen=True)
class Chunker:
    """What turns a document into passages; made once in each process."""

    tokenizer_file: Path
    sizes: Sizes


_lengths = cache(Lengths)  # one for each tokenizer file, in each process


def extracted(item: Pending, chunker: Chunker) -> Extracted:
    """One document, parsed and chunked. A file that cannot be read is a failure with a kind, never an exception."""
    lengths = _lengths(chunker.tokenizer_file)
    row = {
        "document_id": item.document_id,
        "source": item.source,
        "uri": item.uri,
        "title": item.title,
        "language": item.language,
    }
    try:
        blocks = item.blocks()
    except ParseError as error:
        return Extracted(row, [], None, error.kind, str(error))
    found = chunking.passages(blocks, item.title, chunker.sizes, lengths)
    if not found:
        return Extracted(row, [], None, "empty", "headings but no text")
    ids = chunking.passage_ids(item.document_id, found)
    counts = lengths(f"{item.title}\n{one.heading}\n{one.text}" for one in found)
    rows: list[dict[str, Any]] = [
        {
            "passage_id": passage_id,
            "document_id": item.document_id,
            "ordinal": ordinal,
            "title": item.title,
            "heading": one.heading,
            "text": one.text,
            "tokens": tokens + lengths.special,
        }
        for ordinal, (passage_id, one, tokens) in enumerate(zip(ids, found, counts, strict=True))
    ]
    text = "\n".join(one.text for one in found)
    return Extracted({**row, "sha256": item.sha256()}, rows, duplicates.signature(text))


def extract(
    items: Iterable[Pending],
    chunker: Chunker,
    *,
    duplicate_threshold: float,
    documents: Path,
    passages: Path,
    cluster: Cluster | None = None,
) -> list[Extracted]:
    """Write the tables of documents and passages; return the documents that could not be read, with why.

    Args:
        items: the documents to read.
        chunker: how they become passages.
        duplicate_threshold: the Jaccard similarity, 0 to 1, from which documents form one duplicate group.
        documents: the file that the table of documents is written to.
        passages: the file that the table of passages is written to.
        cluster: whose machines read the documents; None: this one's cores.

    Raises:
        InputError: nothing could be read, or a document id stands twice.
    """
    rows: list[dict[str, str]] = []
    signatures: list[RMinHash] = []
    failures: list[Extracted] = []
    passages.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=passages.parent) as parts:
        buffer: list[dict[str, Any]] = []
        for one in tqdm(_results(items, chunker, cluster), desc="extract", unit="document", disable=None):
            if one.signature is None:
                failures.append(one)
                continue
            rows.append(one.document)
            signatures.append(one.signature)
            buffer.extend(one.passages)
            if len(buffer) >= _ROWS_IN_MEMORY:
                _write_part(buffer, Path(parts))
        _write_part(buffer, Path(parts))
        failures.sort(key=lambda one: one.document["document_id"])
        _reject_nothing(rows, failures)
        _reject_repeated(rows)
        _write_sorted(Path(parts), passages)
    groups = duplicates.groups([row["document_id"] for row in rows], signatures, duplicate_threshold)
    frame = pl.DataFrame(rows).with_columns(pl.Series("duplicate_group", groups, dtype=pl.String))
    tables.write(frame, DOCUMENTS, documents)
    return failures


def corpus_counts(documents: Path, passages: Path, failures: list[Extracted], max_tokens: int) -> dict[str, Any]:
    """What "check your chunking first" needs to know of the corpus.

    Args:
        documents: the table of documents.
        passages: the table of passages.
        failures: the documents that could not be read.
        max_tokens: what the base model reads of a passage; of longer ones it would see only the start.
    """
    tokens = pl.scan_parquet(passages).select("tokens", "text").with_columns(pl.col("text").hash().alias("hash"))
    counted = tokens.select(
        pl.len().alias("passages"),
        *[pl.col("tokens").quantile(share, "nearest").alias(f"p{share * 100:.0f}") for share in (0.05, 0.5, 0.95)],
        pl.col("tokens").max().alias("most"),
        (pl.col("tokens") > max_tokens).mean().alias("truncated"),
        (1 - pl.col("hash").n_unique() / pl.len()).alias("duplicates"),
    ).collect(engine="streaming")
    found = counted.row(0, named=True)
    groups = pl.read_parquet(documents, columns=["duplicate_group", "sha256"])
    read, total = groups.height, groups.height + len(failures)
    kinds = Counter(one.failure for one in failures)
    return {
        "documents": read,
        "passages": found["passages"],
        "passage_tokens": {name: found[name] for name in ("p5", "p50", "p95", "most")},
        "truncated_share": found["truncated"],
        "duplicate_passage_share": found["duplicates"],
        "duplicate_document_share": 1 - groups["sha256"].n_unique() / read,
        "near_duplicate_document_share": 1 - groups["duplicate_group"].n_unique() / read,
        "empty_share": kinds["empty"] / total,
        "failures": dict(sorted(kinds.items())),
        "failed_share": len(failures) / total,
    }


def _results(items: Iterable[Pending], chunker: Chunker, cluster: Cluster | None) -> Iterator[Extracted]:
    """Each document's result, computed by one process a core, in order and few waiting at a time; by a cluster, as they come."""
    if cluster:
        queue = iter(items)
        batches = iter(lambda: tuple(itertools.islice(queue, _DOCUMENTS_A_TASK)), ())
        yield from itertools.chain.from_iterable(found for _, found in cluster.mapped(partial(_reader, chunker), batches))
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    queue = iter(items)
    first = list(itertools.islice(queue, 64))
    if cores == 1 or len(first) < 64:  # a handful is done before a second process has started
        yield from (extracted(item, chunker) for item in itertools.chain(first, queue))
        return
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # each process has one core
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context) as pool:
        waiting: deque[Future[list[Extracted]]] = deque()
        rest = itertools.chain(first, queue)
        for batch in iter(lambda: tuple(itertools.islice(rest, _DOCUMENTS_A_TASK)), ()):
            waiting.append(pool.submit(_batch, batch, chunker))
            if len(waiting) > 2 * cores:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _reader(chunker: Chunker) -> Callable[[tuple[Pending, ...]], list[Extracted]]:
    """What a worker of a cluster does with some documents."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return partial(_batch, chunker=chunker)


def _batch(items: tuple[Pending, ...], chunker: Chunker) -> list[Extracted]:
    return [extracted(item, chunker) for item in items]


def _reject_nothing(rows: list[dict[str, str]], failures: list[Extracted]) -> None:
    if not rows:
        kinds = dict(Counter(one.failure for one in failures))
        raise InputError(
            f"sources: the corpus is empty; none of {len(failures)} documents could be read ({kinds}), "
            f"the first: {failures[0].document['document_id']}: {failures[0].why}"
        )


def _reject_repeated(rows: list[dict[str, str]]) -> None:
    ids = Counter(row["document_id"] for row in rows)
    if twice := next((name for name, times in ids.items() if times > 1), None):
        raise InputError(f"sources: document id {twice!r} stands {ids[twice]} times; ids must be unique over all sources")


def _write_part(buffer: list[dict[str, Any]], parts: Path) -> None:
    if buffer:
        number = len(list(parts.iterdir()))
        pl.DataFrame(buffer, schema=PASSAGES.columns).write_parquet(parts / f"{number:06}.parquet")
        buffer.clear()


def _write_sorted(parts: Path, passages: Path) -> None:
    """One table, sorted by id, from the part files; DuckDB sorts on disk what memory does not hold."""
    folder = _quoted(parts)
    with atomic.file(passages) as temporary, duckdb.connect() as connection:
        connection.execute("set memory_limit = '2GB'; set threads = 1")  # one thread: the same bytes each time
        connection.execute(f"set temp_directory = '{folder}'")
        connection.execute(
            f"copy (select * from read_parquet('{folder}/*.parquet') order by passage_id) "
            f"to '{_quoted(temporary)}' (format parquet, compression zstd)"
        )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
