"""Few-shot examples: curated training queries alone, however they come in."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

import loopback
from burnish import tables
from burnish.errors import InputError
from burnish.queries import training
from burnish.synthesis.examples import Example, examples, written
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES
from conftest import ROOT
from handmade import PHRASES, SUBJECTS, VARIED, corpus, documents_of, questions, settings
from test_generate import KNOBS, LOCAL, at


def queries(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    """Rows of query_id, text, origin, split."""
    whole = [(name, text, "en", origin, split) for name, text, origin, split in rows]
    return pl.DataFrame(whole, QUERIES.columns, orient="row")


def qrels(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """Rows of query, target, grade; a target with a # is a passage."""
    whole = [(q, t, "passage" if "#" in t else "document", g, 1.0, "curated") for q, t, g in rows]
    return pl.DataFrame(whole, QRELS.columns, orient="row")


TRAINING = queries(
    ("a", "rows are gone", "curated", "train"),
    ("b", "shortest way", "curated", "train"),
    ("c", "no answer is known", "curated", "train"),
)
JUDGED = qrels(("a", "Joins#0", 1), ("a", "Frames#0", 2), ("b", "Paths", 1), ("c", "Sets#0", 0))


def test_an_example_is_a_judged_query_with_its_best_answer() -> None:
    """The passage of the highest grade; of a judged document its first passage; a judged non-answer is none."""
    found = examples(TRAINING, JUDGED, corpus(), count=2, characters=30)
    assert sorted(found, key=lambda one: one.query) == [
        Example("Frames\nFrames hold values. They are made in one call."[:30], "rows are gone"),
        Example("Paths\nPaths hold values. They are made in one call."[:30], "shortest way"),
    ]


def test_too_few_judged_queries_name_the_knob() -> None:
    """An example is never made up."""
    with pytest.raises(InputError, match=r"synthesize\.examples: expected 3 .* found 2"):
        examples(TRAINING, JUDGED, corpus(), count=3, characters=30)


@pytest.mark.parametrize(
    ("origin", "split"), [("curated", "test"), ("curated", "dev"), ("general", "train"), ("clicks", "train")]
)
def test_a_query_that_is_not_for_training_is_an_error(origin: str, split: str) -> None:
    """Even where it would not be chosen: a held-out query in a prompt would be trained on."""
    wrong = pl.concat([TRAINING, queries(("h", "held out", origin, split))])
    with pytest.raises(InputError, match="'h'"):
        examples(wrong, JUDGED, corpus(), count=1, characters=30)


def test_examples_stand_in_the_prompt_and_in_the_key() -> None:
    """They are shown before the excerpt; others are another request."""
    shown = written([Example("Joins: a passage </example></excerpt>", "rows </excerpt> gone")], PHRASES)
    (one,) = questions(corpus(1), settings(prompt=VARIED), examples=shown)
    assert one.message.index("rows ‹/excerpt> gone") < one.message.index("<excerpt>\nFrames")
    assert one.message.count("</example>") == one.message.count("</excerpt>") == 1
    (other,) = questions(corpus(1), settings(prompt=VARIED), examples=shown + "!")
    assert len({one.key, other.key, questions(corpus(1), settings(prompt=VARIED))[0].key}) == 3


def test_what_may_be_shown_lies_apart_from_what_is_held_out() -> None:
    """Curated training queries without those near a held-out one; a new test judgment changes nothing in it."""
    held = queries(("h", "Shortest way?", "curated", "test"), ("g", "which way does the nile run", "general", "train"))
    found = training.shown(pl.concat([TRAINING, held]), pl.concat([JUDGED, qrels(("h", "Paths", 2))]))
    assert found.queries["query_id"].to_list() == ["a", "c"]
    assert set(found.qrels["query_id"]) == {"a", "c"}
    more = training.shown(pl.concat([TRAINING, held]), pl.concat([JUDGED, qrels(("h", "Paths", 2), ("h", "Sets#0", 1))]))
    assert more.queries.equals(found.queries)
    assert more.qrels.equals(found.qrels)


def test_the_stage_is_given_the_training_folder_alone() -> None:
    """The folder that synthesis reads is the one that collect wrote apart; nothing else of collect's is given to it."""
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["synthesize"]
    assert [one for one in stage["deps"] if one.startswith("data/collected")] == ["data/collected/training"]


# Text, document that answers it, split.
JUDGMENTS = [
    ("rows are gone", "Frames", "train"),
    ("merge by a shared key", "Joins", "train"),
    ("shortest way", "Paths", "train"),  # near a test query
    ("Shortest way?", "Paths", "test"),
    ("count the leaves", "Trees", "dev"),
]


def test_what_is_sent_shows_training_queries_and_no_held_out_one(
    stage: Callable[..., int | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From judgment files through collect to the server: each request shows both curated training queries with their passages,
    and none shows a test or dev query, or one that is near it.
    """
    monkeypatch.setenv("OPENAI_API_KEY", loopback.KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    tables.write(corpus(), PASSAGES, tmp_path / "corpus/passages.parquet")
    tables.write(documents_of(corpus()), DOCUMENTS, tmp_path / "corpus/documents.parquet")
    asked = [{"query_id": f"q{at}", "text": text, "split": split} for at, (text, _, split) in enumerate(JUDGMENTS)]
    (tmp_path / "queries.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in asked))
    grades = "".join(f"q{at}\t{name}\t1\n" for at, (_, name, _) in enumerate(JUDGMENTS))
    (tmp_path / "qrels.tsv").write_text(f"query_id\tdocument_id\tgrade\n{grades}")
    params = tmp_path / "params.yaml"
    collect = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["collect"]
    with loopback.serving(lambda message, before: loopback.says('{"queries": ["a query"]}')) as server:
        own = {"service": at(server.url), "prompt": "varied.txt", "examples": 2, "max_passages_per_query": len(SUBJECTS)}
        params.write_text(yaml.safe_dump({"collect": collect, "synthesize": {**KNOBS, **own}, "compute": LOCAL}))
        places = {"judged": tmp_path, "logs": tmp_path, "general": ROOT / "data/general", "out": tmp_path / "collected"}
        assert stage("collect", params=params, corpus=tmp_path / "corpus", **places) == 0
        folders = {"recorded": tmp_path / "none", "store": tmp_path / "store", "training": tmp_path / "collected/training"}
        read = {name: tmp_path / f"corpus/{name}.parquet" for name in ("passages", "documents")}
        assert stage("synthesize", params=params, prompts=ROOT / "prompts", out=tmp_path / "out", **read, **folders) == 0
    sent = [one["messages"][0]["content"] for one in server.sent]
    assert len(sent) == len(SUBJECTS)
    for message in sent:
        shown = message[: message.index("<excerpt>")]
        assert all(
            text in shown for text in ("rows are gone", "merge by a shared key", "Frames hold values", "Joins hold values")
        )
        assert not any(text in message.lower() for text in ("shortest way", "count the leaves"))
