"""Phrases: what fills a prompt's places is what it was when replies were paid for, and a file that lacks some of it is told."""

import hashlib
import itertools
from pathlib import Path

import pytest
import yaml

from burnish.errors import InputError
from burnish.synthesis.examples import Example, written
from burnish.synthesis.excerpts import Excerpt
from burnish.synthesis.phrases import FILE, Kinds, Phrases, Wordings
from burnish.synthesis.prompt import Prompt
from burnish.synthesis.questions import question
from burnish.synthesis.subjects import Subject
from conftest import ROOT

# Of the key and the message of each question below, taken while the phrases still stood in the code.
BEFORE = "94f1256c64af8cf554e61c31a533f4afadec0d9de7ef819df53238903ce444d2"


def test_every_way_of_asking_is_rendered_as_before() -> None:
    """Each kind, wording, persona or none, one to three passages, with examples and without: another byte would be paid again."""
    prompt = Prompt.read(ROOT / "prompts/varied.txt")
    kinds, wordings = (["", *list(one.model_fields)[1:]] for one in (Kinds, Wordings))
    found = hashlib.sha256()
    for kind, wording, persona, size, shown in itertools.product(kinds, wordings, ("", "a nurse"), (1, 2, 3), (0, 2)):
        chosen = {"kind": kind, "wording": wording, "persona": persona}
        excerpts = tuple(Excerpt("d", at, "T", f"text {at}", f"d#{at}") for at in range(size))
        subject = Subject(excerpts, "en", {name: one for name, one in chosen.items() if one})
        examples = written([Example(f"passage {at}", f"query {at}") for at in range(shown)], prompt.phrases)
        asked = question(prompt, subject, model="m", parameters={"count": 4}, examples=examples)
        found.update(asked.key.encode() + b"\0" + asked.message.encode() + b"\0")
    assert found.hexdigest() == BEFORE


def test_another_phrase_is_another_key(tmp_path: Path) -> None:
    """Where the message shows it, and there alone."""
    said = yaml.safe_load((ROOT / "prompts" / FILE).read_text(encoding="utf-8"))
    said["kinds"]["keywords"] = "a few keywords"
    (tmp_path / FILE).write_text(yaml.safe_dump(said))
    prompt = Prompt.read(ROOT / "prompts/varied.txt")
    other = Prompt(prompt.file, prompt.text, Phrases.read(tmp_path / FILE))
    same = {}
    for kind in ("keywords", "question"):
        about = Subject((Excerpt("d", 0, "T", "text", "d#0"),), "en", {"kind": kind})
        keys = {question(one, about, model="m", parameters={"count": 4}, examples="").key for one in (prompt, other)}
        same[kind] = len(keys) == 1
    assert same == {"keywords": False, "question": True}


def test_an_example_is_not_read_as_a_place() -> None:
    """A judged passage that names a place is shown as it is."""
    phrases = Phrases.read(ROOT / "prompts" / FILE)
    assert "a {query} here\n</example>\nQuery: b {passage}" in written([Example("a {query} here", "b {passage}")], phrases)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        ("kinds: [", "while parsing"),
        ("kinds", "the whole: "),
        ("kinds: {any: a}", "kinds.keywords: Field required"),
    ],
)
def test_a_file_that_lacks_a_phrase_is_one_line(tmp_path: Path, content: str | None, told: str) -> None:
    """It says which, and where to copy it from."""
    if content is not None:
        (tmp_path / FILE).write_text(content)
    with pytest.raises(InputError, match=rf"^\S+{FILE}: expected the phrases of .*{told}.*; copy it from there$") as caught:
        Phrases.read(tmp_path / FILE)
    assert "\n" not in str(caught.value)
