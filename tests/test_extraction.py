"""From sources to tables: what is written, what is counted, and what stops the stage."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fpdf import FPDF
from tokenizers import Tokenizer

from burnish import tables
from burnish.documents import extraction, sources
from burnish.documents.chunking import Sizes
from burnish.documents.extraction import Chunker
from burnish.documents.sources import FilesSource, RecordsSource
from burnish.errors import InputError
from burnish.tables import DOCUMENTS, PASSAGES

WORDS = "the supplier shall keep the goods insured at its own cost until they have been delivered to the named place "
KNOBS = {
    "sources": [{"kind": "files", "path": "**/*", "language": "en"}],
    "max_tokens": 64,
    "overlap_tokens": 0,
    "min_tokens": 0,
    "duplicate_threshold": 0.8,
    "max_failed_share": 0.5,
}
LOCAL = {"engine": "local", "address": "", "cpus": 1}
Stage = Callable[..., int | None]


def pdf(text: str, *, password: str = "") -> bytes:
    """A PDF of one page."""
    document = FPDF()
    document.add_page()
    document.set_font("helvetica")
    document.multi_cell(0, text=text)
    if password:
        document.set_encryption(owner_password="owner", user_password=password)
    return bytes(document.output())


def write(folder: Path, **files: str | bytes) -> Path:
    """The folder, with these files in it; `a_md` is the file a.md."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / ".".join(name.rsplit("_", 1))).write_bytes(data)
    return folder


def extracted(base_model: Path, documents: Path, out: Path, path: str = "**/*") -> list[extraction.Extracted]:
    """Write the tables of a folder of files into `out`; return the failures."""
    items = sources.pending([FilesSource(kind="files", path=path, language="en")], documents)
    chunker = Chunker(base_model / "tokenizer.json", Sizes(64, 0, 0))
    where = {"documents": out / "documents.parquet", "passages": out / "passages.parquet"}
    return extraction.extract(items, chunker, duplicate_threshold=0.8, **where)


def passages(out: Path) -> pl.DataFrame:
    return tables.read(PASSAGES, out / "passages.parquet")


def ran(stage: Stage, base_model: Path, documents: Path, out: Path, **knobs: Any) -> int | None:
    """The exit status of the stage with these knobs."""
    params = out.parent / "params.yaml"
    params.write_text(json.dumps({"extract": KNOBS | knobs, "compute": LOCAL}))
    return stage("extract", params=params, documents=documents, model=base_model, out=out)


def test_documents_and_passages_are_written(base_model: Path, tmp_path: Path) -> None:
    """Each document has its row and its passages, with heading, text, position and size."""
    write(tmp_path / "docs", a_md=f"# Tea\n\n{WORDS}\n\n## Pot\n\nBoil it.", b_txt="Short.")
    assert extracted(base_model, tmp_path / "docs", tmp_path) == []
    documents = tables.read(DOCUMENTS, tmp_path / "documents.parquet")
    assert documents.select("document_id", "source", "language").rows() == [("a.md", "files", "en"), ("b.txt", "files", "en")]
    found = passages(tmp_path).sort("document_id", "ordinal")
    assert found.select("document_id", "ordinal", "heading", "text").rows() == [
        ("a.md", 0, "Tea", WORDS.strip()),
        ("a.md", 1, "Tea > Pot", "Boil it."),
        ("b.txt", 0, "", "Short."),
    ]


def test_tokens_are_the_models_own(base_model: Path, tmp_path: Path) -> None:
    """As many as the model reads of title, heading and text, its special tokens included."""
    write(tmp_path / "docs", naïve_md=f"# Tokenisation\n\n{WORDS * 20}", ß_txt="unbelievable «quotes», 文書")
    extracted(base_model, tmp_path / "docs", tmp_path)
    found = passages(tmp_path)
    loaded = Tokenizer.from_file(str(base_model / "tokenizer.json"))
    loaded.no_truncation()
    loaded.no_padding()
    assert found["tokens"].to_list() == [len(loaded.encode(text).ids) for text in tables.embedded_text(found)]
    assert 40 < max(found["tokens"]) <= 64


def test_another_document_changes_no_id(base_model: Path, tmp_path: Path) -> None:
    """Passages of documents that stay keep their ids, texts and positions."""
    write(tmp_path / "docs", b_md=f"# B\n\n{WORDS * 9}", c_txt=WORDS)
    extracted(base_model, tmp_path / "docs", tmp_path / "before")
    write(tmp_path / "docs", a_md=WORDS, d_md="New.")
    extracted(base_model, tmp_path / "docs", tmp_path / "after")
    after = passages(tmp_path / "after").filter(pl.col("document_id").is_in(["b.md", "c.txt"]))
    assert after.equals(passages(tmp_path / "before"))


def test_the_same_documents_are_the_same_bytes(base_model: Path, tmp_path: Path) -> None:
    """Two runs write the same files, and nothing beside them."""
    write(tmp_path / "docs", **{f"d{number}_txt": f"{number} {WORDS * 5}" for number in range(9)})
    for out in ("one", "other"):
        extracted(base_model, tmp_path / "docs", tmp_path / out)
    files = [{path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("one", "other")]
    assert files[0] == files[1]
    assert sorted(files[0]) == ["documents.parquet", "passages.parquet"]


def test_a_corpus_beyond_memory_is_the_same_table(base_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that go through many part files come out as those held in memory."""
    write(tmp_path / "docs", **{f"d{number}_txt": f"{number} {WORDS * 5}" for number in range(9)})
    extracted(base_model, tmp_path / "docs", tmp_path / "one")
    monkeypatch.setattr(extraction, "_ROWS_IN_MEMORY", 2)
    extracted(base_model, tmp_path / "docs", tmp_path / "other")
    assert passages(tmp_path / "other").equals(passages(tmp_path / "one"))


def test_many_documents_are_read_by_several_processes(base_model: Path, tmp_path: Path) -> None:
    """All of them, in their order, as one process reads them."""
    lines = [json.dumps({"id": f"{number:03}", "title": "t", "text": f"{number} {WORDS}"}) for number in range(70)]
    write(tmp_path / "docs", a_jsonl="\n".join(lines))
    fields = {"id_field": "id", "title_field": "title", "text_field": "text"}
    source = RecordsSource(kind="jsonl", path="a.jsonl", language="en", **fields)
    chunker = Chunker(base_model / "tokenizer.json", Sizes(64, 0, 0))
    items = list(sources.pending([source], tmp_path / "docs"))
    found = list(extraction._results(items, chunker, None))
    alone = [extraction.extracted(item, chunker) for item in items]
    assert [(one.document, one.passages) for one in found] == [(one.document, one.passages) for one in alone]


def test_near_duplicates_form_a_group(base_model: Path, tmp_path: Path) -> None:
    """Two versions of one contract, and one that is another."""
    write(tmp_path / "docs", b_txt=WORDS * 5, a_md=f"{WORDS * 5} now", c_txt="Something else is written here altogether.")
    extracted(base_model, tmp_path / "docs", tmp_path)
    assert tables.read(DOCUMENTS, tmp_path / "documents.parquet")["duplicate_group"].to_list() == ["a.md", "a.md", "c.txt"]


def test_a_path_with_a_quotation_mark_is_no_sql(base_model: Path, tmp_path: Path) -> None:
    """The table may be written anywhere."""
    write(tmp_path / "docs", a_txt=WORDS)
    extracted(base_model, tmp_path / "docs", tmp_path / "o'neil")
    assert passages(tmp_path / "o'neil").height == 1


def test_an_id_that_stands_twice_is_refused(base_model: Path, tmp_path: Path) -> None:
    """Ids are unique over all sources, and no table is left."""
    write(tmp_path / "docs", a_txt="x")
    both = [FilesSource(kind="files", path="*.txt", language="en")] * 2
    chunker = Chunker(base_model / "tokenizer.json", Sizes(64, 0, 0))
    where = {"documents": tmp_path / "out/documents.parquet", "passages": tmp_path / "out/passages.parquet"}
    with pytest.raises(InputError, match=r"document id 'a\.txt' stands 2 times"):
        extraction.extract(sources.pending(both, tmp_path / "docs"), chunker, duplicate_threshold=0.8, **where)
    assert not list((tmp_path / "out").iterdir())


def test_bad_files_among_good_ones_are_counted(
    base_model: Path, tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is named with its kind; the good ones are read, and the counts balance."""
    good, locked = pdf(WORDS), pdf(WORDS, password="secret")
    docs = write(tmp_path / "docs", good_pdf=good, cut_pdf=b"%PDF-1.7 nothing", locked_pdf=locked)
    write(docs, latin_txt="Größe".encode("latin-1"), empty_md="", good_md="# A\n\nB c.", good_txt=WORDS)
    assert ran(stage, base_model, docs, tmp_path / "out", max_failed_share=0.6) == 0
    counts = json.loads((tmp_path / "out/counts.json").read_text())
    assert counts["documents"] == 3
    assert counts["failures"] == {"corrupt": 1, "empty": 1, "encrypted": 1, "not-utf8": 1}
    assert (counts["failed_share"], counts["empty_share"]) == (0.5714, 0.1429)
    told = capsys.readouterr().err
    assert all(f"not read ({kind}): {name}" in told for kind, name in [("corrupt", "cut.pdf"), ("encrypted", "locked.pdf")])
    assert set(passages(tmp_path / "out")["document_id"]) == {"good.md", "good.pdf", "good.txt"}


def test_too_many_bad_files_stop_the_stage(
    base_model: Path, tmp_path: Path, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above the knob's share nothing is written, and what stood there before stands."""
    docs = write(tmp_path / "docs", good_txt=WORDS, bad_pdf=b"%PDF-1.7 nothing")
    write(tmp_path / "out", old_txt="old")
    assert ran(stage, base_model, docs, tmp_path / "out", max_failed_share=0.49) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("not read (corrupt): bad.pdf")
    assert said[1].startswith(
        "error: extract: 1 documents could not be read, a share of 0.500, where max_failed_share allows 0.49"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["old.txt"]


@pytest.mark.parametrize(
    ("files", "knobs", "told"),
    [
        ({}, {}, "sources[0] (files): no document found at"),
        ({"a_xyz": "x"}, {}, "sources[0] (files): no document found at"),
        ({"a_txt": "", "b_txt": b"\xff\xfa"}, {}, "the corpus is empty; none of 2 documents could be read"),
        (
            {"a_md": "# Only\n\n"},
            {"overlap_tokens": 64},
            "extract.overlap_tokens: expected less than extract.max_tokens, 64, found 64",
        ),
        ({"a_md": "x"}, {"min_tokens": 65}, "extract.min_tokens: expected at most extract.max_tokens, 64, found 65"),
        ({"a_md": "x"}, {"duplicate_threshold": 0.1}, "knob `extract.duplicate_threshold`"),
        ({"a_md": "x"}, {"sources": []}, "knob `extract.sources`"),
    ],
)
def test_a_corpus_that_cannot_be_is_told(
    base_model: Path,
    tmp_path: Path,
    stage: Stage,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str | bytes],
    knobs: dict[str, object],
    told: str,
) -> None:
    """One line, exit status 2, and nothing is left beside the output."""
    docs = write(tmp_path / "docs", **files)
    assert ran(stage, base_model, docs, tmp_path / "out", **knobs) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docs", "params.yaml"]


def test_the_counts_are_those_of_the_tables(base_model: Path, tmp_path: Path, stage: Stage) -> None:
    """Documents, passages, token percentiles, and shares of duplicates and of what the model would not read."""
    docs = write(
        tmp_path / "docs", a_txt=WORDS, b_txt=WORDS, c_md="\n\n".join([f"# H\n\n{WORDS}", f"## I\n\n{WORDS}"]), d_md="Y z."
    )
    assert ran(stage, base_model, docs, tmp_path / "out") == 0
    counts = json.loads((tmp_path / "out/counts.json").read_text())
    found = passages(tmp_path / "out")
    assert (counts["documents"], counts["passages"]) == (4, found.height) == (4, 5)
    assert counts["passage_tokens"]["most"] == found["tokens"].max()
    assert counts["passage_tokens"]["p50"] == found["tokens"].median()
    assert (counts["duplicate_passage_share"], counts["duplicate_document_share"]) == (0.6, 0.25)
    assert counts["near_duplicate_document_share"] >= 0.25
    assert (counts["truncated_share"], counts["failed_share"], counts["failures"]) == (0, 0, {})


def test_passages_beyond_the_models_reach_are_counted(base_model: Path, tmp_path: Path, stage: Stage) -> None:
    """A size above what the model reads shows in truncated_share."""
    docs = write(tmp_path / "docs", a_txt=WORDS * 40, b_txt="Short.")
    assert ran(stage, base_model, docs, tmp_path / "out", max_tokens=1000) == 0
    counts = json.loads((tmp_path / "out/counts.json").read_text())
    assert (counts["passages"], counts["truncated_share"]) == (2, 0.5)
