"""The pipeline under real DVC: what reruns when, kills, releases, and the walk from a folder of PDFs to a verdict."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from fpdf import FPDF

import small
from conftest import ROOT

pytestmark = pytest.mark.deep

# The README shows this table; tests/test_docs.py compares them.
CHANGES = {
    "a comment in `stages/report.py`": ["report"],
    "a comment in `stages/extract.py`": ["extract"],
    "a comment in `stages/train.py`": ["train", "export", "embed-tuned", "rerank", "index"],
    "`rerank.base`": ["rerank", "score", "report"],
    "`score.seed`": ["score", "report"],
    "`retrieve.widths`": ["retrieve", "rerank", "score", "report"],
    "`export.licences`": ["export", "embed-tuned", "rerank", "index"],
    "`export.width`": ["export", "embed-tuned", "retrieve", "rerank", "score", "index", "report"],
    "`train.learning_rate`": ["train", "export", "embed-tuned", "retrieve", "rerank", "score", "index", "report"],
    "`mine.pool`": ["mine", "train", "export", "embed-tuned", "retrieve", "rerank", "score", "index", "report"],
    "`mix.general_share`": ["mix", "mine", "train", "export", "embed-tuned", "retrieve", "rerank", "score", "index", "report"],
    "one more judgment of a test query": ["collect", "mix", "retrieve", "score", "report"],
    "one more judged test query": [
        "collect",
        "embed-base",
        "mix",
        "embed-tuned",
        "retrieve",
        "rerank",
        "score",
        "report",
    ],
    "one more document": [
        "extract",
        "collect",
        "synthesize",
        "embed-base",
        "mix",
        "mine",
        "train",
        "export",
        "embed-tuned",
        "retrieve",
        "rerank",
        "score",
        "index",
        "report",
    ],
}
NEW_DOCUMENT = "one more document"


def commented(path: str) -> Callable[[Path], None]:
    """An edit that adds a comment to a file."""

    def edit(folder: Path) -> None:
        with (folder / path).open("a", encoding="utf-8") as file:
            file.write("# Nothing but a comment.\n")

    return edit


def knob(name: str, value: Any) -> Callable[[Path], None]:
    """An edit that sets a knob."""
    return lambda folder: small.edit(folder / "params.yaml", {name: value})


def added(lines: dict[str, str]) -> Callable[[Path], None]:
    """An edit that adds a line to each of some files."""

    def edit(folder: Path) -> None:
        for path, line in lines.items():
            with (folder / path).open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")

    return edit


EDITS: dict[str, Callable[[Path], None]] = {
    "a comment in `stages/report.py`": commented("stages/report.py"),
    "a comment in `stages/extract.py`": commented("stages/extract.py"),
    "a comment in `stages/train.py`": commented("stages/train.py"),
    "`rerank.base`": knob("rerank.base", "base"),
    "`score.seed`": knob("score.seed", 1),
    "`retrieve.widths`": knob("retrieve.widths", [64]),
    "`export.licences`": knob("export.licences", {"corpus": "our own"}),
    "`export.width`": knob("export.width", 128),
    "`train.learning_rate`": knob("train.learning_rate", 7.0e-5),
    "`mine.pool`": knob("mine.pool", 2),
    "`mix.general_share`": knob("mix.general_share", 0.02),
    "one more judgment of a test query": added({"data/judged/qrels.tsv": "q00\tbread/kneading.md\t1"}),
    "one more judged test query": added(
        {
            "data/judged/queries.jsonl": json.dumps({"query_id": "q99", "text": "salty or bland loaf", "split": "test"}),
            "data/judged/qrels.tsv": "q99\tbread/salt.md\t2",
        }
    ),
}

# Moments at which the process group dies, as by a power cut: the target of a rename, and which of such renames it is.
MOMENTS = {
    "embedding": (r"^\.cache/vectors/.*\.parquet$", 2),
    "training": (r"points\.json$", 3),
    "base": (r"^models/base$", 1),
    "extract": (r"^data/corpus$", 1),
    "collect": (r"^data/collected$", 1),
    "synthesize": (r"^data/synthetic$", 1),
    "embed-base": (r"^data/vectors/base$", 1),
    "mix": (r"^data/mixed$", 1),
    "mine": (r"^data/negatives$", 1),
    "train": (r"^models/tuned$", 1),
    "export": (r"^models/release$", 1),
    "embed-tuned": (r"^data/vectors/tuned$", 1),
    "retrieve": (r"^data/runs$", 1),
    "rerank": (r"^data/reranked$", 1),
    "score": (r"^metrics$", 1),
    "index": (r"^models/index$", 1),
    "report": (r"^reports$", 1),
}
ASKING = 7  # the sync at which synthesize dies: one of its folder, then one a reply

# Python runs a module of this name at its start.
SITE_CUSTOMIZE = """
import json, os, pathlib, re, signal, sys

folder = pathlib.Path(os.environ["KILLS"])
moments = json.loads((folder / "moments.json").read_text())
seen = dict.fromkeys([*moments, "asking"], 0)
replace, fsync = os.replace, os.fsync

def reached(name, at):
    seen[name] += 1
    if seen[name] == at and not (folder / name).exists():
        (folder / name).touch()
        os.killpg(0, signal.SIGKILL)

def dying_replace(source, target, **options):
    for name, (pattern, at) in moments.items():
        if re.search(pattern, str(target)):
            reached(name, at)
    replace(source, target, **options)

def dying_fsync(descriptor):
    fsync(descriptor)
    if sys.argv[0].endswith("synthesize.py"):
        reached("asking", int(os.environ["ASKING"]))

os.replace, os.fsync = dying_replace, dying_fsync
"""


@dataclass(frozen=True)
class Repository:
    """A Git and DVC repository in a temporary folder, and the environment that its commands run in."""

    folder: Path
    environment: dict[str, str]

    def run(self, *words: str, status: int = 0) -> str:
        """What a command prints, once it has ended with `status`."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, start_new_session=True, check=False
        )
        assert done.returncode == status, f"{words} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def repro(self, *, status: int = 0) -> str:
        """What `dvc repro` prints."""
        return self.run("dvc", "repro", status=status)

    def commit(self, message: str) -> None:
        """Commit everything that Git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def restore(self) -> None:
        """Make the working tree and its data those of the last commit again."""
        self.run("git", "checkout", "--quiet", "--", ".")
        self.run("git", "clean", "--quiet", "-d", "--force")
        self.run("dvc", "checkout", "--quiet")

    def metrics(self) -> dict[str, str]:
        """The content of each metrics file."""
        return {path.name: path.read_text(encoding="utf-8") for path in sorted((self.folder / "metrics").iterdir())}


def stages_run(output: str) -> list[str]:
    """The stages that a `dvc repro` ran, sorted."""
    return sorted(re.findall(r"Running stage '([^']+)'", output))


def surrounded(folder: Path) -> Repository:
    """The repository in `folder`, with caches of its own and nobody's settings."""
    search = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": f"{folder / 'src'}"}
    git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    git |= {f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dvc = {"DVC_SITE_CACHE_DIR": f"{folder.parent / 'site-cache'}", "DVC_NO_ANALYTICS": "1"}
    service = {"OPENAI_API_KEY": "not-a-key", "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    return Repository(folder, {**os.environ, **search, **git, **dvc, **service})


def repository(folder: Path) -> Repository:
    """A repository around what lies in `folder`, with one commit."""
    made = surrounded(folder)
    made.run("git", "init", "--quiet", "--initial-branch", "main")
    made.commit("Start")
    return made


class Service(ThreadingHTTPServer):
    """A server that speaks as much of OpenAI's chat completions as is asked of it, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][0]["content"]
        assert isinstance(self.server, Service)
        self.server.asked[message] += 1
        choice = {"message": {"role": "assistant", "content": small.reply(message)}, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """The language model of these tests."""
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def knobs(service: Service) -> dict[str, Any]:
    """The knobs of the small repository where a model is asked, one request at a time so that a kill leaves none under way."""
    own = {"synthesize.service.base_url": service.url, "synthesize.service.concurrency": 1}
    return {"synthesize.provider": "openai", **own}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str, service: Service) -> Repository:
    """The small repository after an uninterrupted `dvc repro`, committed; tests leave it as it was.

    Of several test processes the first runs the pipeline, and each works on a copy that asks its own service.
    """
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "built"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            folder = shared / "repository"
            folder.mkdir()
            small.write(folder, knobs(service))
            repository(folder).repro()
            (shared / "done").touch()
    folder = tmp_path_factory.mktemp("own") / "repository"
    shutil.copytree(shared / "repository", folder)
    small.edit(folder / "params.yaml", knobs(service))
    made = surrounded(folder)
    assert stages_run(made.repro()) in ([], ["synthesize"])
    made.commit("Run the pipeline")
    return made


@pytest.fixture(scope="session")
def published(built: Repository, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a bare Git repository with the built state tagged as a release, its data in a storage folder, and one
    more commit whose nDCG@10 is higher by 0.01.
    """
    folder = tmp_path_factory.mktemp("published")
    author = Repository(folder / "author", built.environment)
    built.run("git", "clone", "--quiet", str(built.folder), str(author.folder))
    author.run("dvc", "config", "--local", "cache.dir", str(built.folder / ".dvc/cache"))
    author.run("dvc", "remote", "add", "--default", "storage", str(folder / "storage"))
    author.run("dvc", "push")
    author.commit("Name the storage")
    author.run("git", "tag", "--annotate", "release@v1.0.0", "--message", "First")  # DVC overlooks tags without a message
    path = author.folder / "metrics/retrieval.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    found["test"]["tuned"]["ndcg@10"] += 0.01
    path.write_text(json.dumps(found, indent=2), encoding="utf-8")
    author.commit("Better by 0.01")
    built.run("git", "clone", "--quiet", "--bare", str(author.folder), str(folder / "server.git"))
    return f"file://{folder / 'server.git'}"


@pytest.fixture
def project(built: Repository) -> Iterator[Repository]:
    """The built repository, restored after the test."""
    yield built
    built.restore()


def test_a_second_repro_runs_nothing(built: Repository) -> None:
    """Where nothing changed, `dvc repro` runs no stage."""
    assert stages_run(built.repro()) == []


def test_dvc_reads_metrics_and_curves(built: Repository, tmp_path: Path) -> None:
    """Scalars by `dvc metrics show`, learning and recall curves by `dvc plots show`."""
    shown = json.loads(built.run("dvc", "metrics", "show", "--json"))[""]["data"]
    assert shown["metrics/retrieval.json"]["data"]["test"]["tuned"]["ndcg@10"] > 0
    built.run("dvc", "plots", "show", "--out", str(tmp_path))
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert all(title in html for title in ("Learning curve", "Recall at k"))


@pytest.mark.parametrize("change", EDITS)
def test_a_change_runs_its_stages_alone(project: Repository, change: str) -> None:
    """After a change, `dvc repro` runs the stages of the README's table and no other."""
    EDITS[change](project.folder)
    assert stages_run(project.repro()) == sorted(CHANGES[change])


def test_only_a_new_document_is_paid_for(project: Repository, service: Service) -> None:
    """One more document: its passage alone is asked for and embedded by the base, though every stage after base runs."""
    service.asked.clear()
    page = "# Humidity\n\nFerns like a bathroom. Stand the pot on wet pebbles, and mist in the morning and never at night.\n"
    (project.folder / "data/documents/plants/humidity.md").write_text(page, encoding="utf-8")
    said = project.repro()
    assert stages_run(said) == sorted(CHANGES[NEW_DOCUMENT])
    assert [("Humidity" in message, times) for message, times in service.asked.items()] == [(True, 1)]
    by_base = re.findall(r"computed now \{'passages': (\d+), 'general': (\d+), 'queries': (\d+)\}", said)[0]
    assert by_base == ("1", "0", "2")


def test_every_change_has_its_edit() -> None:
    """Each row of the table is tried."""
    assert {*EDITS, NEW_DOCUMENT} == set(CHANGES)


@pytest.mark.first
@pytest.mark.parametrize("half", [0, 1])
def test_kills_lose_nothing(built: Repository, service: Service, tmp_path: Path, half: int) -> None:
    """Killed once in every stage, and amid asking, embedding and training: the next `dvc repro` goes on, no reply is asked
    for twice, and the metrics are those of the uninterrupted run. Every second moment in each of two repositories.
    """
    moments = dict(list(MOMENTS.items())[half::2])
    kills, folder = tmp_path / "kills", tmp_path / "repository"
    kills.mkdir()
    folder.mkdir()
    (kills / "sitecustomize.py").write_text(SITE_CUSTOMIZE, encoding="utf-8")
    (kills / "moments.json").write_text(json.dumps(moments), encoding="utf-8")
    small.write(folder, knobs(service))
    made = repository(folder)
    path = f"{kills}{os.pathsep}{made.environment['PYTHONPATH']}"
    made = Repository(folder, made.environment | {"KILLS": str(kills), "ASKING": str(ASKING), "PYTHONPATH": path})
    service.asked.clear()
    for _ in range(len(moments) + 1):
        made.repro(status=-9)
    assert {one.name for one in kills.iterdir() if not one.suffix} - {"__pycache__"} == {*moments, "asking"}
    made.repro()
    assert set(service.asked.values()) == {1}
    assert len(service.asked) == len(small.DOCUMENTS)
    assert made.metrics() == built.metrics()
    assert stages_run(made.repro()) == []


def test_a_release_is_pulled_by_its_tag(built: Repository, published: str, tmp_path: Path) -> None:
    """After `dvc push` and a tag, a host without a clone gets the release by `dvc get` and by `dvc artifacts get`, each into
    an empty folder, and sentence-transformers alone loads it and answers.
    """
    host = Repository(tmp_path / "host", built.environment)
    host.folder.mkdir()
    host.run("dvc", "get", published, "models/release", "--rev", "release@v1.0.0", "--out", "got")
    host.run("dvc", "artifacts", "get", published, "release", "--rev", "v1.0.0", "--out", "artifact")
    program = (
        "import sys; from sentence_transformers import SentenceTransformer\n"
        "model = SentenceTransformer(sys.argv[1])\n"
        "texts = ['Adjusting rim brakes\\nPads that squeal want toeing in.', 'Feeding\\nA white crust is surplus fertiliser.']\n"
        "scores = model.similarity(model.encode_query(['noisy brake pads']), model.encode_document(texts))\n"
        "print('best', int(scores.argmax()), tuple(scores.shape)); assert 'burnish' not in sys.modules\n"
    )
    for name in ("got", "artifact"):
        assert "best 0 (1, 2)" in host.run(sys.executable, "-c", program, name)
        manifest = json.loads((host.folder / name / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["model_digest"]


def test_a_clone_without_data_shows_what_changed(built: Repository, published: str, tmp_path: Path) -> None:
    """In a clone that never pulled, `dvc metrics diff` between two commits tells old value, new value and difference."""
    reviewer = Repository(tmp_path / "reviewer", built.environment)
    built.run("git", "clone", "--quiet", published, str(reviewer.folder))
    found = json.loads(reviewer.run("dvc", "metrics", "diff", "release@v1.0.0", "main", "--json"))
    assert found["metrics/retrieval.json"]["test.tuned.ndcg@10"]["diff"] == pytest.approx(0.01)
    assert not (reviewer.folder / "models/release").exists()


# The rate beside a bad width is one that no test trains with: of those DVC keeps a run, and would not start the stage.
@pytest.mark.parametrize(
    ("changes", "stage", "told"),
    [
        ({"train.learning_rat": 0.1}, "train", "unknown knob `train.learning_rat`"),
        ({"train.epochs": 0}, "train", "`train.epochs`: Input should be greater than or equal to 1; found 0"),
        ({"train.widths": [384, 768]}, "train", "train.widths: 768 is larger than the model's 384 dimensions"),
        ({"train.learning_rate": 6.0e-5, "export.width": 768}, "train", "export.width: 768 is larger than the model's 384"),
        (
            {"train.learning_rate": 6.0e-5, "retrieve.widths": [512]},
            "train",
            "retrieve.widths: 512 is larger than the release's",
        ),
        ({"export.width": 64}, "export", "retrieve.widths: 128 is larger than the release's 64 dimensions"),
        ({"retrieve.widths": [512]}, "retrieve", "retrieve.widths: 512 is larger than the release's 384 dimensions"),
        ({"retrieve.baselines": ["models/base"]}, "retrieve", "retrieve.baselines: models/base would be called base"),
        ({"mine.per_query": -1}, "mine", "`mine.per_query`: Input should be greater than or equal to 0 or be 'auto'; found -1"),
        ({"mine.per_query": "some"}, "mine", "`mine.per_query`: Input should be a valid integer or be 'auto'; found 'some'"),
        ({"extract.max_tokens": 8}, "extract", "`extract.max_tokens`: Input should be greater than or equal to 16; found 8"),
        ({"score.seed": 1, "reports": {}}, "score", "unknown section `reports`"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_a_bad_knob_stops_the_pipeline(project: Repository, changes: dict[str, object], stage: str, told: str) -> None:
    """The first stage that can know tells it in one line, DVC records nothing, and once it is mended nothing has to run again."""
    lock, metrics = (project.folder / "dvc.lock").read_bytes(), project.metrics()
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        section, _, knob = name.partition(".")
        if knob:
            params[section][knob] = value
        else:
            params[section] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    said = project.repro(status=255)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert told in errors[0]
    assert stages_run(said) == [stage]
    assert "Traceback" not in said
    assert (project.folder / "dvc.lock").read_bytes() == lock
    assert project.metrics() == metrics
    project.run("git", "checkout", "--", "params.yaml")
    assert stages_run(project.repro()) == []


def test_a_folder_of_contracts_and_nothing_else(tmp_path: Path) -> None:
    """Contracts as PDF, no judgment, no key, params.yaml alone edited as the README shows: a model, a verdict that calls
    itself a synthetic test wherever it stands, and from doctor the number of judgments for a real one.
    """
    folder, contracts = tmp_path / "repository", tmp_path / "contracts"
    folder.mkdir()
    contracts.mkdir()
    _write_contracts(contracts)
    small.copy_code(folder)
    small.write_data(folder)
    fragment = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    shown = {f"{section}.{name}": value for section, part in yaml.safe_load(fragment).items() for name, value in part.items()}
    own = {"paths.documents": str(contracts), "synthesize.provider": "extractive", "train.min_steps": 0}
    small.edit(folder / "params.yaml", shown | own)
    made = repository(folder)
    assert len(stages_run(made.repro())) == len(yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    found = json.loads((folder / "metrics/retrieval.json").read_text(encoding="utf-8"))["test"]
    assert found["origin"] == "extractive"
    assert found["delta"]["queries"] > 10
    assert (folder / "models/release/model.safetensors").is_file()
    card = (folder / "models/release/README.md").read_text(encoding="utf-8")
    assert "documents \\*\\*/\\*.pdf: our contracts" in card
    assert (
        "queries written by gpt-5-mini: ours, by the service's terms (no source of this model)" in card
    )  # the passages' own words
    assert "polars" not in card
    for name in ("summary.md", "index.html"):
        assert "synthetic test (extractive)" in (folder / "reports" / name).read_text(encoding="utf-8")
    advice = made.run("burnish", "doctor")
    assert "12 documents" in advice
    assert re.search(r"the test is extractive.*write \d+ judged queries", advice)


# Two wordings of each clause, each sentence with the contract's own names: as boilerplate they would leak into the test.
CLAUSES = {
    "Term": (
        (
            "The supply of {thing} to {buyer} begins on the first of {month} and lasts {n} years. Unless {seller} or {buyer} writes "
            "{d} days before the end, {thing} will be bought for {m} months more."
        ),
        (
            "{seller} undertakes to furnish {buyer} with {thing} for {n} years from {month}. After that, {buyer} may go on taking "
            "{thing} from {seller} month by month."
        ),
    ),
    "Fees": (
        (
            "{buyer} pays {n} thousand euros a quarter for {thing}. Should {buyer} pay later than {d} days after the invoice, {seller} "
            "may ask {m} per cent interest."
        ),
        (
            "The price of {thing} is settled each {month} between {buyer} and {seller}. It follows the index for {thing} published in "
            "{town}, and never rises by more than {m} per cent."
        ),
    ),
    "Delivery": (
        (
            "{seller} brings {thing} to the loading bay of {buyer} in {town}. The risk in {thing} passes when the foreman of {buyer} "
            "has signed the receipt."
        ),
        (
            "{buyer} collects {thing} at the gate of {seller} in {town} before {m} o'clock. What {buyer} leaves there is stored by "
            "{seller} for {d} days."
        ),
    ),
    "Quality": (
        (
            "A sample of {thing} is drawn in {town} every {month}. If the laboratory of {buyer} finds it wanting, {seller} replaces all "
            "{thing} of that week."
        ),
        (
            "{seller} keeps records of how {thing} came about for {n} years. Auditors sent by {buyer} may read them in {town} with "
            "{d} days' notice."
        ),
    ),
    "Confidentiality": (
        (
            "What {buyer} learns of the way {seller} makes {thing} stays secret for {n} years. A court in {town} may order {buyer} to "
            "speak all the same."
        ),
        (
            "Neither {seller} nor {buyer} names the price of {thing} to the press. Staff of {seller} who work in {town} sign the same "
            "promise before they see {buyer}."
        ),
    ),
    "Liability": (
        (
            "Damage done by faulty {thing} is borne by {seller} up to {d} thousand euros. The limit falls where people are hurt in "
            "{town} by {thing}."
        ),
        (
            "{buyer} insures its site in {town} against what {thing} may cause. {seller} answers to {buyer} for intent and gross "
            "negligence alone."
        ),
    ),
    "Termination": (
        (
            "{buyer} may leave at once when {seller} misses {m} deliveries of {thing} in a row. A sale of {seller} to a rival of "
            "{buyer} has the same effect."
        ),
        (
            "If {buyer} owes {seller} more than {d} days of payments, {thing} is withheld. After {n} reminders from {town}, {seller} "
            "may end the contract with {buyer}."
        ),
    ),
}
PARTIES = [
    ("Aldermoor Mills", "Brack Bakeries", "rye flour", "Bremen"),
    ("Corvane Optics", "Dunmore Hospital", "microscope lenses", "Cork"),
    ("Eastwold Timber", "Farrow Joinery", "oak boards", "Tampere"),
    ("Glint Cleaning", "Harbour Hotels", "laundry of linen", "Porto"),
    ("Ivory Software", "Jute Insurance", "a claims program", "Utrecht"),
    ("Kestrel Couriers", "Lume Pharmacies", "cooled transport of vaccines", "Graz"),
    ("Marl Quarries", "Nordic Roads", "crushed granite", "Bergen"),
    ("Oriel Glass", "Pell Builders", "triple glazing", "Leeds"),
    ("Quill Translations", "Rook Patents", "sworn translations", "Lyon"),
    ("Sable Security", "Tern Museums", "night guards", "Ghent"),
    ("Umber Paints", "Vale Shipyards", "antifouling paint", "Gdansk"),
    ("Wren Catering", "Yarrow Schools", "school lunches", "Turin"),
]
MONTHS = ["January", "March", "April", "June", "August", "October"]


def _write_contracts(folder: Path) -> None:
    """Twelve contracts of seven clauses, as PDF."""
    for at, (seller, buyer, thing, town) in enumerate(PARTIES):
        page = FPDF()
        page.add_page()
        page.set_font("Helvetica", "B", 16)
        page.multi_cell(0, 10, f"Agreement between {seller} and {buyer}", new_x="LMARGIN", new_y="NEXT")
        for number, (heading, wordings) in enumerate(CLAUSES.items(), 1):
            page.set_font("Helvetica", "B", 12)
            page.multi_cell(0, 9, f"{number}. {heading}", new_x="LMARGIN", new_y="NEXT")
            page.set_font("Helvetica", "", 11)
            numbers = {"n": 2 + at % 5, "m": 1 + at % 7, "d": 15 * (1 + at % 6), "month": MONTHS[at % 6]}
            body = wordings[(at + number) % 2].format(seller=seller, buyer=buyer, thing=thing, town=town, **numbers)
            page.multi_cell(0, 6, body, new_x="LMARGIN", new_y="NEXT")
        page.output(str(folder / f"{seller.split()[0]}_{buyer.split()[0]}.pdf"))
