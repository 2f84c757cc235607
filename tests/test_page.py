"""The report: the verdict says what the numbers allow, and nothing that others wrote is anything but text."""

import html
import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from markupsafe import escape

from burnish import tables
from burnish.errors import InputError
from burnish.evaluation.measures import MEASURES
from burnish.report.changes import Changes, changes
from burnish.report.comparison import Comparison, Row
from burnish.report.formatting import code_span
from burnish.report.training_set import general_sentence, leak_counts, leak_table
from burnish.report.verdict import verdict
from conftest import ROOT

main = runpy.run_path(str(ROOT / "stages" / "report.py"))["main"]
HOSTILE = "<script>document.title='owned'</script> a | b `c` [x](javascript:alert(1)) @everyone"
PLACES = {
    "q1": (5, 0),
    "q2": (3, 0),
    "q3": (0, 4),
    "q4": (1, 1),
}  # query -> where base and tuned rank its answer, from 0
FILLERS = 9


def compared(difference: float, low: float, high: float, *, origin: str = "curated", base: float = 0.4) -> Comparison:
    """A comparison whose every measure is `base` before, with the given difference and interval."""
    values = {"base": base, "tuned": base + difference}
    rows = {name: Row(name, values, difference, low, high, 0.01) for name in MEASURES}
    return Comparison(origin, 200, ("base", "tuned"), rows, difference / base, 0.034)


KEPT = compared(-0.001, -0.009, 0.006, origin="general")
LOST = compared(-0.02, -0.03, -0.012, origin="general")


def write_tables(folder: Path, places: Mapping[str, tuple[int, int]] = PLACES, unit: str = "passage") -> None:
    """A corpus of one answer a query and some fillers, and runs that rank the answer at the given places."""
    names = [*places, *(f"f{number}" for number in range(FILLERS))]
    passages = [(f"p-{one}", f"d-{one}", 0, f"title {one}", "", f"text of {one} {HOSTILE}", 9) for one in names]
    queries = [(one, f"query {one} {HOSTILE}", "en", "curated", "test") for one in places]
    queries.append(("g1", "a general query", "en", "general", "test"))
    qrels = [(one, f"{'d' if unit == 'document' else 'p'}-{one}", unit, 2, 1.0, "curated") for one in places]
    runs = []
    for one, both in places.items():
        for system, place in zip(("base", "tuned"), both, strict=True):
            found = [f"p-f{number}" for number in range(FILLERS)]
            found.insert(place, f"p-{one}")
            runs += [(system, one, passage, rank, 1 / rank) for rank, passage in enumerate(found, 1)]
    documents = [(f"d-{one}", "files", "x", "t", "en", "0", f"d-{one}") for one in names]
    for table, rows, name in (
        (tables.DOCUMENTS, documents, "corpus/documents"),
        (tables.PASSAGES, passages, "corpus/passages"),
        (tables.QUERIES, queries, "mixed/queries"),
        (tables.QRELS, qrels, "mixed/qrels"),
        (tables.RUNS, runs, "runs"),
    ):
        tables.write(pl.DataFrame(rows, schema=table.columns, orient="row"), table, folder / f"{name}.parquet")
    write_leaks(folder)


def write_leaks(folder: Path, *rows: tuple[str, str, str, float, str]) -> None:
    """Leaks of query_id, held_id, kind, similarity and side that was left out, between hostile texts."""
    texts = [(*row, "synthetic", "curated", "test", f"{row[0]} {HOSTILE}", f"{row[1]} {HOSTILE}") for row in rows]
    frame = pl.DataFrame(texts, schema=tables.LEAKS.columns, orient="row")
    tables.write(frame, tables.LEAKS, folder / "mixed/leaks.parquet")


def write_metrics(folder: Path, origin: str = "curated") -> None:
    """Metrics of a better model; a baseline's name and a slice's label are hostile."""
    folder.mkdir(parents=True, exist_ok=True)
    delta = {
        "ndcg@10": 0.1,
        "ndcg@10_low": 0.05,
        "ndcg@10_high": 0.15,
        "ndcg@10_p": 0.0001,
        "queries": 4,
        "relative": 0.25,
    }
    systems = {"bm25": 0.3, "base": 0.4, "tuned": 0.5, HOSTILE.replace("@", ""): 0.6}
    test = {name: dict.fromkeys(MEASURES, value) for name, value in systems.items()}
    general = {name: dict.fromkeys(MEASURES, 0.8) for name in ("base", "tuned")}
    still = {"ndcg@10": 0.0, "ndcg@10_low": -0.005, "ndcg@10_high": 0.005, "ndcg@10_p": 0.9, "queries": 150}
    part = {"queries": 4, "base": 0.4, "tuned": 0.5, "delta": 0.1, "low": 0.05, "high": 0.15}
    files: dict[str, Any] = {
        "retrieval": {
            "test": {**test, "delta": {**delta, "ndcg@10_detectable": 0.07}, "origin": origin, "queries": 4},
            "general": {**general, "delta": still, "queries": 150},
        },
        "widths": {str(width): {"ndcg@10": 0.5, "kept": 1.0, "base_ndcg@10": 0.4} for width in (384, 128)},
        "slices": {"answers": {HOSTILE: part, "alone": {**part, "queries": 1, "low": None, "high": None}}},
        "corpus": {"documents": 13, "failures": {HOSTILE: 1}},
        "training_set": {
            "offered": {"synthetic": 9},
            "used": {"synthetic": 7},
            "dropped": {"repeated": {"synthetic": 2}},
            "general_queries": {"asked": 1200, "got": 260},
        },
        "mining": {"domain": {"estimated_false_negative_share": 0.062}},
        "training": {"rows": 7, "best_step": 2},
        "synthesis": {"dropped": {}},
        "reranker": {"on": False},
        "latency": {"on": False},
    }
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    curve = "step,loss,learning_rate,dev,general_dev,score\n0,,,0.4,0.8,0.4\n1,2.0,0.1,,,\n2,1.0,0.1,0.5,0.8,0.5\n"
    (folder / "learning_curve.csv").write_text(curve, encoding="utf-8")
    recalls = [f"{system},{k},{k / 10}" for system in ("base", "tuned", "tuned@128") for k in (1, 5, 10)]
    (folder / "recall_curve.csv").write_text("\n".join(["system,k,recall", *recalls]), encoding="utf-8")


def test_a_reranker_is_told_with_its_cost(written: Path) -> None:
    """In page and summary alike: the gain with its interval beside the time; nothing where it is off."""
    assert not any(
        "reranker" in (written / "reports" / name).read_text(encoding="utf-8") for name in ("summary.md", "index.html")
    )
    delta = {"ndcg@10": -0.02, "ndcg@10_low": -0.05, "ndcg@10_high": -0.01, "queries": 4}
    test = {"tuned": {"ndcg@10": 0.5}, "tuned + reranker": {"ndcg@10": 0.48}, "delta": delta}
    times = {
        "search": {"median_ms": 9.6, "p95_ms": 12.0},
        "reranker": {"median_ms": 1240.2, "p95_ms": 1300.0},
        "device": "cpu, 2 threads",
    }
    files = {"reranker": {"on": True, "test": test, "training": {"depth": 50}}, "latency": {"on": True, **times}}
    for name, value in files.items():
        (written / f"metrics/{name}.json").write_text(json.dumps(value), encoding="utf-8")
    assert run_stage(written).exit_code == 0
    said = (
        "A reranker over the tuned model's first 50 passages does harm: nDCG@10 from 0.500 to 0.480, −0.020 (95 % interval −0.050 to "
        "−0.010), on 4 queries; it takes 1,240 ms a query (95th percentile 1,300 ms) beside the search's 10 ms (cpu, 2 threads)."
    )
    assert said in (written / "reports/summary.md").read_text(encoding="utf-8")
    assert said in html.unescape((written / "reports/index.html").read_text(encoding="utf-8"))


class Elements(HTMLParser):
    """Names of a page's elements and attributes, as a parser sees them."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def run_stage(folder: Path, out: str = "reports") -> Result:
    """Run the stage over what `write_tables` and `write_metrics` made."""
    flags = {
        "metrics": "metrics",
        "runs": "runs.parquet",
        "corpus": "corpus",
        "test": "mixed",
        "leaks": "mixed/leaks.parquet",
        "out": out,
    }
    return CliRunner().invoke(main, [part for name, at in flags.items() for part in (f"--{name}", str(folder / at))])


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder in which the stage has run."""
    write_tables(tmp_path)
    write_metrics(tmp_path / "metrics")
    result = run_stage(tmp_path)
    assert result.exit_code == 0, result.output
    return tmp_path


def changed(folder: Path) -> Changes:
    """The changes of the tables in `folder`."""
    files = ((tables.RUNS, "runs"), (tables.QUERIES, "mixed/queries"), (tables.QRELS, "mixed/qrels"))
    runs, queries, qrels = (tables.read(table, folder / f"{name}.parquet") for table, name in files)
    passages, documents = (
        tables.read(one, folder / f"corpus/{one.name}.parquet") for one in (tables.PASSAGES, tables.DOCUMENTS)
    )
    return changes(runs, queries, qrels, passages, documents=documents)


def test_an_interval_above_zero_is_help_and_says_deploy() -> None:
    """Better on the test and kept on the general set: how much, on how many queries of which origin, then deploy."""
    said = verdict(compared(0.1, 0.05, 0.15), KEPT)
    assert said.helped == (
        "Fine-tuning helped: ndcg@10 rose from 0.400 to 0.500, "
        "+0.100 (+25 % relative; 95 % interval +0.050 to +0.150), on 200 queries of the curated test."
    )
    assert said.general.startswith("General language was kept: ndcg@10 −0.0010")
    assert (said.outcome, said.following) == ("better", "Next: deploy.")


def test_an_interval_below_zero_is_harm_and_says_do_not_deploy() -> None:
    """Worse on the test: the sentence says fell, and the next step forbids."""
    said = verdict(compared(-0.1, -0.15, -0.05), KEPT)
    assert said.outcome == "worse"
    assert said.helped.startswith("Fine-tuning did harm: ndcg@10 fell from 0.400 to 0.300, −0.100 (−25 % relative")
    assert said.following.startswith("Next: do not deploy")


@pytest.mark.parametrize(("low", "high"), [(-0.01, 0.05), (0.0, 0.05), (-0.05, 0.0)])
def test_an_interval_that_holds_zero_shows_nothing_and_asks_for_judgments(low: float, high: float) -> None:
    """0 inside the interval or at its end: no effect is shown, and the reader learns what so many queries can show."""
    said = verdict(compared((low + high) / 2, low, high), KEPT)
    assert said.outcome == "open"
    assert said.helped.startswith("No effect of fine-tuning is shown")
    assert said.following == (
        "Next: more judgments before any decision; 200 queries can show only a difference of 0.034 or more."
    )


@pytest.mark.parametrize("origin", ["synthetic", "extractive"])
def test_a_synthetic_test_is_never_enough_to_deploy(origin: str) -> None:
    """The first sentence says synthetic test, and the next step is to judge real queries."""
    said = verdict(compared(0.1, 0.05, 0.15, origin=origin), KEPT)
    assert "synthetic test" in said.helped
    assert said.following.startswith("Next: judge real queries before deploying")


@pytest.mark.parametrize(
    ("origin", "label"),
    [
        ("clicks, curated", "mixed test (clicks, curated)"),
        ("curated, synthetic", "partly synthetic test (curated, synthetic)"),
    ],
)
def test_a_test_of_several_origins_names_them(origin: str, label: str) -> None:
    """Score joins origins by a comma; one synthetic part is enough to be called so and not to deploy."""
    found = compared(0.1, 0.05, 0.15, origin=origin)
    said = verdict(found, KEPT)
    assert found.label == label
    assert label in said.helped
    assert (said.following == "Next: deploy.") == ("synthetic" not in origin)


def test_lost_general_language_forbids_deploying_a_better_model() -> None:
    """A fall beyond the allowed one outweighs a gain."""
    said = verdict(compared(0.1, 0.05, 0.15), LOST)
    assert said.general.startswith("General language was not kept: ndcg@10 −0.0200")
    assert said.following.startswith("Next: do not deploy")


def test_a_fall_of_exactly_the_allowed_one_is_kept_but_tempered() -> None:
    """−0.01 is within the bound; an interval that reaches beyond it is said."""
    said = verdict(compared(0.1, 0.05, 0.15), compared(-0.01, -0.02, 0.001, origin="general"))
    assert said.general.startswith("General language was kept as far as these queries show")
    assert said.following == "Next: deploy."


def test_an_untested_general_set_is_said_and_not_taken_for_kept() -> None:
    """Without general queries the verdict does not say kept."""
    said = verdict(compared(0.1, 0.05, 0.15), None)
    assert "not tested" in said.general
    assert said.following != "Next: deploy."


def test_a_system_above_the_tuned_model_is_named() -> None:
    """A baseline that beats the tuned model stands in the verdict."""
    found = compared(0.1, 0.05, 0.15)
    values = {"big": 0.7, "base": 0.4, "tuned": 0.5}
    rows = {name: Row(name, values, 0.1, 0.05, 0.15, 0.01) for name in MEASURES}
    said = verdict(Comparison("curated", 200, ("big", "base", "tuned"), rows, None, found.detectable), KEPT)
    assert said.ahead == (("big", "0.700"),)


def test_improved_and_damaged_queries_are_listed_most_changed_first(tmp_path: Path) -> None:
    """q1 rose from rank 6, q2 from rank 4, q3 fell to rank 5, q4 stayed; the general query is in no list."""
    write_tables(tmp_path)
    found = changed(tmp_path)
    assert [one.query.split()[1] for one in found.improved] == ["q1", "q2"]
    assert [one.query.split()[1] for one in found.damaged] == ["q3"]
    assert (found.better, found.worse, found.same) == (2, 1, 1)


@pytest.mark.parametrize("unit", ["passage", "document"])
def test_rankings_show_the_top_five_with_grades_and_where_the_answer_was(tmp_path: Path, unit: str) -> None:
    """q1's answer is at rank 6 of base, beyond what is shown, and first of tuned; nobody judged the others."""
    write_tables(tmp_path, unit=unit)
    one = changed(tmp_path).improved[0]
    assert [hit.grade for hit in one.base.hits] == [None] * 5
    assert one.base.first_answer == 6
    assert [(hit.rank, hit.grade) for hit in one.tuned.hits] == [(1, 2), (2, None), (3, None), (4, None), (5, None)]
    assert [hit.title for hit in one.tuned.hits[:2]] == ["title q1", "title f0"]


def test_at_most_ten_queries_are_listed_of_each(tmp_path: Path) -> None:
    """Of twelve improved queries ten are listed, equal changes by query_id."""
    write_tables(tmp_path, {f"q{number:02}": (3, 0) for number in range(12)})
    found = changed(tmp_path)
    assert [one.query.split()[1] for one in found.improved] == [f"q{number:02}" for number in range(10)]
    assert found.better == 12


def test_the_summary_begins_with_the_verdict_and_the_table(written: Path) -> None:
    """Verdict and before/after table, main measure first, stand before the first `## `, where make stops printing."""
    lines = (written / "reports/summary.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("**Fine-tuning helped: nDCG@10 rose from 0.400 to 0.500")
    heading = lines.index("Before and after: curated test, 4 queries")
    assert next(line for line in lines if line.startswith("#")) == "## Widths: curated test"
    assert heading < lines.index("## Widths: curated test")
    assert re.sub(" +", " ", lines[heading + 4]) == (
        "| nDCG@10 | 0.300 | 0.600 | 0.400 | 0.500 | +0.100 | +0.050 to +0.150 | < 0.001 |"
    )
    assert len(lines) < 100


def test_many_slices_and_widths_keep_the_summary_below_a_hundred_lines(tmp_path: Path) -> None:
    """What is left out is counted."""
    write_tables(tmp_path, {f"q{number:02}": (3, 0) if number % 2 else (0, 3) for number in range(20)})
    write_metrics(tmp_path / "metrics")
    part = {"queries": 4, "base": 0.4, "tuned": 0.5, "delta": 0.1, "low": 0.05, "high": 0.15}
    slices = {"team": {f"t{number}": part for number in range(60)}}
    (tmp_path / "metrics/slices.json").write_text(json.dumps(slices), encoding="utf-8")
    widths = {str(width): {"ndcg@10": 0.5, "base_ndcg@10": 0.4} for width in range(8, 408, 8)}
    (tmp_path / "metrics/widths.json").write_text(json.dumps(widths), encoding="utf-8")
    run_stage(tmp_path)
    lines = (tmp_path / "reports/summary.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 100
    assert "36 more slices stand in the page." in lines


def test_every_heading_and_caption_over_a_synthetic_test_says_so(tmp_path: Path) -> None:
    """Sentence, headings of the summary, and headings and captions of the page that show test results."""
    write_tables(tmp_path)
    write_metrics(tmp_path / "metrics", origin="synthetic")
    run_stage(tmp_path)
    summary = (tmp_path / "reports/summary.md").read_text(encoding="utf-8")
    assert all("synthetic test" in line for line in summary.splitlines() if line.startswith(("## ", "**", "Before")))
    page = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert [one for one in headings if "synthetic test" not in one] == ["Training", "What went in"]
    captions = re.findall(r"<caption><span>(.*?)</span>", page)
    shown = [one for one in captions if "synthetic test" not in one]
    expected = (
        "Mean over the 150 queries of the general set",
        "Training",
        "nDCG@10 on dev",
        "Corpus",
        "Synthetic",
        "Hard",
        "Leaks by how they were found",
    )
    assert all(one.startswith(expected) for one in shown)


def test_hostile_text_is_only_text_in_the_page(written: Path) -> None:
    """No markup of a query, passage, label or system survives; the text itself does."""
    page = (written / "reports/index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert str(escape(HOSTILE)) in page
    elements = Elements()
    elements.feed(page)
    assert not elements.tags & {"script", "a", "img", "iframe", "link", "object", "embed", "form", "base"}
    assert not [one for one in elements.attributes if one.startswith("on") or one in {"href", "src", "action", "style"}]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page


def test_hostile_text_is_only_code_in_the_summary(written: Path) -> None:
    """Outside code spans no character of a hostile text is left, and no pipe of it makes a cell."""
    summary = (written / "reports/summary.md").read_text(encoding="utf-8")
    assert "owned" in summary
    outside = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", summary)
    assert not re.search(r"[<`\[]script|javascript|@everyone|owned|<script", outside)
    tables_of = [block.splitlines() for block in summary.split("\n\n") if block.startswith("|")]
    for block in tables_of:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "`plain`"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        ("a|b", r"`a\|b`"),
        ("", "`(empty)`"),
        ("a\n\n# b", "`a # b`"),
    ],
)
def test_a_code_span_cannot_be_left(text: str, expected: str) -> None:
    """The fence outgrows backticks, a pipe is escaped, a line break becomes a space."""
    assert code_span(text) == expected


def test_the_page_shows_every_part(written: Path) -> None:
    """Charts have a title and a description, table columns a scope, rankings both systems."""
    page = (written / "reports/index.html").read_text(encoding="utf-8")
    assert page.count('role="img"') == page.count("<desc ") == 4
    assert page.count("<thead>") == page.count("<caption>") > 8
    assert page.count('class="ranking"') == 2 * 3
    assert "6.2 %" in html.unescape(page)


def test_a_general_set_that_is_too_small_is_told(written: Path) -> None:
    """What was asked for and what there was stand in one sentence; nothing stands where nothing is asked for."""
    said = "mix.general_share asks for 1,200 general training queries, but the general set had only 260 that could be used."
    assert said in (written / "reports/index.html").read_text(encoding="utf-8")
    assert general_sentence({"general_queries": {"asked": 0, "got": 0}}) == ""


def test_leaks_are_counted_and_the_worst_shown(written: Path) -> None:
    """Pairs by kind with the queries left out for them; exact ones first, at most ten, both texts with origin and split."""
    near = [(f"t{at:02}", "h0", "near-duplicate", 0.7 + at / 100, "training") for at in range(12)]
    write_leaks(
        written,
        *near,
        ("t00", "h1", "exact", 1.0, "training"),
        ("t00", "h2", "normalised", 1.0, "held-out"),
        ("v", "h2", "exact", 1.0, "dev"),
    )
    assert run_stage(written).exit_code == 0
    leaks = tables.read(tables.LEAKS, written / "mixed/leaks.parquet")
    assert leak_counts(leaks).rows == (
        ("exact", "2", "1", "1", "0"),
        ("normalised", "1", "0", "0", "1"),
        ("near-duplicate", "12", "12", "0", "0"),
    )
    shown = leak_table(leaks).rows
    assert [row[0].split()[0] for row in shown] == ["t00", "v", "t00", *(f"t{at:02}" for at in range(11, 4, -1))]
    assert [row[2:] for row in shown[:3]] == [
        ("exact", "training", "1.00"), ("exact", "dev", "1.00"), ("normalised", "held-out", "1.00"),
    ]  # fmt: skip
    page = (written / "reports/index.html").read_text(encoding="utf-8")
    assert all(str(escape(cell)) in page for row in shown for cell in row)
    assert "<script" not in page


def test_the_same_inputs_give_the_same_bytes(written: Path) -> None:
    """Two runs, into two folders, write equal files, and name no folder of this machine."""
    run_stage(written, "again")
    for name in ("index.html", "summary.md"):
        first = (written / "reports" / name).read_bytes()
        assert first == (written / "again" / name).read_bytes()
        assert str(written).encode() not in first


def test_missing_metrics_are_named_before_anything_is_written(written: Path) -> None:
    """The error names the file, and the earlier report stays as it was."""
    before = (written / "reports/summary.md").read_bytes()
    (written / "metrics/widths.json").unlink()
    result = run_stage(written)
    assert isinstance(result.exception, InputError)
    assert "widths.json" in str(result.exception)
    assert (written / "reports/summary.md").read_bytes() == before


def test_runs_without_the_tuned_system_are_an_error(tmp_path: Path) -> None:
    """The error names the system."""
    write_tables(tmp_path)
    runs = tables.read(tables.RUNS, tmp_path / "runs.parquet").filter(pl.col("system") != "tuned")
    tables.write(runs, tables.RUNS, tmp_path / "runs.parquet")
    with pytest.raises(InputError, match="'tuned'"):
        changed(tmp_path)


@pytest.mark.deep
def test_a_browser_shows_the_page_and_runs_nothing_of_it(written: Path, tmp_path: Path) -> None:
    """Chromium's DOM has the title and the table, and a query's script neither ran nor became an element."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not on PATH: install the Debian package chromium to look at the page in a browser")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --dump-dom"
    )
    page = (written / "reports/index.html").resolve().as_uri()
    command = [chromium, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", page]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>burnish: retrieval before and after fine-tuning</title>" in dom
    assert re.search(r"<th [^>]*scope=\"row\"[^>]*>nDCG@10</th>", dom)
    assert "<script" not in dom
    assert "<title>owned" not in dom
