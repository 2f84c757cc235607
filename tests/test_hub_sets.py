"""General sets from a hub on this machine, read by the real client libraries in a process of their own."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import small
from burnish import tables
from burnish.errors import InputError
from burnish.queries import hub_sets
from burnish.queries.hub_sets import HubTable
from conftest import ROOT
from hub_server import COMMIT, TOKEN, Client, Hub, Repository, Told

CARD = "---\nconfigs:\n{configs}---\nA data set.\n"
GENERAL = {
    "kind": "hub",
    "licence": "none named",
    "language": "en",
    "most": {"train": 100, "dev": 2, "test": 3},
    "distractors": 0,
    "negatives": 4,
    "texts": None,
    "sha256": "",
}
TRIPLET = {"query": "query", "positives": ["positive"], "negatives": ["negative*"], "candidates": "", "labels": ""}
MARCO = {
    "query": "query",
    "positives": [],
    "negatives": [],
    "candidates": "passages.passage_text",
    "labels": "passages.is_selected",
}


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows as a Parquet file."""
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_parquet(buffer)
    return buffer.getvalue()


def dataset(parts: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], **options: Any) -> Repository:
    """A data set of configurations and splits, laid out as the hub's own converter does."""
    configs = "".join(
        f"- config_name: {config}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: {config}/{split}-*\n" for one, split in parts if one == config)
        for config in dict.fromkeys(config for config, _ in parts)
    )
    files = {f"{config}/{split}-00000-of-00001.parquet": parquet(rows) for (config, split), rows in parts.items()}
    return Repository({"README.md": CARD.format(configs=configs).encode(), **files}, **options)


def marco(first: int, number: int) -> list[dict[str, Any]]:
    """Rows as microsoft/ms_marco has them: every third query has no answer."""
    return [
        {
            "answers": ["no matter"],
            "passages": {
                "is_selected": [0, int(at % 3 > 0), 0],
                "passage_text": [f"Answers much like {at}.", f"The answer to {at}.", f"Something else about {at % 4}."],
                "url": ["u", "v", "w"],
            },
            "query": f"what is {at}",
            "query_id": at,
        }
        for at in range(first, first + number)
    ]


TRIPLETS = [
    {"query": f"ask {at}", "positive": f"Reply {at}.", "negative_1": f"Wrong {at}.", "negative_2": f"Worse {at % 5}."}
    for at in range(40)
    for _ in range(2)
]
IDS = [{"query": at, "positive": 100 + at, "negative": 200 + at} for at in range(30)]
NANO = {
    ("corpus", "NanoNQ"): [{"_id": f"d{at}", "text": f"Nano passage {at}."} for at in range(6)],
    ("queries", "NanoNQ"): [{"_id": f"q{at}", "text": f"nano question {at}"} for at in range(2)],
    ("qrels", "NanoNQ"): [{"query-id": f"q{at}", "corpus-id": f"d{at}"} for at in (0, 1, 1)],
}
SETS = {
    "microsoft/ms_marco": dataset({("v2.1", "train"): marco(0, 30), ("v2.1", "validation"): marco(28, 30)}),
    "team/triplets": dataset({("triplet", "train"): TRIPLETS}),
    "team/msmarco-ids": dataset({("triplet-ids", "train"): IDS}),
    "team/labelled": dataset(
        {
            ("default", "train"): [
                {"q": f"ask {at}", "p": f"Reply {at} {label}.", "label": label} for at in range(20) for label in (1, 0, 2)
            ]
        }
    ),
    "team/corpus": dataset(
        {
            ("query", "train"): [{"qid": at, "text": f"ask {at}"} for at in range(50)],
            ("passage", "train"): [{"pid": at, "text": f"Passage {at}."} for at in range(400)],
        }
    ),
    "team/nano": dataset(NANO),
    "team/gated": dataset({("triplet", "train"): TRIPLETS}, gated=True),
    "team/script": Repository({"README.md": b"code", "script.py": b"raise SystemExit('ran')", "data.py": b"1/0"}),
    "team/long": dataset(
        {("triplet", "train"): [{"query": str(at), "positive": hashlib.sha256(b"%d" % at).hexdigest()} for at in range(9000)]}
    ),
}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """The hub with the sets."""
    with Hub(datasets=dict(SETS)) as running:
        yield running


@pytest.fixture(scope="module")
def client(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A process that asks it."""
    with Client(hub.address, tmp_path_factory.mktemp("home")) as running:
        yield running


def collect(
    client: Client, root: Path, general: dict[str, Any], nanobeir: dict[str, Any] | None = None, *, token: str = ""
) -> Told:
    """What the stage says; its output lies in `root`/out."""
    small.write_corpus(root / "corpus", {"d1": "d1#a"})
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    own = {"judgments": [], "general": general} | ({"nanobeir": nanobeir} if nanobeir else {})
    (root / "params.yaml").write_text(json.dumps({"collect": params["collect"] | own}))
    where = {"corpus": root / "corpus", "judged": root, "logs": root, "general": root, "out": root / "out"}
    return client.run("stages/collect.py", token=token, params=root / "params.yaml", **where)


def given(name: str, config: str, splits: str | dict[str, str] = "train", **changed: Any) -> dict[str, Any]:
    """The knobs of a general set from the hub."""
    rows = {"dataset": name, "revision": COMMIT, "config": config, "max_rows": 0}
    named = dict.fromkeys(("train", "dev", "test"), splits) if isinstance(splits, str) else splits
    rows |= changed.pop("rows", {})
    return GENERAL | {"rows": rows, "splits": named, "columns": TRIPLET} | changed


def made(root: Path) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]:
    """Queries, judgments and passages' texts by id, as the stage wrote them."""
    passages = tables.read(tables.PASSAGES, root / "out/general_passages.parquet")
    return (
        tables.read(tables.QUERIES, root / "out/queries.parquet"),
        tables.read(tables.QRELS, root / "out/qrels.parquet"),
        dict(passages.select("passage_id", "text").iter_rows()),
    )


def in_words(root: Path) -> dict[str, set[tuple[str, int]]]:
    """The grade of each passage's text, by the query's text."""
    queries, qrels, texts = made(root)
    text = dict(queries.select("query_id", "text").iter_rows())
    found: dict[str, set[tuple[str, int]]] = {}
    for query, target, grade in qrels.select("query_id", "target_id", "grade").iter_rows():
        found.setdefault(text[query], set()).add((texts[target], grade))
    return found


def test_ms_marco_is_read_from_the_hub(client: Client, tmp_path: Path) -> None:
    """Passages with their labels; queries without an answer are counted; one in two of the hub's splits stands in one of ours."""
    splits = {"train": "train", "dev": "validation", "test": "validation"}
    told = collect(client, tmp_path, given("microsoft/ms_marco", "v2.1", splits, columns=MARCO))
    assert told.status == 0, told.err
    queries, _, texts = made(tmp_path)
    sizes = dict(queries.group_by("split").len().iter_rows())
    assert sizes["dev"] == 2
    assert sizes["test"] == 3
    held = set(queries.filter(pl.col("split") != "train")["text"])
    assert set(queries.filter(pl.col("split") == "train")["text"]) == {f"what is {at}" for at in range(30) if at % 3} - held
    for query, passages in in_words(tmp_path).items():
        at = query.removeprefix("what is ")
        answers, others = (
            {(f"The answer to {at}.", 1)},
            {(f"Answers much like {at}.", 0), (f"Something else about {int(at) % 4}.", 0)},
        )
        assert passages == (answers if query in held else answers | others)
        assert {text for text, _ in answers | others} <= set(texts.values())
    counts = json.loads((tmp_path / "out/counts.json").read_text())
    assert counts["general_left_out"]["rows_without_answer"] == 20


def test_what_is_read_carries_ms_marcos_terms(client: Client, tmp_path: Path) -> None:
    """In words, whatever the licence knob says, with the name and the commit."""
    assert collect(client, tmp_path, given("microsoft/ms_marco", "v2.1", columns=MARCO)).status == 0
    found = json.loads((tmp_path / "out/general.json").read_text())
    assert "non-commercial research purposes only" in found["licence"]
    assert found["licence"].startswith("none named; ")
    assert (found["dataset"], found["revision"]) == ("microsoft/ms_marco", COMMIT)


def test_triplets_are_gathered_by_query(client: Client, tmp_path: Path) -> None:
    """Rows of one query are one query; `negative*` takes every such column; a split may serve three of ours."""
    assert collect(client, tmp_path, given("team/triplets", "triplet")).status == 0
    queries, _, _ = made(tmp_path)
    assert dict(queries.group_by("split").len().iter_rows()) == {"train": 35, "dev": 2, "test": 3}
    found = in_words(tmp_path)
    for query in queries.filter(pl.col("split") == "train")["text"]:
        at = int(query.removeprefix("ask "))
        assert found[query] == {(f"Reply {at}.", 1), (f"Wrong {at}.", 0), (f"Worse {at % 5}.", 0)}
    licence = json.loads((tmp_path / "out/general.json").read_text())["licence"]
    assert licence == "none named"


def test_ids_are_looked_up(client: Client, tmp_path: Path) -> None:
    """In other configurations or data sets, of which distractors are sampled too; ids stay ids."""
    where = {"dataset": "team/corpus", "revision": COMMIT, "max_rows": 0, "split": "train", "text": "text"}
    texts = {"queries": where | {"config": "query", "id": "qid"}, "passages": where | {"config": "passage", "id": "pid"}}
    knobs = given("team/msmarco-ids", "triplet-ids", texts=texts, distractors=7, most={"train": 5, "dev": 1, "test": 0})
    told = collect(client, tmp_path, knobs)
    assert told.status == 0, told.err
    queries, qrels, passages = made(tmp_path)
    for query_id, text in queries.select("query_id", "text").iter_rows():
        at = int(query_id.removeprefix("general:"))
        assert text == f"ask {at}"
        assert {f"general:{100 + at}", f"general:{200 + at}"} <= passages.keys()
    assert qrels.height == 5 * 2 + 1
    assert all(text == f"Passage {name.removeprefix('general:')}." for name, text in passages.items())
    assert len(passages) == 6 * 2 + 7


def test_labels_may_stand_beside_single_passages(client: Client, tmp_path: Path) -> None:
    """A row for each pair: a label from 1 is its grade, 0 no answer."""
    columns = {"query": "q", "positives": [], "negatives": [], "candidates": "p", "labels": "label"}
    assert collect(client, tmp_path, given("team/labelled", "default", columns=columns)).status == 0
    queries, _, _ = made(tmp_path)
    train = queries.filter(pl.col("split") == "train")["text"][0]
    at = train.removeprefix("ask ")
    assert in_words(tmp_path)[train] == {(f"Reply {at} 1.", 1), (f"Reply {at} 2.", 2), (f"Reply {at} 0.", 0)}


def test_distractors_come_from_rows_that_were_not_chosen(client: Client, tmp_path: Path) -> None:
    """So that a few queries are searched among many passages."""
    knobs = given("team/triplets", "triplet", most={"train": 0, "dev": 0, "test": 2}, distractors=9)
    assert collect(client, tmp_path, knobs).status == 0
    queries, _, passages = made(tmp_path)
    named = {text for passages in in_words(tmp_path).values() for text, _ in passages}
    assert queries.height == 2
    assert len(set(passages.values()) - named) >= 5


def test_the_beginning_alone_may_be_read(client: Client, tmp_path: Path) -> None:
    """`max_rows` stops the stream: a try need not wait for millions of rows."""
    assert (
        collect(
            client, tmp_path, given("team/long", "triplet", columns=TRIPLET | {"negatives": []}, rows={"max_rows": 50})
        ).status
        == 0
    )
    queries, _, _ = made(tmp_path)
    assert queries.height == 50
    assert max(int(text) for text in queries["text"]) == 49


def test_the_same_revision_is_the_same_bytes(client: Client, tmp_path: Path) -> None:
    """Sampling has no chance in it."""
    written = []
    for name in ("one", "other"):
        knobs = given("team/triplets", "triplet", most={"train": 5, "dev": 1, "test": 1}, distractors=4)
        assert collect(client, tmp_path / name, knobs).status == 0
        out = tmp_path / name / "out"
        written.append({str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert written[0] == written[1]


def test_other_bytes_under_the_same_revision_are_told(client: Client, hub: Hub, tmp_path: Path) -> None:
    """The digest of what was chosen goes into the release's sources; named by its knob, a row that has changed under the
    same commit is one line, and nothing is written.
    """
    rows = [json.dumps({"query": f"ask {at}", "positive": f"Reply {at}."}) for at in range(20)]
    card = "---\nconfigs:\n- config_name: triplet\n  data_files: train.jsonl\n---\n"

    def files(content: str) -> Repository:
        return Repository({"README.md": card.encode(), "train.jsonl": content.encode()})

    knobs = given("team/lines", "triplet", columns=TRIPLET | {"negatives": []})
    hub.datasets["team/lines"] = files("\n".join(rows))
    assert collect(client, tmp_path / "first", knobs).status == 0
    sha256 = json.loads((tmp_path / "first/out/general.json").read_text())["sha256"]
    assert collect(client, tmp_path / "same", knobs | {"sha256": sha256}).status == 0
    hub.datasets["team/lines"] = files("\n".join(rows).replace("Reply 7.", "Reply 8."))
    said = collect(client, tmp_path / "other", knobs | {"sha256": sha256}).error
    assert (
        f"team/lines at revision {COMMIT}: expected rows with the digest {sha256}, which collect.general.sha256 names" in said
    )
    assert not (tmp_path / "other/out").exists()
    assert collect(client, tmp_path / "any", knobs).status == 0
    found = json.loads((tmp_path / "any/out/general.json").read_text())["sha256"]
    assert f"found {found}:" in said
    assert found != sha256


def test_the_digest_is_that_of_the_rows(client: Client, tmp_path: Path) -> None:
    """By hand: each row of passages, queries and judgments in the order of its ids, as a line of JSON."""
    assert collect(client, tmp_path, given("team/triplets", "triplet", most={"train": 3, "dev": 0, "test": 1})).status == 0
    tables_ = [pl.read_parquet(tmp_path / f"out/{name}.parquet") for name in ("general_passages", "queries", "qrels")]
    lines = [f"{json.dumps(row)}\n" for table in tables_ for row in sorted(table.rows())]
    found = json.loads((tmp_path / "out/general.json").read_text())["sha256"]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == found


def test_nanobeir_joins_the_general_test(client: Client, tmp_path: Path) -> None:
    """Its queries are test queries, its passages stand beside the others, and its ids keep the set's name."""
    nano = {"dataset": "team/nano", "revision": COMMIT, "sets": ["NanoNQ"], "language": "sv"}
    assert collect(client, tmp_path, given("team/triplets", "triplet"), nano).status == 0
    queries, qrels, passages = made(tmp_path)
    added = queries.filter(pl.col("query_id").str.starts_with("general:NanoNQ:"))
    assert added["split"].to_list() == ["test", "test"]
    assert added["text"].to_list() == ["nano question 0", "nano question 1"]
    assert sum(name.startswith("general:NanoNQ:d") for name in passages) == 6
    graded = qrels.filter(pl.col("query_id").is_in(added["query_id"].to_list())).select("query_id", "target_id", "grade")
    assert graded.rows() == [(f"general:NanoNQ:q{at}", f"general:NanoNQ:d{at}", 1) for at in (0, 1)]
    assert queries.height == 42
    assert dict(queries.group_by("language").len().iter_rows()) == {"en": 40, "sv": 2}
    told = json.loads((tmp_path / "out/general.json").read_text())
    tables_ = [pl.read_parquet(tmp_path / f"out/{name}.parquet") for name in ("general_passages", "queries", "qrels")]
    lines = [f"{json.dumps(row)}\n" for table in tables_ for row in sorted(table.rows()) if "general:NanoNQ:" in str(row[0])]
    sha256 = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert (told["nanobeir"], told["licence"]) == (nano | {"sha256": sha256}, "none named")


def test_no_code_of_a_data_set_is_run(client: Client, tmp_path: Path) -> None:
    """A loading script, which would end the process with a status of its own, is refused."""
    said = collect(client, tmp_path, given("team/script", "default")).error
    assert "team/script default train at revision" in said
    assert "scripts are no longer supported" in said


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (given("team/other", "triplet"), "team/other triplet train at revision 1110a"),
        (given("team/other", "triplet"), "doesn't exist on the Hub or cannot be accessed"),
        (given("team/triplets", "triplet", rows={"revision": "0" * 40}), "it has no such revision; copy a commit"),
        (given("team/triplets", "triplets"), "'triplets' not found. Available: ['triplet']"),
        (given("team/triplets", "triplet", "validation"), "Bad split: validation. Available splits: ['train']"),
        (given("team/gated", "triplet"), "it is gated: accept its terms on its page, then set HF_TOKEN"),
        (given("team/triplets", "triplet", columns=TRIPLET | {"query": "anchor"}), "no column 'anchor', found ['negative_1'"),
        (given("microsoft/ms_marco", "v2.1", columns=MARCO | {"labels": "passages.label"}), "no column 'passages.label'"),
        (given("microsoft/ms_marco", "v2.1", columns=MARCO | {"labels": "query_id"}), "3 cells in passages.passage_text and 1"),
        (given("microsoft/ms_marco", "v2.1", columns=MARCO | {"labels": "passages.url"}), "label 'u'; expected a number"),
        (given("team/triplets", "triplet", columns=TRIPLET | {"positives": []}), "name `positives`, or `candidates`"),
        (given("team/triplets", "triplet", columns=TRIPLET | {"labels": "x"}), "`candidates` and `labels` go together"),
        (given("team/triplets", "triplet", rows={"revision": "main"}), "knob `collect.general.rows.revision`"),
        (given("triplets", "triplet"), "knob `collect.general.rows.dataset`"),
    ],
)
def test_a_set_that_cannot_be_used_is_told(client: Client, tmp_path: Path, knobs: dict[str, Any], said: str) -> None:
    """In one line, with exit status 2 and no output."""
    assert said in collect(client, tmp_path, knobs).error
    assert not (tmp_path / "out").exists()


def test_ids_without_texts_are_told(client: Client, tmp_path: Path) -> None:
    """A lookup that lacks a passage is the wrong one."""
    where = {"dataset": "team/corpus", "revision": COMMIT, "max_rows": 3, "split": "train", "text": "text"}
    texts = {"queries": where | {"config": "query", "id": "qid"}, "passages": where | {"config": "passage", "id": "pid"}}
    said = collect(client, tmp_path, given("team/msmarco-ids", "triplet-ids", texts=texts)).error
    assert "team/corpus: 27 ids that judgments name are not there, the first: '10'" in said


def test_a_cut_connection_is_told_and_a_rerun_goes_through(client: Client, hub: Hub, tmp_path: Path) -> None:
    """In the middle of the stream: one line that says to run it again, nothing kept, and then all rows from the first."""
    file = "triplet/train-00000-of-00001.parquet"
    knobs = given("team/long", "triplet", columns=TRIPLET | {"negatives": []}, most={"train": 9000, "dev": 0, "test": 0})
    hub.cut[file] = len(SETS["team/long"].files[file]) // 2
    try:
        said = collect(client, tmp_path, knobs).error
    finally:
        hub.cut.clear()
    assert f"the connection to {hub.address} failed" in said
    assert "run the same command again: a data set is streamed, so its rows are read from the first again" in said
    assert "are kept" not in said
    assert not (tmp_path / "out").exists()
    hub.asked.clear()
    assert collect(client, tmp_path, knobs).status == 0
    assert made(tmp_path)[0].height == 9000
    ranges = [part.removeprefix("bytes=").split("-") for _, path, part in hub.asked if path.endswith(file) and part]
    assert max(int(last) - int(first) for first, last in ranges) > 0.99 * len(SETS["team/long"].files[file])


def test_a_failing_hub_is_told(client: Client, hub: Hub, tmp_path: Path) -> None:
    """An answer of 500, again and again."""
    hub.failing = True
    try:
        assert "failed" in (said := collect(client, tmp_path, given("team/triplets", "triplet")).error)
    finally:
        hub.failing = False
    assert "run the same command again" in said


def test_a_gated_set_is_read_with_a_token(client: Client, tmp_path: Path) -> None:
    """Given in the environment alone; it is in no file."""
    assert collect(client, tmp_path, given("team/gated", "triplet"), token=TOKEN).status == 0
    assert made(tmp_path)[0].height == 40
    assert [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []


def test_a_folder_of_the_data_sets_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """datasets would read it in place of the hub, whatever the revision."""
    (tmp_path / "team/triplets").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    table = HubTable(dataset="team/triplets", revision=COMMIT, config="triplet", max_rows=0)
    with pytest.raises(InputError, match="team/triplets triplet train .* a folder of that name is here"):
        next(hub_sets.stream(table, "train", ["query"]))
