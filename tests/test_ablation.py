"""benchmarks/ablation.py: what each origin and each part brings, by training without it."""

import hashlib
import json
import runpy
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from click.testing import CliRunner

import small
from burnish import knobs, tables
from burnish.errors import InputError
from burnish.tables import QRELS, QUERIES
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import ablation  # noqa: E402
from ablation import Place, Result  # noqa: E402


def place(root: Path, used: dict[str, int], per_query: int = 1) -> Place:
    """A repository whose training set has these queries, all of one answer, and the default's params but for `mine.per_query`."""
    (root / "data/mixed").mkdir(parents=True)
    (root / "data/mixed/counts.json").write_text(json.dumps({"used": used}), encoding="utf-8")
    asked = [
        (f"{origin}-{at}", f"{origin} {at}", "en", origin, "train") for origin, number in used.items() for at in range(number)
    ]
    judged = [(query_id, "answer", "passage", 2, 1.0, origin) for query_id, _, _, origin, _ in asked]
    for table, rows in ((QUERIES, asked), (QRELS, judged)):
        frame = pl.DataFrame(rows, schema=table.columns, orient="row")
        tables.write(frame, table, root / f"data/mixed/training/{table.name}.parquet")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["mine"]["per_query"] = per_query
    (root / "whole.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return Place(root, root / "whole.yaml")


@pytest.mark.parametrize("name", [*ablation.PARTS, *ablation.ORIGINS])
def test_every_variant_is_knobs_and_another_recipe(tmp_path: Path, name: str) -> None:
    """The stages accept its params, which differ from the repository's in one knob."""
    given = place(tmp_path, {})
    changes = ablation.changes(given, name)
    assert len(changes) == 1
    ablation.write_params(given, changes, tmp_path / "params.yaml")
    before, after = (yaml.safe_load(path.read_text()) for path in (given.params, tmp_path / "params.yaml"))
    section = next(iter(changes)).split(".")[0]
    assert [one for one in before if before[one] != after[one]] == [section]
    kind = runpy.run_path(str(ROOT / "stages" / f"{section}.py"))[f"{section.capitalize()}Knobs"]
    knobs.section(tmp_path / "params.yaml", section, kind)


def test_a_variant_that_changes_nothing_is_told(tmp_path: Path) -> None:
    """It would show that nothing brings anything."""
    given = place(tmp_path, {"synthetic": 9}, per_query=0)
    with pytest.raises(InputError, match=r"whole.yaml: expected the knob `mine.per_quarry`, found none"):
        ablation.variants(given, ("mine.per_quarry=1",))
    for name in ("mining", "mine.per_query=0"):
        with pytest.raises(InputError, match=f"{name}: the recipe is so already"):
            ablation.variants(given, (name,))
    assert ablation.changes(given, "mine.per_query=2") == {"mine.per_query": 2}


def test_variants_are_what_is_there(tmp_path: Path) -> None:
    """Each origin that is trained on and each part that is used; an origin without a query would measure nothing."""
    given = place(tmp_path, {"synthetic": 9, "general": 3})
    assert ablation.variants(given, ()) == ["general", "synthetic", *ablation.PARTS]
    assert ablation.variants(Place(tmp_path, ROOT / "params.yaml"), ()) == ["general", "synthetic", *ablation.PARTS]
    many = place(tmp_path / "many", {"synthetic": 9000})
    unmined = Place(many.root, ROOT / "params.yaml")
    assert ablation.variants(unmined, ())[1:] == [one for one in ablation.PARTS if one not in {"mining", "likely-answer-rule"}]
    assert ablation.variants(given, ("mining",)) == ["mining"]
    with pytest.raises(InputError, match=r"--without clicks: no training query has this origin; there are \['general', 'syn"):
        ablation.variants(given, ("clicks",))
    with pytest.raises(InputError, match="the repository is not built; run `dvc repro mix`"):
        ablation.variants(Place(tmp_path / "other", ROOT / "params.yaml"), ())


def test_without_the_only_domain_origin_the_base_is_left(tmp_path: Path) -> None:
    """General pairs alone teach no domain."""
    one, two = {"synthetic": 9, "general": 3}, {"synthetic": 9, "clicks": 1}
    assert ablation.leaves_nothing(place(tmp_path / "one", one), "synthetic")
    assert not ablation.leaves_nothing(place(tmp_path / "two", two), "synthetic")
    assert not ablation.leaves_nothing(place(tmp_path / "three", one), "general")


def test_a_gain_is_the_wholes_over_the_queries_of_both() -> None:
    """Paired by query; a query that one of them lacks does not count."""
    whole = Result({"a": 0.9, "b": 0.5, "c": 0.7, "d": 0.0}, {}, 1.0)
    other = Result({"b": 0.5, "a": 0.7, "c": 0.5}, {}, 2.0)
    found = ablation.row("mining", whole, other)
    assert found["domain"]["ndcg@10"] == round((0.7 + 0.5 + 0.5) / 3, 4)
    assert (found["domain"]["gain"], found["domain"]["queries"]) == (round(0.4 / 3, 4), 3)
    assert found["domain"]["low"] <= found["domain"]["gain"] <= found["domain"]["high"]
    assert "general" not in found
    assert "gain" not in ablation.row("nothing", whole, whole)["domain"]


def test_several_seeds_count_by_their_mean() -> None:
    """Query by query."""
    found = ablation.averaged([Result({"a": 0.2}, {"g": 1.0}, 1.0), Result({"a": 0.4}, {"g": 0.0}, 2.0)])
    assert (found.domain["a"], found.general, found.seconds) == (pytest.approx(0.3), {"g": 0.5}, 3.0)


def test_the_table_has_a_cell_for_each_title() -> None:
    """Also where there is no general set."""
    whole, other = Result({"a": 0.9, "b": 0.4}, {}, 1.0), Result({"a": 0.7, "b": 0.5}, {}, 2.0)
    lines = ablation.table([ablation.row("nothing", whole, whole), ablation.row("mask", whole, other)]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| mask | 0.6000 | +0.0500 (" in lines[3]


def contents(root: Path) -> dict[str, str]:
    """The digest of every file."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.deep
def test_a_built_repository_is_taken_apart(tmp_path: Path, base_model: Path, stage) -> None:
    """Each variant is trained and judged on the same queries, and the repository stays as it was."""
    knobs = {"synthesize.provider": "extractive", "synthesize.accept_coverage": 0.0, "mix.general_share": 1.0}
    small.write(tmp_path, knobs | {"train.evaluations": 1})
    data, params = tmp_path / "data", tmp_path / "params.yaml"
    (tmp_path / "models").mkdir()
    (tmp_path / "models/base").symlink_to(base_model)
    corpus, collected, base = data / "corpus", data / "collected", data / "vectors/base"
    passages, general = corpus / "passages.parquet", collected / "general_passages.parquet"
    assert stage("extract", params=params, documents=data / "documents", model=base_model, out=corpus) == 0
    read = {"judged": data / "judged", "logs": data / "logs", "general": data / "general"}
    assert stage("collect", params=params, corpus=corpus, out=collected, **read) == 0
    made = {
        "recorded": data / "replies",
        "store": tmp_path / "store",
        "prompts": ROOT / "prompts",
        "training": collected / "training",
        "out": data / "synthetic",
    }
    documents = corpus / "documents.parquet"
    assert stage("synthesize", params=params, passages=passages, documents=documents, **made) == 0
    embed = runpy.run_path(str(ROOT / "stages/embed.py"))["main"].callback
    embedded = {"passages": passages, "general": general}
    asked = tuple(folder / "queries.parquet" for folder in (collected, data / "synthetic"))
    embed(params=params, model=base_model, **embedded, queries=asked, store=tmp_path / "vectors", out=base)
    mixed = {"corpus": corpus, "collected": collected, "synthetic": data / "synthetic", "vectors": base, "out": data / "mixed"}
    assert stage("mix", params=params, **mixed) == 0
    before = contents(tmp_path)

    names = ("extractive", "general", "mining", "mask")
    flags = [part for name in names for part in ("--without", name)]
    result = CliRunner().invoke(ablation.main, ["--root", str(tmp_path), *flags, "--json"], catch_exceptions=False)
    rows = {row["variant"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert list(rows) == ["the recipe", *names, "base"]
    assert {row["domain"]["queries"] for row in rows.values()} == {10}
    assert {row["general"]["queries"] for row in rows.values()} == {3}
    assert rows["extractive"] | {"variant": ""} == rows["base"] | {"variant": ""}
    assert len({row["domain"]["ndcg@10"] for row in rows.values()}) > 1
    assert contents(tmp_path) == before
