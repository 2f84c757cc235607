"""What a section of the params file must be, and how one that is not is told."""

import runpy
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field, ValidationError

from burnish import knobs
from burnish.errors import InputError
from burnish.knobs import Knobs

ROOT = Path(__file__).parents[1]
STAGES = [path for path in sorted((ROOT / "stages").glob("*.py")) if "knobs.section" in path.read_text(encoding="utf-8")]


class Inner(Knobs):
    """A section in a section."""

    share: Annotated[float, Field(ge=0, le=1)]


class Kind(Knobs):
    """A member of a union, told by its kind."""

    kind: Literal["counted"]
    count: int


class Other(Knobs):
    """The other member."""

    kind: Literal["other"]


class Union(Knobs):
    """A section of unions."""

    number: Annotated[int, Field(ge=0, le=9)] | Literal["auto"]
    member: Annotated[Kind | Other, Field(discriminator="kind")]


class Toy(Knobs):
    """A section."""

    size: Annotated[int, Field(ge=1)]
    name: str
    inner: Inner


GOOD = "toy: {size: 3, name: a, inner: {share: 0.5}}"


def complaint(tmp_path: Path, text: str | bytes) -> str:
    """What is said of a params file with this content."""
    path = tmp_path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        knobs.section(path, "toy", Toy)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_section_is_read(tmp_path: Path) -> None:
    """Other sections are nobody's business here."""
    (tmp_path / "params.yaml").write_text(f"{GOOD}\nrerank: [1]\n")
    found = knobs.section(tmp_path / "params.yaml", "toy", Toy)
    assert (found.size, found.name, found.inner.share) == (3, "a", 0.5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            GOOD.replace("name: a", "name: a, sise: 4"),
            "unknown knob `toy.sise`; correct its name or take it out; the knobs of this section are: inner, name",
        ),
        (GOOD.replace("name: a, ", ""), "knob `toy.name` is missing"),
        (GOOD.replace("3", "0"), "knob `toy.size`: Input should be greater than or equal to 1; found 0"),
        (GOOD.replace("3", "'3'"), "knob `toy.size`: Input should be a valid integer; found '3'"),
        (GOOD.replace("3", "true"), "knob `toy.size`: Input should be a valid integer; found True"),
        (GOOD.replace("3", "3.0"), "knob `toy.size`: Input should be a valid integer; found 3.0"),
        (GOOD.replace("0.5", "1.5"), "knob `toy.inner.share`: Input should be less than or equal to 1; found 1.5"),
        (GOOD.replace("0.5", ".nan"), "knob `toy.inner.share`"),
        (GOOD.replace("0.5", "1e-4"), "knob `toy.inner.share`: Input should be a valid number; found '1e-4'"),
        ("toy: 3", "toy"),
        ("toy:", "toy"),
        ("rerank: {}", "expected a section `toy`, found none"),
        (
            f"{GOOD}\nretreive: {{}}",
            "unknown section `retreive`; correct its name or take it out; the sections are: paths, compute",
        ),
        ("- toy", "expected a section `toy`, found none"),
        ("", "expected a section `toy`, found none"),
        ("toy: {size: [", "not readable as YAML"),
        (b"toy: {name: \xff}", "not readable as YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, told: str) -> None:
    """The message names the file, the knob, what was expected and what was found."""
    assert told in complaint(tmp_path, text)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """One run shows each of three faults."""
    told = complaint(tmp_path, "toy: {size: 0, inner: {share: 2}, extra: 1}")
    assert all(name in told for name in ("toy.size", "toy.name", "toy.inner.share", "toy.extra"))


def test_yaml_runs_nothing(tmp_path: Path) -> None:
    """A tag that would make a Python object is refused."""
    told = complaint(tmp_path, f"toy: !!python/object/apply:pathlib.Path.touch [{tmp_path}/made]")
    assert "not readable as YAML" in told
    assert not (tmp_path / "made").exists()


def test_knobs_stay_as_they_were_read() -> None:
    """No code can change a knob after it was checked."""
    inner = Inner(share=0.5)
    with pytest.raises(ValidationError, match="frozen"):
        inner.share = 0.7


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_no_knob_has_a_default_in_code(path: Path) -> None:
    """What a stage does stands in params.yaml alone, whose section the stage accepts as it is."""
    kinds = [kind for name, kind in runpy.run_path(str(path)).items() if name.endswith("Knobs") and kind is not Knobs]
    sections = [kind for kind in kinds if kind.__name__.lower() == f"{path.stem}knobs"]
    assert len(sections) == 1
    knobs.section(ROOT / "params.yaml", path.stem, sections[0])
    assert [field for kind in kinds for field, info in kind.model_fields.items() if not info.is_required()] == []


@pytest.mark.parametrize(
    ("knob", "told"),
    [("max_tokes: 64", "unknown knob `extract.max_tokes`"), ("max_tokens: 4", "knob `extract.max_tokens`")],
)
def test_a_stage_stops_before_any_work(tmp_path: Path, stage, capsys: pytest.CaptureFixture[str], knob: str, told: str) -> None:
    """A bad knob is one line and exit status 2, and no output is begun."""
    (tmp_path / "params.yaml").write_text(f"extract: {{{knob}}}")
    out = tmp_path / "out"
    assert stage("extract", params=tmp_path / "params.yaml", documents=tmp_path, model=tmp_path, out=out) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert told in said
    assert not out.exists()


def test_a_key_that_stands_twice_is_told(tmp_path: Path) -> None:
    """YAML itself would let the second win."""
    path = tmp_path / "params.yaml"
    path.write_text("toy:\n  size: 1\n  size: 2\n", encoding="utf-8")
    with pytest.raises(InputError, match="'size' stands twice"):
        knobs.section(path, "toy", Toy)


def test_an_inner_unknown_knob_does_not_list_the_outer_ones(tmp_path: Path) -> None:
    """The knobs of the section are not those of the part in it."""
    path = tmp_path / "params.yaml"
    path.write_text("toy: {size: 1, name: a, inner: {share: 0.5, shar: 1}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"unknown knob `toy\.inner\.shar`; correct its name or take it out$"):
        knobs.section(path, "toy", Toy)


@pytest.mark.parametrize(
    ("number", "count", "told"),
    [
        ("-1", "1", "knob `toy.number`: Input should be greater than or equal to 0 or be 'auto'; found -1; its comment in"),
        (
            "many",
            "1",
            "knob `toy.number`: Input should be a valid integer or be 'auto'; found 'many'; its comment in params.yaml",
        ),
        ("auto", "x", "knob `toy.member.count`: Input should be a valid integer; found 'x'; its comment in params.yaml"),
        ("10", "x", "knob `toy.number`: Input should be less than or equal to 9 or be 'auto'; found 10"),
    ],
)
def test_of_a_union_every_choice_is_told_once(tmp_path: Path, number: str, count: str, told: str) -> None:
    """By the knob's own name, without pydantic's of the member."""
    path = tmp_path / "params.yaml"
    path.write_text(f"toy: {{number: {number}, member: {{kind: counted, count: {count}}}}}", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        knobs.section(path, "toy", Union)
    assert told in str(caught.value)
    assert str(caught.value).count("toy.number") <= 1


def test_a_missing_knob_of_a_member_is_named_as_it_stands_in_the_file(tmp_path: Path) -> None:
    """Its place, and no tag of the union."""
    path = tmp_path / "params.yaml"
    path.write_text("toy: {number: auto, member: {kind: counted}}", encoding="utf-8")
    with pytest.raises(InputError, match=r"knob `toy\.member\.count` is missing; add it"):
        knobs.section(path, "toy", Union)


def test_the_sections_are_those_of_params_yaml() -> None:
    """In its order."""
    assert list(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))) == list(knobs.SECTIONS)
