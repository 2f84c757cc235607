"""What is asked about: kinds, personas, languages and several passages, chosen by hashes and part of the key where used."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from burnish.errors import InputError
from burnish.synthesis.excerpts import excerpts
from burnish.synthesis.prompt import Prompt
from burnish.synthesis.replies import Reply, ReplyStore
from burnish.synthesis.subjects import Subject, subjects
from handmade import PHRASES, PROMPT, SUBJECTS, VARIED, VARIETY, corpus, made, questions, record, settings, table

LONG = table(*((name, name, "", f"{name} part {part}. " * 3) for name in SUBJECTS for part in range(4)))


def about(passages: pl.DataFrame, *, per_document: int = 1, **changed: object) -> list[Subject]:
    """The subjects of a corpus, one window a passage."""
    cut = excerpts(passages, characters=40, per_document=per_document)
    return subjects(cut, dict.fromkeys(SUBJECTS, "en"), replace(VARIETY, **changed))  # type: ignore[arg-type]


def test_without_knobs_nothing_is_part_of_the_request() -> None:
    """The request is what it was before there were such knobs: replies recorded then serve."""
    (one, *_) = questions(corpus(1), settings())
    assert set(one.request) == {"model", "prompt", "excerpt", "messages", "parameters", "document_id", "ordinal"}


def test_each_excerpt_has_one_of_each_list_and_keeps_it() -> None:
    """By a hash of its text: neither other documents nor the order of the lists change it."""
    kinds, personas = ["keywords", "question", "symptom"], ["a nurse", "a lawyer"]
    every = {one.first.document_id: one.ways for one in about(corpus(), kinds=kinds, personas=personas)}
    assert {ways["kind"] for ways in every.values()} == set(kinds)
    assert {ways["persona"] for ways in every.values()} == set(personas)
    cut = excerpts(corpus(4), characters=40, per_document=1)
    variety = replace(VARIETY, kinds=kinds[::-1], personas=personas[::-1])
    few = subjects(cut, dict.fromkeys(SUBJECTS, "en"), variety)
    assert all(one.ways == every[one.first.document_id] for one in few)


def test_a_further_kind_takes_its_share_and_leaves_the_rest() -> None:
    """What another kind does not take over keeps its reply."""
    two = {one.first.document_id: one.ways["kind"] for one in about(corpus(), kinds=["keywords", "question"])}
    three = {one.first.document_id: one.ways["kind"] for one in about(corpus(), kinds=["keywords", "question", "symptom"])}
    moved = {name for name in two if two[name] != three[name]}
    assert {three[name] for name in moved} == {"symptom"}
    assert len(moved) < len(two)


def test_the_prompt_is_told_the_ways() -> None:
    """Kind, wording, persona and language stand in the message; where a knob is not in use, a neutral word does."""
    chosen = settings(prompt=VARIED, kinds=["symptom"], wordings=["own"], personas=["a nurse"], language="de")
    (one,) = questions(corpus(1), chosen)
    assert PHRASES.kinds.symptom in one.message
    assert "everyday words" in one.message
    assert "a nurse" in one.message
    assert one.message.startswith("4 de\n")
    assert one.request["ways"] == {"kind": "symptom", "wording": "own", "persona": "a nurse", "language": "de"}
    (plain,) = questions(corpus(1), settings(prompt=VARIED))
    assert "{" not in plain.message
    assert PHRASES.kinds.any in plain.message


def test_another_way_is_another_reply(tmp_path: Path) -> None:
    """What was recorded for one kind is not passed off as another's."""
    chosen = settings(prompt=VARIED, kinds=["symptom"])
    record(tmp_path / "recorded", corpus(1), {"Frames": '["rows are gone"]'}, chosen)
    assert made(tmp_path, corpus(1), chosen).counts["replayed"] == 1
    assert made(tmp_path, corpus(1), replace(chosen, model="another")).counts["replayed"] == 1
    assert made(tmp_path, corpus(1), settings(prompt=VARIED, kinds=["keywords"])).counts["without_reply"] == 1


def test_queries_carry_their_kind_as_a_slice(tmp_path: Path) -> None:
    """So that results can be read by kind; without the knob there is no such column."""
    chosen = settings(prompt=VARIED, kinds=["symptom"])
    record(tmp_path / "recorded", corpus(1), {"Frames": '["rows are gone"]'}, chosen)
    found = made(tmp_path, corpus(1), chosen)
    assert found.queries["slice_kind"].to_list() == ["symptom"]
    assert found.counts["by_kind"] == {"symptom": 1}
    record(tmp_path / "recorded", corpus(1), {"Frames": '["rows are gone"]'})
    assert "slice_kind" not in made(tmp_path, corpus(1), settings()).queries.columns


def test_a_language_of_the_knob_is_the_queries_language(tmp_path: Path) -> None:
    """German queries for English documents are German, and an English reply is then off-language."""
    chosen = settings(prompt=VARIED, language="de")
    texts = {"Frames": '["wie viele Zeilen hat eine Tabelle"]', "Joins": '["how do I join two tables"]'}
    record(tmp_path / "recorded", corpus(2), texts, chosen)
    found = made(tmp_path, corpus(2), chosen)
    assert found.queries["language"].to_list() == ["de"]
    assert found.counts["replies"]["off-language"] == 1


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kinds": ["keywords"]}, r"\{kind\}.*synthesize\.kinds"),
        ({"wordings": ["own"]}, r"\{wording\}.*synthesize\.wordings"),
        ({"personas": ["a nurse"]}, r"\{persona\}.*synthesize\.personas"),
        ({"language": "de", "prompt": Prompt("q", "{excerpt}", PHRASES)}, r"\{language\}.*synthesize\.language"),
        ({"passages_per_query": 2}, r"\{passages\}.*synthesize\.passages_per_query"),
        ({"passages_per_query": 3, "max_passages_per_query": 2, "prompt": VARIED}, "max_passages_per_query"),
    ],
)
def test_a_knob_that_could_do_nothing_is_an_error(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    """A place that the prompt lacks, or queries that would all be dropped: told before any work."""
    with pytest.raises(InputError, match=told):
        made(tmp_path, corpus(1), settings(**changed))


def test_companions_of_the_document_are_its_other_passages() -> None:
    """One to three different passages of one document; all sizes occur; a new document changes none."""
    every = about(LONG, per_document=4, passages_per_query=3)
    assert set(Counter(len(one.excerpts) for one in every)) == {1, 2, 3}
    for one in every:
        assert len(one.passage_ids) == len(one.excerpts)
        assert len({part.document_id for part in one.excerpts}) == 1
    less = LONG.filter(LONG["document_id"] != "Sets")
    cut = excerpts(less, characters=40, per_document=4)
    fewer = subjects(cut, dict.fromkeys(SUBJECTS, "en"), replace(VARIETY, passages_per_query=3))
    assert fewer == [one for one in every if one.first.document_id != "Sets"]


def test_a_document_with_one_excerpt_is_asked_about_alone() -> None:
    """There is nothing else of it to ask about."""
    assert {len(one.excerpts) for one in about(corpus(), passages_per_query=3)} == {1}


def test_neighbours_are_the_most_similar_passages_of_other_documents_in_the_language() -> None:
    """Two texts about bread are neighbours, one about a bicycle is not; another language is none."""
    texts = {
        "dough": "Knead the bread dough with yeast and let the dough rise.",
        "loaf": "Bake the bread loaf when the dough has risen with yeast.",
        "tyre": "Patch a flat bicycle tyre with rubber solution.",
        "brot": "Bread dough with yeast: let the dough rise.",
    }
    passages = table(*((name, "", "", text) for name, text in texts.items()))
    cut = excerpts(passages, characters=100, per_document=1)
    languages = dict.fromkeys(texts, "en") | {"brot": "de"}
    found = subjects(cut, languages, replace(VARIETY, passages_per_query=2, companions="neighbours"))
    together = {one.first.document_id: [part.document_id for part in one.excerpts[1:]] for one in found}
    assert together["brot"] == []
    assert {tuple(together[name]) for name in ("dough", "loaf")} <= {(), ("loaf",), ("dough",)}
    assert any(together[name] for name in ("dough", "loaf", "tyre"))
    assert all("brot" not in others for others in together.values())


def test_a_query_for_several_passages_names_them_all(tmp_path: Path) -> None:
    """Its judgments are all passages that were shown; the message holds all their texts and says how many they are."""
    chosen = settings(prompt=VARIED, passages_per_query=3, excerpts_per_document=4, excerpt_characters=40)
    asked = questions(LONG, chosen)
    three = next(one for one in asked if len(one.request.get("ways", {}).get("with", [])) == 2)
    assert "Three passages stand below" in three.message
    assert three.message.count("<excerpt>") == 3
    with ReplyStore(tmp_path / "recorded") as store:
        store.put(Reply(three.request, "ok", '["what connects the parts of all this"]'))
    found = made(tmp_path, LONG, chosen)
    targets = found.qrels["target_id"].to_list()
    assert len(set(targets)) == 3
    assert {one.split("#")[0] for one in targets} == {three.request["document_id"]}
    assert found.counts["by_passages"] == {"1": 0, "2": 0, "3": 1}


def test_the_first_prompt_ignores_what_it_has_no_place_for() -> None:
    """The recorded prompt has a place for the excerpt alone and asks what it always asked."""
    (one,) = questions(corpus(1), settings(prompt=replace(PROMPT, text="Four queries: {excerpt}")))
    assert one.message.startswith("Four queries: Frames\n")
