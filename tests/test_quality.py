"""benchmarks/quality.py and curve.py: folders in BEIR's format, the systems compared on them, and what is printed."""

import doctest
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import small
from burnish.embedding import models
from burnish.errors import InputError
from burnish.evaluation import measures
from burnish.search.retrieval import truncated
from burnish.training import mixing
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import curve  # noqa: E402
import documented  # noqa: E402
import folders  # noqa: E402
import quality  # noqa: E402
import quality_rows  # noqa: E402
from folders import Data, data  # noqa: E402
from quality_rows import Result  # noqa: E402

TEST = {name: questions[0] for name, (_, _, questions) in small.DOCUMENTS.items()}
TRAIN = {name: questions[1] for name, (_, _, questions) in small.DOCUMENTS.items()}


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """The ends of the 24 small documents, too short for every query to find its own.

    The first question of each is a test query, the second trains; every third answer has the grade 1, the others 3.
    """
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    ends = {name: " ".join(text.split()[-8:]) for name, (_, text, _) in small.DOCUMENTS.items()}
    records = [{"_id": name, "title": "", "text": end} for name, end in ends.items()]
    (folder / "corpus.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records), encoding="utf-8")
    asked = []
    for split, questions in (("test", TEST), ("train", TRAIN)):
        asked += [{"_id": f"{split} {name}", "text": text} for name, text in questions.items()]
        lines = [f"{split} {name}\t{name}\t{1 if at % 3 == 0 else 3}\n" for at, name in enumerate(questions)]
        (folder / f"qrels/{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8")
    (folder / "queries.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in asked), encoding="utf-8")
    return folder


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """The repository's knobs, quick ones."""
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    own = {name: value for name, value in small.KNOBS.items() if name.split(".")[0] in {"mine", "train"}}
    few = {"collect.general.most": {"train": 4, "dev": 2, "test": 0}, "collect.general.distractors": 0}
    small.edit(path, own | few | {"train.learning_rate": 1e-3, "train.interpolation": [1.0]})
    return path


def printed(command, *arguments: object) -> list[dict]:
    """The lines of JSON that a benchmark prints, and nothing else on standard output."""
    found = CliRunner().invoke(command, [*map(str, arguments), "--json"], catch_exceptions=False)
    return [json.loads(line) for line in found.stdout.splitlines()]


def asked(queries: int, answers: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training queries that share so many answers, a judged non-answer of each, and a dev query whose answer is its own."""
    names = [f"q{at}" for at in range(queries)]
    rows = [(name, f"p{at % answers}", 2) for at, name in enumerate(names)] + [(name, f"n{name}", 0) for name in names]
    split = ["train"] * queries + ["dev"]
    judged = pl.DataFrame([*rows, ("d", "own", 1)], schema=["query_id", "target_id", "grade"], orient="row")
    return pl.DataFrame({"query_id": [*names, "d"], "split": split}), judged


@pytest.mark.parametrize(
    ("queries", "answers", "negatives"), [(4000, 1000, 1), (4002, 1000, 0), (30, 20, 1), (30, 21, 0), (30, 30, 0)]
)
def test_few_queries_that_share_answers_are_mined_for(queries: int, answers: int, negatives: int) -> None:
    """The default, `auto`."""
    assert quality.settings(ROOT / "params.yaml", 7).rule(*asked(queries, answers)).per_query == negatives


def test_a_number_of_negatives_is_what_it_says(params: Path) -> None:
    """Whatever the queries."""
    assert quality.settings(params, 7).rule(*asked(30, 30)).per_query == 1


def test_general_pairs_are_mixed_in_by_the_share(params: Path, beir: Path) -> None:
    """One for each ten of the folder's training queries, those that `mix` would take, and every general dev query."""
    small.edit(params, {"mix.general_share": 0.1})
    chosen = quality.settings(params, 7)
    given, everyday = data(beir), chosen.general()
    found = quality.general_queries(given, chosen)
    count = round(0.1 * given.of("train").height)
    wanted = mixing.general_chosen(everyday.of("train")["query_id"].to_list(), count)
    assert count > 0
    assert set(found.filter(pl.col("split") == "train")["query_id"]) == set(wanted)
    assert found.filter(pl.col("split") == "dev").height == 2
    assert {*found["origin"]} == {"general"}
    small.edit(params, {"mix.weights.general": 0.0})
    assert set(quality.general_queries(given, quality.settings(params, 7))["split"]) == {"dev"}


def test_train_and_test_alone_are_read(beir: Path) -> None:
    """A second test set, or a dev.tsv, would else be trained on."""
    (beir / "qrels/test_other.tsv").write_text(
        "query-id\tcorpus-id\tscore\ntrain bread/salt\tbread/crust\t1\n", encoding="utf-8"
    )
    (beir / "qrels/dev.tsv").write_text("query-id\tcorpus-id\tscore\nnobody\tbread/crust\t1\n", encoding="utf-8")
    found = data(beir)
    assert set(found.of("train", "dev")["text"]) == set(TRAIN.values())
    assert set(found.of("test")["text"]) == set(TEST.values())
    assert found.of("dev").height > 0


def test_dev_asks_for_answers_that_are_not_trained_on(beir: Path) -> None:
    """Of four questions about each passage none trains where another is dev."""
    more = [{"_id": f"train {name} {at}", "text": f"{text} {at}"} for name, text in TRAIN.items() for at in range(3)]
    with (beir / "queries.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(one)}\n" for one in more)
    with (beir / "qrels/train.tsv").open("a", encoding="utf-8") as file:
        file.writelines(f"{one['_id']}\t{one['_id'].split()[1]}\t1\n" for one in more)
    found = data(beir)
    train, dev = (set(found.pairs(split)["target_id"]) for split in ("train", "dev"))
    assert (len(dev), len(train)) == (2, 22)
    assert not train & dev


def test_grades_are_kept(beir: Path) -> None:
    """Whatever is above 0 trains; the measures tell a full answer from a partial one."""
    found = data(beir)
    assert found.qrels["grade"].value_counts().sort("grade").rows() == [(1, 16), (3, 32)]
    assert found.pairs("train", "dev").height == 24
    assert found.pairs("test").columns == ["query_id", "text", "target_id"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("qrels/train.tsv", None, r"qrels/train.tsv: expected judgments in BEIR's format, found no such file; add it"),
        ("qrels/test.tsv", None, r"qrels/test.tsv: expected judgments"),
        ("corpus.jsonl", None, r"corpus.jsonl: expected a file of JSON lines, found none"),
        ("qrels/test.tsv", "test bread/salt\tbread/salt\t0\n", r"qrels/test.tsv: expected queries with an answer for test"),
        ("qrels/test.tsv", "test bread/salt\tbread/salt\t-1\n", r"grade '-1'; expected a whole number from 0"),
        ("qrels/test.tsv", "test bread/salt\tbread/sugar\t1\n", r"1 of 1 judgments name an id .* 'bread/sugar'"),
        (
            "qrels/test.tsv",
            "train bread/salt\tbread/salt\t3\n",
            r"'train bread/salt' stands in the judgment files of two splits",
        ),
    ],
)
def test_a_folder_that_lacks_something_is_refused(beir: Path, name: str, content: str | None, told: str) -> None:
    """In one line that names the file."""
    (beir / name).unlink()
    if content is not None:
        (beir / name).write_text(f"query-id\tcorpus-id\tscore\n{content}", encoding="utf-8")
    with pytest.raises(InputError, match=told):
        data(beir)


def test_a_general_folder_needs_no_training_queries(beir: Path) -> None:
    """Only its test queries are read."""
    (beir / "qrels/train.tsv").unlink()
    found = data(beir, "test")
    assert set(found.queries["text"]) == set(TEST.values())


def test_a_larger_part_holds_the_smaller(beir: Path) -> None:
    """Training queries are drawn by hash, whatever their order; passages and test queries stay."""
    whole = data(beir)
    turned = Data(whole.name, whole.passages, whole.queries.reverse(), whole.qrels)
    parts = [whole.part(share) for share in (40, 70, 100)]
    drawn = [set(part.of("train", "dev")["query_id"]) for part in parts]
    assert [len(one) for one in drawn] == [10, 17, 24]
    assert drawn[0] < drawn[1] < drawn[2]
    assert set(turned.part(40).of("train", "dev")["query_id"]) == drawn[0]
    assert all(part.of("test").equals(whole.of("test")) and part.passages.equals(whole.passages) for part in parts)


def test_a_part_without_queries_to_choose_by_is_refused(beir: Path) -> None:
    """Before anything is trained."""
    with pytest.raises(InputError, match=r"small: of 24 training queries 1 % leave none for train; take a larger share"):
        data(beir).part(1)


def test_what_a_width_keeps_is_what_its_model_has(beir: Path, base_model: Path) -> None:
    """The share is of vectors cut and made unit length again, as a model that is loaded with this width gives them."""
    given, model = data(beir), models.load(base_model)
    found = quality.result((model, 1.5), given, given)
    asked, stored = quality.vectors(model, given.of("test"), given.passages)
    narrow = quality.judged(given, truncated(asked, 64), truncated(stored, 64))
    assert found.kept[64] == pytest.approx(narrow.mean() / found.values.mean())
    assert sorted(found.kept) == [64, 128, 256]
    assert found.seconds == 1.5
    assert found.general.tolist() == found.values.tolist()


def test_the_three_usual_systems_read_as_before() -> None:
    """Further columns stand after the old ones, further fields after the old ones."""
    random = np.random.default_rng(0)
    results = {name: Result(random.random(9), 1.0, {64: 0.9}) for name in quality.USUAL}
    rows = quality_rows.records("small", results, 7)
    fields = [list(json.loads(quality_rows.as_json(row))) for row in rows]
    assert fields[:2] == [["data", "system", "ndcg@10", "seconds"]] * 2
    assert fields[2] == ["data", "system", "ndcg@10", "seconds", "low", "high", "kept@64"]
    lines = quality_rows.table(rows).splitlines()
    assert lines[0] == ("| data | system | nDCG@10 | minus plain (95 % interval) | p | seconds | test queries | kept at 64 |")
    assert lines[3].startswith(f"| small | plain | {results['plain'].values.mean():.4f} | | | 1.0 | 9 |")
    assert len({line.count("|") for line in lines}) == 1


def test_every_difference_is_paired_with_its_own_rival() -> None:
    """To plain, to the documented recipe, and on the general folder to the base."""
    random = np.random.default_rng(1)
    results = {name: Result(random.random(9), 1.0, {64: 0.9}, random.random(5)) for name in quality.SYSTEMS}
    rows = {row["system"]: row for row in quality_rows.records("small", results, 7, before=results["base"].general)}
    burnish = rows["burnish"]
    for rival, low in (("plain", "low"), ("documented", "minus_documented_low")):
        apart = measures.difference(results["burnish"].values, results[rival].values, seed=7)
        assert burnish[low] == round(apart.low, 4)
    general = measures.difference(results["burnish"].general, results["base"].general, seed=7)
    assert (burnish["general_change"], burnish["general_high"]) == (round(general.mean, 4), round(general.high, 4))
    assert "general_change" not in rows["base"]
    assert "kept@64" not in rows["plain"]
    lines = quality_rows.table([*rows.values()]).splitlines()
    assert len({line.count("|") for line in lines}) == 1


def test_without_plain_there_is_no_difference_to_it() -> None:
    """One system alone has its mean and seconds."""
    (row,) = quality_rows.records("small", {"burnish": Result(np.array([0.5, 1.0]), 2.0, {})}, 7)
    assert json.loads(quality_rows.as_json(row)) == {"data": "small", "system": "burnish", "ndcg@10": 0.75, "seconds": 2.0}


def test_the_documented_widths_are_halves() -> None:
    """From the model's own down to 64."""
    assert doctest.testmod(documented).attempted == 1
    assert doctest.testmod(documented).failed == 0


def test_a_corpus_without_a_negative_is_told(base_model: Path) -> None:
    """The trainer would fail on no rows with a message of its own."""
    with pytest.raises(InputError, match="documented: of 1 passages none is a negative for any query"):
        documented.train(models.load(base_model), ["a question"], ["its answer"], ["its answer"], 7)


def test_all_systems_on_one_folder(beir: Path, params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is trained for real, judged on the same queries, and seen on the general folder."""
    monkeypatch.setattr(folders, "DEV_SHARE", 0.3)  # by two dev queries the base's own weights are the best
    rows = {row["system"]: row for row in printed(quality.main, beir, "--params", params, "--system", "all", "--general", beir)}
    assert list(rows) == ["base", "plain", "documented", "burnish"]
    assert rows["base"]["seconds"] == 0
    assert all(rows[name]["seconds"] > 0 for name in ("plain", "documented", "burnish"))
    assert len({row["ndcg@10"] for row in rows.values()}) == 4
    assert all(row["general_ndcg@10"] == row["ndcg@10"] for row in rows.values())
    burnish = rows["burnish"]
    assert burnish["low"] <= burnish["high"]
    assert burnish["general_low"] <= burnish["general_change"] <= burnish["general_high"]
    assert burnish["minus_documented"] == pytest.approx(burnish["ndcg@10"] - rows["documented"]["ndcg@10"], abs=2e-4)
    assert 0 < burnish["kept@64"] <= 1.2


@pytest.mark.deep
def test_the_learning_curve(beir: Path, params: Path) -> None:
    """The base and a row a share, ascending; a gain is what stands in the row less the base."""
    base, some, whole = printed(curve.main, beir, "--params", params, "--share", 100, "--share", 50)
    assert [(row["system"], row["share"], row["training_queries"]) for row in (base, some, whole)] == [
        ("base", 0, 0),
        ("burnish", 50, 12),
        ("burnish", 100, 24),
    ]
    assert whole["gain"] == pytest.approx(whole["ndcg@10"] - base["ndcg@10"], abs=2e-4)
    assert whole["more"] == pytest.approx(whole["ndcg@10"] - some["ndcg@10"], abs=2e-4)
    assert some["more"] == some["gain"]
    lines = curve.table([base, some, whole]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
