"""docs/experts.md: its fragments of params.yaml run, on the files that it shows."""

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

import small
from burnish import knobs, tables
from burnish.cli import cli
from burnish.embedding import vectors
from burnish.queries import labels
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES
from conftest import ROOT

PAGE = (ROOT / "docs/experts.md").read_text(encoding="utf-8")
FRAGMENTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def changed(fragment: str) -> dict[str, object]:
    """The repository's params with a fragment's knobs."""
    found = yaml.safe_load(fragment)
    assert all(set(section) <= set(PARAMS[name]) for name, section in found.items())
    return {name: section | found.get(name, {}) for name, section in PARAMS.items()}


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_fragment_is_knobs(tmp_path: Path, fragment: str) -> None:
    """The stage accepts it."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed(fragment)), encoding="utf-8")
    for section in yaml.safe_load(fragment):
        kind = runpy.run_path(str(ROOT / "stages" / f"{section}.py"))[f"{section.capitalize()}Knobs"]
        assert isinstance(knobs.section(tmp_path / "params.yaml", section, kind), kind)


@pytest.mark.parametrize(
    ("number", "grades"),
    [
        (0, [("q1", "lease.pdf", 2), ("q2", "annex.pdf", 0), ("q2", "lease.pdf", 0)]),
        (1, [("when may the tenant leave", "lease.pdf", 1), ("who pays for repairs", "annex.pdf", 0)]),
        (2, [("q1", "lease.pdf", 3)]),
        (3, [("q1", "annex.pdf", 1), ("q1", "lease.pdf", 2), ("q2", "annex.pdf", 0), ("q2", "lease.pdf", 1), ("syn-0011223344556677", "lease.pdf", 0)]),
    ],
)  # fmt: skip
def test_a_fragment_runs(
    tmp_path: Path, stage: Callable[..., int | None], number: int, grades: list[tuple[str, str, int]]
) -> None:
    """`collect` reads the files that the page shows, and makes of them what the page says."""
    for name, content in FILES.items():
        (tmp_path / "judged").mkdir(exist_ok=True)
        (tmp_path / "judged" / name).write_text(content, encoding="utf-8")
    row = dict.fromkeys(DOCUMENTS.columns, "x")
    documents = pl.DataFrame([row | {"document_id": name} for name in ("lease.pdf", "annex.pdf")])
    tables.write(documents, DOCUMENTS, tmp_path / "corpus/documents.parquet")
    tables.write(tables.empty(PASSAGES), PASSAGES, tmp_path / "corpus/passages.parquet")
    chosen = changed(FRAGMENTS[number])
    labelled = "labels" in yaml.safe_load(FRAGMENTS[number])["collect"]
    chosen["collect"] |= {"shares": {"test": 0.99, "dev": 0.0}} | ({} if labelled else {"labels": ""})
    (tmp_path / "params.yaml").write_text(json.dumps(chosen), encoding="utf-8")
    where = {"corpus": tmp_path / "corpus", "judged": tmp_path / "judged", "logs": tmp_path, "general": ROOT / "data/general"}
    assert stage("collect", params=tmp_path / "params.yaml", out=tmp_path / "out", **where) == 0
    found = tables.read(QRELS, tmp_path / "out/qrels.parquet").filter(pl.col("origin") == "curated")
    asked = pl.read_parquet(tmp_path / "out/queries.parquet").select("query_id", "text")
    named = found.join(asked, on="query_id", how="left").with_columns(
        name=pl.when(pl.col("query_id").str.starts_with("exp-")).then("text").otherwise("query_id")
    )
    assert sorted(named.select("name", "target_id", "grade").rows()) == grades
    sources = [one.get("queries", one.get("path")) for one in chosen["collect"]["judgments"]]
    assert json.loads((tmp_path / "out/judged.json").read_text()) == sources + (["labels.csv"] if labelled else [])


def test_the_fragment_of_weights_runs(tmp_path: Path, stage: Callable[..., int | None]) -> None:
    """`mix` gives each training pair the weight of its origin, and leaves out the origin that weighs 0."""
    weights = yaml.safe_load(FRAGMENTS[-1])["mix"]["weights"]
    asked = {
        "experts' own question": ("curated", "train"),
        "what people click on": ("clicks", "train"),
        "a model made this up": ("synthetic", "train"),
        "words of the passage": ("extractive", "train"),
        "held back for choosing": ("curated", "dev"),
        "judged in the end": ("curated", "test"),
    }
    targets = {f"d{at}": f"p{at}" for at in range(len(asked))}
    small.write_corpus(tmp_path / "corpus", targets)
    queries = [(f"q{at}", text, "en", *kind) for at, (text, kind) in enumerate(asked.items())]
    qrels = [(f"q{at}", f"p{at}", "passage", 1, 1.0, origin) for at, (origin, _) in enumerate(asked.values())]
    made = pl.col("origin").is_in(["synthetic", "extractive"])
    for folder, own in (("collected", ~made), ("synthetic", made)):
        for table, rows in ((QUERIES, queries), (QRELS, qrels)):
            frame = pl.DataFrame(rows, schema=table.columns, orient="row")
            tables.write(frame.filter(own), table, tmp_path / folder / f"{table.name}.parquet")
    tables.write(tables.empty(PASSAGES), PASSAGES, tmp_path / "collected/general_passages.parquet")
    for name, ids in (("queries", [row[0] for row in queries]), ("passages", list(targets.values()))):
        (tmp_path / "vectors").mkdir(exist_ok=True)
        vectors.write(tmp_path / f"vectors/{name}.parquet", ids, np.eye(len(ids), dtype=np.float32))
    (tmp_path / "params.yaml").write_text(json.dumps(changed(FRAGMENTS[-1])), encoding="utf-8")
    where = {name: tmp_path / name for name in ("corpus", "collected", "synthetic", "vectors", "out")}
    assert stage("mix", params=tmp_path / "params.yaml", **where) == 0
    trained = tables.read(QRELS, tmp_path / "out/training/qrels.parquet").filter(pl.col("query_id") != "q4")
    found = dict(trained.select("origin", "weight").iter_rows())
    assert found == {origin: weights[origin] for origin in ("curated", "clicks", "synthetic")}
    assert json.loads((tmp_path / "out/counts.json").read_text())["dropped"] == {"origin_left_out": {"extractive": 1}}


def test_a_file_of_labels_that_is_not_there_is_no_source(tmp_path: Path, stage: Callable[..., int | None]) -> None:
    """The release names it once somebody has labelled."""
    for table in (DOCUMENTS, PASSAGES):
        tables.write(tables.empty(table), table, tmp_path / f"corpus/{table.name}.parquet")
    knobs_ = {"collect": PARAMS["collect"] | {"judgments": []}}
    (tmp_path / "params.yaml").write_text(json.dumps(knobs_), encoding="utf-8")
    where = {"corpus": tmp_path / "corpus", "judged": tmp_path, "logs": tmp_path, "general": ROOT / "data/general"}
    assert stage("collect", params=tmp_path / "params.yaml", out=tmp_path / "out", **where) == 0
    assert json.loads((tmp_path / "out/judged.json").read_text()) == []


def test_the_table_of_reasons_is_the_codes() -> None:
    """Each reason and no other, in their order."""
    table = PAGE.split("| reason |")[1].split("\n\n")[0]
    assert tuple(line.split("|")[1].strip() for line in table.splitlines()[2:]) == labels.REASONS


def test_every_flag_that_the_page_names_is_one() -> None:
    """Of `burnish label`, or of the ablation."""
    flags = {flag for parameter in cli.commands["label"].params for flag in parameter.opts}
    assert set(re.findall(r"--[a-z]+", PAGE)) - {"--without"} <= flags
