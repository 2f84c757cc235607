"""Search logs from end to end: the same bytes each time, nobody's name anywhere, and pairs that are trained on."""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import clicklog
import small
from burnish import tables
from burnish.clicks.collected import collected
from burnish.clicks.rule import UbiLog
from burnish.errors import InputError
from burnish.tables import QRELS, QUERIES
from conftest import ROOT
from test_stages import commands, run_stage

PEOPLE = 12
QUESTIONS = {name: questions for name, (_, _, questions) in small.DOCUMENTS.items()}
SECRET = "ann.smith@example.org"


def ubi_log(folder: Path) -> None:
    """A log over the small corpus: each question asked by several people, most of whom click its document."""
    names = list(QUESTIONS)
    queries, events = [], []
    for number, (name, questions) in enumerate(QUESTIONS.items()):
        for question in [*questions, f"{questions[0]} {SECRET}"]:
            for person in range(PEOPLE):
                search = f"visit-{number}-{question}-{person}"
                shown = [names[(number + person + step) % len(names)] for step in range(4)]
                shown.insert(person % 3, name)
                query = {"query_id": search, "client_id": f"browser-{person:03}", "user_query": question}
                hits = [f"{one}.md" for one in dict.fromkeys(shown)]
                time = f"2026-01-{person + 1:02}T{number:02}:{questions.index(question) if question in questions else 9:02}:00Z"
                queries.append(query | {"timestamp": time, "query_response_hit_ids": hits})
                clicked = name if person else shown[-1]
                place = {"object": {"object_id": f"{clicked}.md"}, "position": {"ordinal": hits.index(f"{clicked}.md") + 1}}
                events.append(
                    {"query_id": search, "client_id": f"browser-{person:03}", "action_name": "click", "event_attributes": place}
                )
    clicklog.lines(folder / "ubi/queries.ndjson", queries)
    clicklog.lines(folder / "ubi/events.ndjson", events)


def solr_log(folder: Path) -> None:
    """The same log as Solr's component writes it: no ids of people, one string of results; the events tell who, some two sessions."""
    ubi_log(folder)
    for name in ("queries", "events"):
        path = folder / f"ubi/{name}.ndjson"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if name == "queries":
            for row in rows:
                row["doc_ids"] = ",".join(row.pop("query_response_hit_ids"))
                del row["client_id"]
        else:
            seen = [
                row | {"action_name": "view", "session_id": f"visit-{at}", "user_id": "ann.smith"}
                for at, row in enumerate(rows)
            ]
            rows = [row | {"session_id": "visit-x"} for row in rows] + seen
        clicklog.lines(path, rows)


LOG = UbiLog(kind="ubi", queries="ubi/queries.ndjson", events="ubi/events.ndjson", language="en")
UNITS = {f"{name}.md": "document" for name in QUESTIONS}


def written(folder: Path, **changes: Any) -> dict[str, bytes]:
    """What a run over the log in `folder` writes."""
    chosen = clicklog.rule(**({"min_users": 5, "min_impressions": 10} | changes))
    found = collected([LOG], folder, folder / "scratch", units=UNITS, rule=chosen)
    assert list((folder / "scratch").iterdir()) == []
    tables.write(found.judged.queries, QUERIES, folder / "queries.parquet")
    tables.write(found.judged.qrels, QRELS, folder / "qrels.parquet")
    files = {name: (folder / name).read_bytes() for name in ("queries.parquet", "qrels.parquet")}
    return files | {"counts": json.dumps(found.counts, sort_keys=True).encode()}


@pytest.mark.parametrize("log", [ubi_log, solr_log])
def test_the_same_log_gives_the_same_bytes(tmp_path: Path, log: Callable[[Path], None]) -> None:
    """Whatever the salt, and however the lines stand."""
    log(tmp_path)
    before = written(tmp_path)
    for name in ("queries", "events"):
        path = tmp_path / f"ubi/{name}.ndjson"
        path.write_text("".join(reversed(path.read_text(encoding="utf-8").splitlines(keepends=True))), encoding="utf-8")
    assert written(tmp_path) == before


def test_solrs_log_gives_the_same_queries(tmp_path: Path) -> None:
    """The same queries and judgments, though it names people only in events."""
    found = []
    for log in (ubi_log, solr_log):
        log(tmp_path)
        found.append({name: data for name, data in written(tmp_path).items() if name != "counts"})
    assert found[0] == found[1]


@pytest.mark.parametrize("log", [ubi_log, solr_log])
def test_nobody_is_named(tmp_path: Path, log: Callable[[Path], None]) -> None:
    """Neither ids nor addresses of the log stand in the outputs, nor in the files that lie about meanwhile."""
    log(tmp_path)
    chosen = clicklog.rule()
    staged = clicklog.staged(tmp_path, chosen, LOG)
    assert staged.searches is not None
    between = [repr(clicklog.rows(part, "*", "true")).encode() for part in (staged.searches, staged.events)]
    raw = [part.read_bytes() for part in (staged.searches, staged.events)]
    out = written(tmp_path)
    seen = [*between, *raw, *out.values(), pl.read_parquet(tmp_path / "queries.parquet").write_json().encode()]
    for secret in (b"browser-", b"visit-", SECRET.encode(), b"ann.smith"):
        assert [secret in one for one in seen] == [False] * len(seen)
    assert "[…]" in repr(between[0].decode())


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    """Masked queries, rare ones among them, stay on the disk no longer than to the next run, and Git never sees them."""
    ubi_log(tmp_path)
    left = tmp_path / "scratch/.logs.killed/queries.parquet"
    left.parent.mkdir(parents=True)
    left.touch()
    written(tmp_path)
    assert not left.parent.exists()
    assert "/data/.*" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_raw_lines_cannot_be_spilled() -> None:
    """The database that reads them has no place to spill to, and a new salt each time."""
    salts = set()
    for _ in range(2):
        with clicklog.staging.connected(clicklog.rule()) as connection:
            assert connection.execute("select current_setting('temp_directory')").fetchall() == [("",)]
            salts.add(connection.execute("select getvariable('salt')").fetchall()[0][0])
    assert len(salts) == 2
    assert all(len(salt) == 32 for salt in salts)


def test_personal_queries_may_be_dropped(tmp_path: Path) -> None:
    """A mask keeps the rest of the query; dropping leaves the query out, counted."""
    ubi_log(tmp_path)
    masked = json.loads(written(tmp_path)["counts"])
    texts = pl.read_parquet(tmp_path / "queries.parquet")["text"]
    assert any(text.endswith("[…]") for text in texts)
    dropped = json.loads(written(tmp_path, personal="drop")["counts"])
    number = PEOPLE * len(QUESTIONS)
    assert masked["masked"] == {"email": number}
    assert dropped["records"]["0"]["queries"]["personal"] == number
    assert dropped["queries"]["found"] == masked["queries"]["found"] - len(QUESTIONS)


def test_queries_balance(tmp_path: Path) -> None:
    """Those found are those used and those cut, by reason; those answered are those used and those beyond the limit."""
    ubi_log(tmp_path)
    counts = json.loads(written(tmp_path, max_queries=20)["counts"])["queries"]
    assert counts["found"] == sum(counts[cut] for cut in ("empty", "below_min_users", "navigational", "no_answer", "answered"))
    assert counts["answered"] == counts["used"] + counts["beyond_max_queries"]
    assert counts["used"] == 20


def test_too_little_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the knob, and not by a traceback."""
    ubi_log(tmp_path)
    monkeypatch.setattr(clicklog.searches, "connected", _starved)
    with pytest.raises(InputError, match=r"collect\.logs: more than collect\.clicks\.memory_gb \(0\.5\) and the disk hold"):
        written(tmp_path)


def _starved(*_: object) -> Any:
    connection = clicklog.duckdb.connect()
    connection.execute("set memory_limit = '1MB'; set temp_directory = ''; set threads = 1")
    return connection


def merged(into: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """`into`, with the knobs of `part` set, at any depth."""
    return into | {key: merged(into[key], one) if isinstance(one, dict) else one for key, one in part.items()}


def as_table(folder: Path) -> None:
    """The log in `folder` as the table of the docs' second fragment."""
    with clicklog.duckdb.connect() as connection:
        (folder / "clicks").mkdir()
        connection.execute(
            f"""create view q as from read_json('{folder}/ubi/queries.ndjson');
                copy (select user_query as q, unnest(query_response_hit_ids) as doc, generate_subscripts(query_response_hit_ids, 1) as pos,
                             'shown' as type, client_id as uid, timestamp as ts, null as seconds from q
                      union all select user_query, e.event_attributes.object.object_id, e.event_attributes.position.ordinal, 'download',
                             q.client_id, q.timestamp, 30 from read_json('{folder}/ubi/events.ndjson') e join q using (query_id))
                to '{folder}/clicks/one.csv' (header)"""
        )


def test_the_pages_fragments_run(tmp_path: Path) -> None:
    """Each params.yaml fragment of docs/search-logs.md, over the small corpus: the same queries from either kind of log."""
    page = (ROOT / "docs/search-logs.md").read_text(encoding="utf-8")
    fragments = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert [one["collect"]["logs"][0]["kind"] for one in fragments] == ["ubi", "table"]
    small.write(tmp_path, {})
    ubi_log(tmp_path / "data/logs")
    as_table(tmp_path / "data/logs")
    shipped = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))
    found = []
    with contextlib.chdir(tmp_path):
        for name in ("base", "extract"):
            run_stage(commands(tmp_path)[name])
        for fragment in fragments:
            Path("params.yaml").write_text(yaml.safe_dump(merged(shipped, fragment)), encoding="utf-8")
            run_stage(commands(tmp_path)["collect"])
            queries = tables.read(QUERIES, Path("data/collected/queries.parquet"))
            found.append(queries.filter(pl.col("origin") == "clicks"))
    assert found[0].equals(found[1])
    assert found[0].height == 3 * len(QUESTIONS)


def test_pairs_of_a_log_are_trained_on(tmp_path: Path) -> None:
    """A log over the small corpus becomes queries of origin clicks, which mix offers to training."""
    chosen = clicklog.rule(min_users=5, min_impressions=10).model_dump()
    knobs = {"collect.logs": [LOG.model_dump()], "collect.clicks": chosen, "mix.max_leak_share": 1.0}
    small.write(tmp_path, knobs | {"synthesize.provider": "extractive", "mix.weights.extractive": 0.0})
    ubi_log(tmp_path / "data/logs")
    with contextlib.chdir(tmp_path):
        for name in ("base", "extract", "collect", "synthesize", "embed-base", "mix", "mine"):
            said = run_stage(commands(tmp_path)[name])
            if name == "collect":
                assert "'clicks train': " in said
    found = json.loads((tmp_path / "data/collected/counts.json").read_text(encoding="utf-8"))
    assert found["logs"]["queries"]["used"] == found["queries"]["clicks train"] == 3 * len(QUESTIONS)
    queries = tables.read(QUERIES, tmp_path / "data/mixed/training/queries.parquet")
    trained = queries.filter(pl.col("split") == "train", pl.col("origin") == "clicks")
    qrels = tables.read(QRELS, tmp_path / "data/mixed/training/qrels.parquet").filter(pl.col("origin") == "clicks")
    counts = json.loads((tmp_path / "data/mixed/counts.json").read_text(encoding="utf-8"))
    assert counts["used"]["clicks"] == trained.height > len(QUESTIONS)
    assert counts["dropped"]["origin_left_out"] == {"extractive": counts["offered"]["extractive"]}
    passages = tables.read(tables.PASSAGES, tmp_path / "data/corpus/passages.parquet")
    right = (
        qrels.filter(pl.col("grade") > 0)
        .join(passages, left_on="target_id", right_on="passage_id")
        .join(queries, on="query_id")
    )
    answers = {text: f"{name}.md" for name, questions in QUESTIONS.items() for text in [*questions, f"{questions[0]} […]"]}
    pairs = [(answers[text], document) for text, document in right.select("text_right", "document_id").iter_rows()]
    assert sum(one == other for one, other in pairs) > 0.9 * len(pairs)


def test_an_experts_grade_takes_the_place_of_the_clicks(tmp_path: Path, stage: Callable[..., int | None]) -> None:
    """The queue asks for pairs that the log judged: `collect` keeps the answer, and one judgment of each pair."""
    row = dict.fromkeys(tables.DOCUMENTS.columns, "x")
    documents = pl.DataFrame([row | {"document_id": name} for name in ("lease.pdf", "annex.pdf")])
    tables.write(documents, tables.DOCUMENTS, tmp_path / "corpus/documents.parquet")
    tables.write(tables.empty(tables.PASSAGES), tables.PASSAGES, tmp_path / "corpus/passages.parquet")
    shown = ["lease.pdf", "annex.pdf"]
    searches = [clicklog.search("who pays for repairs", f"u{at}", shown, ["lease.pdf"]) for at in range(12)]
    clicklog.lines(tmp_path / "logs/log.jsonl", [event for one in searches for event in one])
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    rule = clicklog.rule().model_dump()
    params["collect"] |= {"judgments": [], "logs": [clicklog.TABLE.model_dump()], "clicks": rule, "labels": "labels.csv"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (tmp_path / "judged").mkdir()

    def qrels() -> dict[str, tuple[str, int, str]]:
        where = {"corpus": tmp_path / "corpus", "judged": tmp_path / "judged", "logs": tmp_path / "logs"}
        assert (
            stage("collect", params=tmp_path / "params.yaml", out=tmp_path / "out", general=ROOT / "data/general", **where) == 0
        )
        found = tables.read(QRELS, tmp_path / "out/qrels.parquet").filter(pl.col("origin") != "general")
        return {target: rest for target, *rest in found.select("target_id", "query_id", "grade", "origin").iter_rows()}

    query, grade, origin = qrels()["lease.pdf"]
    assert (grade > 0, origin) == (True, "clicks")
    (tmp_path / "judged/labels.csv").write_text(
        f"query_id,target_id,grade,annotator\n{query},lease.pdf,0,a-1\n", encoding="utf-8"
    )
    assert qrels()["lease.pdf"] == [query, 0, "curated"]
