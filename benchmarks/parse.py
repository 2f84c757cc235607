"""How well libraries read real files: PDFs beside their text, HTML beside a corpus made of it.

Run by hand, `python benchmarks/parse.py FOLDER`; a library that is not installed is left out of the table. Of those
compared only pypdfium2 and lxml are needed: pip install pypdf pdfminer.six pdfplumber pdftext liteparse pdf-oxide
trafilatura selectolax.
"""

import importlib.metadata
import importlib.util
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

import click

from burnish.documents import parsing
from burnish.documents.blocks import ParseError

Reader = Callable[[Path], str]


def ours(path: Path) -> str:
    """The text of all blocks."""
    return "\n".join(block.text for block in parsing.blocks(path))


def pdfium(path: Path) -> str:
    """PDFium's own text, page by page."""
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    return "\n".join(page.get_textpage().get_text_range() for page in document)


def pypdf(path: Path) -> str:
    """The text in content stream order."""
    import pypdf

    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def pdfminer(path: Path) -> str:
    """The text after layout analysis."""
    import pdfminer.high_level

    return pdfminer.high_level.extract_text(path)


def pdfplumber(path: Path) -> str:
    """The text from pdfminer's characters."""
    import pdfplumber

    with pdfplumber.open(path) as document:
        return "\n".join(page.extract_text() for page in document.pages)


def pdftext(path: Path) -> str:
    """The text from PDFium's characters, in blocks."""
    import pdftext.extraction

    return pdftext.extraction.plain_text_output(str(path), sort=False, hyphens=True)


def liteparse(path: Path) -> str:
    """The text from PDFium's characters laid out on a grid."""
    import liteparse

    return liteparse.LiteParse(ocr_enabled=False, quiet=True).parse(str(path)).text


def pdf_oxide(path: Path) -> str:
    """The text in reading order."""
    import pdf_oxide

    document = pdf_oxide.PdfDocument(str(path))
    return "\n".join(document.extract_text(number) for number in range(document.page_count()))


def lxml(path: Path) -> str:
    """All text of the page, furniture included."""
    import lxml.html

    return "\n".join(lxml.html.fromstring(path.read_bytes()).itertext())


def selectolax(path: Path) -> str:
    """All text of the page's body, furniture included."""
    from selectolax.lexbor import LexborHTMLParser

    return LexborHTMLParser(path.read_bytes()).text(separator="\n")


def trafilatura(path: Path) -> str:
    """What it takes for the main text, asked to favour recall."""
    import trafilatura

    return trafilatura.extract(path.read_bytes(), favor_recall=True) or ""


# By the name of the distribution, for its version.
PDF: dict[str, Reader] = {
    "burnish": ours,
    "pypdfium2": pdfium,
    "pypdf": pypdf,
    "pdfminer.six": pdfminer,
    "pdfplumber": pdfplumber,
    "pdftext": pdftext,
    "liteparse": liteparse,
    "pdf_oxide": pdf_oxide,
}
HTML: dict[str, Reader] = {"burnish": ours, "lxml": lxml, "selectolax": selectolax, "trafilatura": trafilatura}


def words(text: str) -> list[str]:
    """The words of `text` in lower case."""
    return re.findall(r"\w+", text.lower())


def overlap(found: Sequence[object], expected: Sequence[object]) -> float:
    """F1 of two bags.

    >>> overlap(["a", "b"], ["a", "a"])
    0.5
    """
    common = (Counter(found) & Counter(expected)).total()
    return 2 * common / max(1, len(found) + len(expected))


def runs(sequence: Sequence[str]) -> list[tuple[str, ...]]:
    """All runs of five words: their overlap tells the order from the mere words, in linear time."""
    return list(zip(*(sequence[start:] for start in range(5)), strict=False))


def told(name: str, scores: Sequence[Sequence[float]], failures: Counter[str], seconds: float) -> str:
    """A row of the table."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    columns = [f"{mean(column):.4f}" for column in zip(*scores, strict=True)]
    failed = ", ".join(f"{count} {kind}" for kind, count in failures.items()) or "none"
    return f"| {' | '.join([f'{name} {version}'.strip(), str(len(scores)), *columns, f'{seconds:.1f}', failed])} |"


def row(name: str, reader: Reader, paths: Sequence[Path], score: Callable[[Path, str], Sequence[float]]) -> str:
    """The scores of one reader, averaged over files; what it cannot read counts as a failure, with 0 for each score."""
    scores, failures, seconds = [], Counter[str](), 0.0
    for path in paths:
        start, text = time.perf_counter(), ""
        try:
            text = reader(path)
        except ParseError as error:
            failures[error.kind] += 1
        except Exception as error:
            failures[type(error).__name__] += 1
        seconds += time.perf_counter() - start
        scores.append(score(path, text))
    return told(name, scores, failures, seconds)


def against_twin(path: Path, text: str) -> tuple[float, float]:
    """F1 of words and of runs of five words against the .txt file of the same name."""
    expected, found = words(path.with_suffix(".txt").read_text("utf-8", "replace")), words(text)
    return overlap(found, expected), overlap(runs(found), runs(expected))


def against(corpus: dict[str, list[str]]) -> Callable[[Path, str], tuple[float, float]]:
    """Recall of the words and of the runs of five words of a file's passages."""

    def score(path: Path, text: str) -> tuple[float, float]:
        found = words(text)
        expected = [words(passage) for passage in corpus[path.stem]]
        wanted, known = Counter(word for passage in expected for word in passage), Counter(found)
        wanted_runs = {run for passage in expected for run in runs(passage)}
        return (wanted & known).total() / wanted.total(), len(wanted_runs & set(runs(found))) / len(wanted_runs)

    return score


def passages(path: Path) -> dict[str, list[str]]:
    """The texts of a corpus by the name of the file they are from, which their ids begin with."""
    found: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        passage = json.loads(line)
        found.setdefault(passage["_id"].split(":")[0], []).append(passage["text"])
    return found


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--corpus", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSONL with _id and text.")
def main(folder: Path, corpus: Path | None) -> None:
    """Print a table for the PDFs with a text twin and, given a corpus, one for the HTML files."""
    pdfs = [path for path in sorted(folder.glob("*.pdf")) if path.with_suffix(".txt").exists()]
    texts = passages(corpus) if corpus else {}
    pages = [path for path in sorted(folder.glob("*.html")) if path.stem in texts]
    for readers, paths, score, measures in (
        (PDF, pdfs, against_twin, "words F1 | order F1"),
        (HTML, pages, against(texts), "words recall | order recall"),
    ):
        if not paths:
            continue
        click.echo(f"| reader | files | {measures} | seconds | failures |\n|---|---|---|---|---|---|")
        for name, reader in readers.items():
            if name == "burnish" or importlib.util.find_spec(name.replace(".six", "")):
                click.echo(row(name, reader, paths, score))


if __name__ == "__main__":
    main()
