"""Releases: what was judged is what is deployed, at any width, in any program."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from sentence_transformers import SentenceTransformer

from burnish import provenance, tables
from burnish.arrays import Vectors
from burnish.embedding import encoding, models
from burnish.errors import InputError
from burnish.queries import terms
from burnish.tables import PASSAGES
from burnish.training import licences, release
from burnish.training.licences import DocumentSources, SearchLogs
from conftest import ROOT

TEXTS = [f"{what} number {at}: {end}" for at, (what, end) in enumerate(
    (what, end) for what in ("A river", "A horse", "Some bread", "The moon") for end in ("long", "bright day", "in a house")
)]  # fmt: skip


@pytest.fixture(scope="module")
def tuned(base_model: Path) -> Vectors:
    """The vectors of the model that is released."""
    return encoding.encoder(models.load(base_model, "cpu"), "passage")(TEXTS)


def exported(base: Path, folder: Path, width: int) -> Path:
    """A release of the base model at `width`."""
    models.save(release.at_width(models.load(base, "cpu"), width), folder)
    return folder


@pytest.mark.parametrize("width", [384, 128])
def test_a_plain_program_gets_the_tuned_vectors(base_model: Path, tuned: Vectors, tmp_path: Path, width: int) -> None:
    """SentenceTransformer alone, with no argument, gives the first dimensions at unit length."""
    loaded = SentenceTransformer(str(exported(base_model, tmp_path, width)), device="cpu")
    expected = tuned[:, :width] / np.linalg.norm(tuned[:, :width], axis=1, keepdims=True)
    assert loaded.encode(TEXTS) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("width", [384, 128])
def test_a_true_release_is_proved(base_model: Path, tuned: Vectors, tmp_path: Path, width: int) -> None:
    """Loaded from its folder it gives the vectors and the same nearest ten."""
    found = release.prove(exported(base_model, tmp_path, width), tuned, TEXTS, width)
    assert (found["passages"], found["same_top_10"]) == (12, 1.0)
    assert found["lowest_cosine"] == pytest.approx(1.0, abs=1e-5)


def test_a_changed_model_is_not_proved(base_model: Path, tuned: Vectors, tmp_path: Path) -> None:
    """Weights moved by a little noise are another model."""
    model = models.load(base_model, "cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for part in model.parameters():
            part.add_(torch.randn_like(part) * 0.01)
    models.save(model, tmp_path)
    with pytest.raises(InputError, match="not the tuned model"):
        release.prove(tmp_path, tuned, TEXTS, 384)


def test_passages_with_the_same_words_do_not_fail_the_proof(base_model: Path, tmp_path: Path) -> None:
    """Fifteen copies are equally near: which ten come first says nothing of the model."""
    texts = [*TEXTS, *["The same clause stands in every contract."] * 15]
    vectors = encoding.encoder(models.load(base_model, "cpu"), "passage")(texts)
    assert release.prove(exported(base_model, tmp_path, 128), vectors, texts, 128)["same_top_10"] == 1.0


def test_a_width_beyond_the_models_is_refused(base_model: Path) -> None:
    """The message names the knob and the most that there is."""
    with pytest.raises(InputError, match=r"export\.width: 385.*384"):
        release.at_width(models.load(base_model, "cpu"), 385)


def manifest_of(folder: Path, tmp_path: Path) -> dict[str, object]:
    """The manifest of a release."""
    (tmp_path / "queries.parquet").write_bytes(b"q")
    return release.manifest(
        folder,
        base={"model": "org/name", "digest": "0"},
        training={"summary": {"rows": 5}, "licences": {"corpus": "MIT"}},
        data={"queries": tmp_path / "queries.parquet"},
        code={"train": "1" * 64, "export": "2" * 64},
        params={"train": {"loss": "mnrl"}},
        widths=[64, 384],
    )


def test_the_manifest_tells_what_a_release_was_made_from(base_model: Path, tmp_path: Path) -> None:
    """Digests of model, data and code, the knobs, and the widths from the widest."""
    found = manifest_of(base_model, tmp_path)
    assert found["model_digest"] == models.digest(base_model)
    assert found["data"] == {"queries": "8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf"}
    assert found["widths"] == [384, 64]
    assert found["code"] == {"export": "2" * 64, "train": "1" * 64}
    assert found["params"] == {"train": {"loss": "mnrl"}}


def test_manifest_and_card_change_neither_the_model_nor_each_other(base_model: Path, tmp_path: Path) -> None:
    """The digest that the index is bound to is the same before and after; the same facts give the same bytes."""
    folder = tmp_path / "release"
    shutil.copytree(base_model, folder)
    before = models.digest(folder)
    found = manifest_of(folder, tmp_path)
    release.write_manifest(folder, found)
    first = [(folder / name).read_bytes() for name in ("README.md", release.MANIFEST)]
    release.write_manifest(folder, manifest_of(folder, tmp_path))
    assert models.digest(folder) == before
    assert [(folder / name).read_bytes() for name in ("README.md", release.MANIFEST)] == first
    assert json.loads(first[1]) == found
    assert b"- corpus: MIT" in first[0]


def test_ms_marcos_terms_stand_on_the_card_in_words(base_model: Path, tmp_path: Path) -> None:
    """And in the manifest: nobody who takes the release can miss that MS MARCO is for non-commercial research."""
    found = manifest_of(base_model, tmp_path)
    stated = {"corpus": "MIT", "general set": terms.in_words("ms-marco")}
    release.write_manifest(tmp_path, found | {"training": {"summary": {"rows": 5}, "licences": stated}})
    for name in ("README.md", release.MANIFEST):
        assert "MS MARCO (Microsoft): its terms intend the data for non-commercial research purposes only" in (
            tmp_path / name
        ).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("licence", "names", "marked"),
    [
        ("ms-marco", (), True),
        ("CC0", ("microsoft/ms_marco",), True),
        ("CC0", ("sentence-transformers/msmarco-bm25",), True),
        ("CC0", ("/data/MS-MARCO", "collection.tsv", ""), True),
        ("CC0", ("team/questions", "collection.tsv"), False),
    ],
)
def test_ms_marcos_terms_come_by_themselves(licence: str, names: tuple[str, ...], marked: bool) -> None:
    """Wherever a name says what the data is; the licence that the user wrote stays."""
    found = terms.in_words(licence, *names)
    assert ("non-commercial" in found) == marked
    assert licence == "ms-marco" or found.startswith("CC0")


def test_a_source_without_a_licence_stands_on_the_card(base_model: Path, tmp_path: Path) -> None:
    """As not stated, its stars and underscores as they are; a stated one beside it."""
    documents = DocumentSources(
        sources=[{"kind": "files", "path": "my_*/**"}, {"kind": "beir", "path": "set", "language": "en"}]
    )
    logs = SearchLogs(logs=[{"kind": "table", "path": "c.csv"}])
    stated = licences.with_sources({"documents set": "CC0", "else": "MIT"}, licences.names(documents, logs))
    assert licences.unstated(stated) == ["documents my_*/**", "search log c.csv"]
    found = manifest_of(base_model, tmp_path) | {"training": {"summary": {"rows": 5}, "licences": stated}}
    lines = release.card(found).splitlines()
    shown = ["documents my\\_\\*/\\*\\*: not stated", "documents set: CC0", "else: MIT", "search log c.csv: not stated"]
    assert [line.removeprefix("- ") for line in lines if line.startswith("- ")] == shown


def test_a_licence_of_another_model_says_nothing_of_this_one() -> None:
    """With another base, writer, judge or file of judgments their licences are not stated, and the old entries are no sources."""
    before = {"base model a": "MIT", "queries written by m": "CC0", "judgments q.jsonl": "ours", "our lawyer": "agrees"}
    counts = {"from_store": 3, "judge": {}}
    others = licences.of_other_models({"denoise": {"model": ""}}, {"guide": "g@1", "teacher": "t"})
    now = ["base model b", "judgments q.jsonl", *licences.of_synthesis(counts, writer="n", judge="j"), *others]
    found = licences.with_sources(before, now)
    assert licences.unstated(found) == ["base model b", "queries written by n", "queries judged by j", "guide g@1", "teacher t"]
    assert {name: found[name] for name in before} == {
        "base model a": "MIT (no source of this model)",
        "queries written by m": "CC0 (no source of this model)",
        "judgments q.jsonl": "ours",
        "our lawyer": "agrees",
    }


def test_the_default_domains_licences_are_all_stated() -> None:
    """Each source of the shipped knobs has a line, and no line is of something else."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    named = [
        *licences.names(DocumentSources(sources=params["extract"]["sources"]), SearchLogs(logs=params["collect"]["logs"])),
        f"base model {params['base']['model']}",
        *(f"judgments {one['queries']}" for one in params["collect"]["judgments"]),
        *licences.of_synthesis({"replayed": 1}, writer=params["synthesize"]["model"], judge=""),
    ]
    found = licences.with_sources(params["export"]["licences"], named)
    assert set(found) == set(named)
    assert all(licence.startswith(("MIT", "BSD-3-Clause", "Apache-2.0")) for licence in found.values())


def test_the_general_sets_licence_is_told_once(
    tmp_path: Path, stage: Callable[..., int | None], capsys: pytest.CaptureFixture[str]
) -> None:
    """By the general set; another one among the release's knobs would contradict it."""
    knobs = {"width": 0, "licences": {"general set": "MIT"}, "proof_passages": 20}
    (tmp_path / "params.yaml").write_text(json.dumps({"export": knobs}))
    flags = dict.fromkeys(
        ("base", "tuned", "curves", "passages", "training", "negatives", "general", "judged", "synthetic"), tmp_path / "x"
    )
    assert stage("export", params=tmp_path / "params.yaml", out=tmp_path / "out", **flags) == 2
    assert "export.licences: `general set` is told by collect.general.licence; leave it out here" in capsys.readouterr().err


def test_each_set_of_nanobeir_has_a_licence_of_its_own(
    base_model: Path, tmp_path: Path, stage: Callable[..., int | None]
) -> None:
    """As given or not stated, MS MARCO's terms by themselves, and the entry of a set that is not among them is marked."""
    tuned = shutil.copytree(base_model, tmp_path / "tuned")
    (tuned / provenance.RECORD).write_text("1" * 64)
    rows = [(f"d#{at}", "d", at, "", "", text, 9) for at, text in enumerate(TEXTS)]
    tables.write(pl.DataFrame(rows, schema=PASSAGES.columns, orient="row"), PASSAGES, tmp_path / "passages.parquet")
    for name in ("queries", "qrels", "negatives"):
        (tmp_path / f"{name}.parquet").write_bytes(b"x")
    nano = {"dataset": "o/nano", "sets": ["NanoNQ", "NanoFEVER", "NanoMSMARCO"]}
    told = {
        "general": {"kind": "files", "licence": "CC0", "nanobeir": nano},
        "counts": {"recipe": {"widths": [384]}, "rows": 5},
        "judged": [],
    }
    for name, content in told.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["export"]["licences"] = {"general test NanoFEVER": "CC-BY", "general test NanoArguAna": "MIT"}
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    folders = dict.fromkeys(("curves", "training", "negatives"), tmp_path)
    files = {"general": "general.json", "judged": "judged.json", "synthetic": "counts.json", "passages": "passages.parquet"}
    where = folders | {flag: tmp_path / name for flag, name in files.items()}
    assert stage("export", params=tmp_path / "params.yaml", base=base_model, tuned=tuned, out=tmp_path / "out", **where) == 0
    found = json.loads((tmp_path / "out" / release.MANIFEST).read_text(encoding="utf-8"))["training"]["licences"]
    assert {name: licence for name, licence in found.items() if name.startswith("general")} == {
        "general set": "CC0",
        "general test NanoNQ": "not stated",
        "general test NanoFEVER": "CC-BY",
        "general test NanoMSMARCO": f"not stated; {terms.MS_MARCO}",
        "general test NanoArguAna": "MIT (no source of this model)",
    }
