"""A general set in MS MARCO's own formats: what is read, what is chosen, and how a set that cannot be used is told."""

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from pydantic import TypeAdapter

from burnish import tables
from burnish.errors import InputError
from burnish.queries import msmarco_files
from burnish.queries.general import General
from burnish.queries.msmarco_files import GeneralFiles
from burnish.tables import QRELS, QUERIES
from conftest import ROOT

GENERAL = {
    "collection.tsv": "1\tTea is made\tfrom leaves.\n2\tCups hold tea.\n3\tMoon.\n4\tRivers.\n5\tSpoons stir tea.\n",
    "queries.train.tsv": "10\twhat is tea\n11\twhat is a cup\n12\tnever judged\n",
    "queries.dev.tsv": "",
    "queries.test.tsv": "20\twhat is the moon\n",
    "qrels.train.tsv": "10 0 1 1\n11 0 2 1\n12 0 3 0\n",
    "qrels.dev.tsv": "",
    "qrels.test.tsv": "20\t0\t3\t1\n",
}
MOST = {"train": 9, "dev": 9, "test": 9}
KNOBS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["collect"]["general"]


def read(root: Path, files: dict[str, str], **knobs: Any) -> General:
    """The general set of these files, params.yaml's knobs changed by `knobs`."""
    for name, content in files.items():
        data = content.encode()
        (root / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return msmarco_files.read(TypeAdapter(GeneralFiles).validate_python(KNOBS | {"most": MOST} | knobs), root)


def splits(found: General) -> dict[str, str]:
    """The split of each query."""
    return dict(found.judged.queries.select("query_id", "split").iter_rows())


def judged(found: General) -> set[tuple[str, str, int]]:
    """The judgments, without the ids' prefix."""
    rows = found.judged.qrels.select("query_id", "target_id", "grade").iter_rows()
    return {(query.removeprefix("general:"), target.removeprefix("general:"), grade) for query, target, grade in rows}


def test_a_set_is_read(tmp_path: Path) -> None:
    """Ids get a prefix of their own, so that they cannot meet the domain's; tabs in a text are text."""
    found = read(tmp_path, GENERAL)
    assert found.passages.select("passage_id", "text").row(0) == ("general:1", "Tea is made\tfrom leaves.")
    assert splits(found) == {"general:10": "train", "general:11": "train", "general:20": "test"}
    assert judged(found) == {("10", "1", 1), ("11", "2", 1), ("20", "3", 1)}
    assert tables.checked(found.judged.queries, QUERIES, "here").height == 3
    assert tables.checked(found.judged.qrels, QRELS, "here").height == 3
    assert found.left_out == {}


def test_compressed_files_are_read(tmp_path: Path) -> None:
    """Under the names without .gz."""
    found = read(tmp_path, {f"{name}.gz": content for name, content in GENERAL.items()})
    plain = tmp_path / "plain"
    plain.mkdir()
    other = read(plain, GENERAL)
    assert found.passages.equals(other.passages)
    assert judged(found) == judged(other)


def test_distractors_are_sampled(tmp_path: Path) -> None:
    """Judged passages stay; of the others as many as asked for, and more of them keep the fewer."""
    kept = []
    for number in (0, 1, 2, 100):
        passages = set(read(tmp_path, GENERAL, distractors=number).passages["passage_id"])
        assert {"general:1", "general:2", "general:3"} <= passages
        assert len(passages) == 3 + min(number, 2)
        kept.append(passages)
    assert kept == sorted(kept, key=len)
    assert all(fewer <= more for fewer, more in zip(kept, kept[1:], strict=False))


def test_a_larger_set_keeps_the_smaller_ones_choice(tmp_path: Path) -> None:
    """Queries beyond the number go by a hash of their id."""
    lines = range(30)
    files = GENERAL | {
        "queries.train.tsv": "".join(f"{n}\tquery {n}\n" for n in lines),
        "qrels.train.tsv": "".join(f"{n} 0 1 1\n" for n in lines),
    }
    sets = [
        {name for name, split in splits(read(tmp_path, files, most=MOST | {"train": most})).items() if split == "train"}
        for most in (5, 12)
    ]
    assert (len(sets[0]), len(sets[1])) == (5, 12)
    assert sets[0] < sets[1]


def shared(**other: str) -> dict[str, Any]:
    """The knob `splits`, every split drawn from the training files but for those in `other`."""
    names = {"train": "train", "dev": "train", "test": "train"} | other
    return {split: {"queries": f"queries.{name}.tsv", "qrels": f"qrels.{name}.tsv"} for split, name in names.items()}


@pytest.mark.parametrize("files", [shared(), shared(test="dev"), shared(dev="dev", test="dev")])
def test_no_query_is_in_two_splits(tmp_path: Path, files: dict[str, Any]) -> None:
    """Whether splits share files, or one file holds some of another's queries, as dev.small does of dev."""
    names = [str(n) for n in range(40)]
    lines = {name: (f"{name}\tquery {name}\n", f"{name} 0 1 1\n") for name in names}
    written = {
        "collection.tsv": "1\tTea.\n",
        "queries.train.tsv": "".join(lines[name][0] for name in names),
        "qrels.train.tsv": "".join(lines[name][1] for name in names),
        "queries.dev.tsv": "".join(lines[name][0] for name in names[:20]),
        "qrels.dev.tsv": "".join(lines[name][1] for name in names[:20]),
    }
    found = read(tmp_path, written, splits=files, most={"train": 10, "dev": 4, "test": 3})
    assert found.judged.queries["query_id"].n_unique() == found.judged.queries.height == 17
    counts = dict(found.judged.queries.group_by("split").len().iter_rows())
    assert counts == {"train": 10, "dev": 4, "test": 3}
    sources = {tuple(one.values()) for one in files.values()}
    assert ("queries_of_a_stricter_split" in found.left_out) == (len(sources) > 1)


def test_a_split_of_none_needs_no_files(tmp_path: Path) -> None:
    """Who has no dev queries sets their number to 0."""
    files = {name: content for name, content in GENERAL.items() if ".dev." not in name}
    assert set(splits(read(tmp_path, files, most=MOST | {"dev": 0})).values()) == {"train", "test"}


TEXT_OF = dict(line.split("\t", 1) for line in GENERAL["collection.tsv"].splitlines())
IDS = "10\t1\t4\n10\t1\t5\n10\t1\t1\n99\t1\t3\n20\t3\t4\n11\t2\t5\n"
TEXTS = "".join(
    f"{query}\tx\t{TEXT_OF[negative]}\n"
    for query, negative in (("what is tea", "4"), ("what is tea", "5"), ("what is a cup", "5"), ("what is the moon", "4"))
)


@pytest.mark.parametrize(("holds", "content"), [("ids", IDS), ("texts", TEXTS)])
def test_triples_give_training_queries_their_negatives(tmp_path: Path, holds: str, content: str) -> None:
    """As judgments of grade 0, with their passages; never a positive, never for a test query, unknown queries passed over."""
    files = GENERAL | {"triples.tsv": content}
    found = read(tmp_path, files, triples={"file": "triples.tsv", "holds": holds}, distractors=0)
    answers = {("10", "1", 1), ("11", "2", 1), ("20", "3", 1)}
    assert judged(found) == answers | {("10", "4", 0), ("10", "5", 0), ("11", "5", 0)}
    assert found.passages.height == 5
    one = read(tmp_path, files, triples={"file": "triples.tsv", "holds": holds}, negatives=1)
    assert len(judged(one)) == 5


def test_negatives_that_the_collection_lacks_are_counted(tmp_path: Path) -> None:
    """Triples of texts may hold a passage in another encoding."""
    files = GENERAL | {"triples.tsv": "what is tea\tx\tanother text\n"}
    found = read(tmp_path, files, triples={"file": "triples.tsv", "holds": "texts"})
    assert found.left_out == {"negatives_not_in_the_collection": 1}
    assert len(judged(found)) == 3


@pytest.mark.parametrize(
    ("holds", "content", "found"),
    [
        ("ids", TEXTS, "'what is tea'"),
        ("texts", IDS, "'10'"),
        ("texts", "what is tea\tRivers.\n", "'what'"),
        ("ids", "", "''"),
    ],
    ids=["texts as ids", "ids as texts", "two columns", "empty"],
)
def test_triples_of_no_chosen_query_are_told(tmp_path: Path, holds: str, content: str, found: str) -> None:
    """Most likely `holds` is wrong; it would silently give no negatives."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, GENERAL | {"triples.tsv": content}, triples={"file": "triples.tsv", "holds": holds})
    expected = "query ids such as '10'" if holds == "ids" else "queries such as 'what is a cup'"
    assert f"triples.tsv: none of its {content.count(chr(10))} triples is of a chosen training query" in str(caught.value)
    assert f"holds: {holds}, so expected {expected}, found {found} in the first" in str(caught.value)


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_an_id(tmp_path: Path) -> None:
    """Windows' editors write one; it would make another query, passage and judgment of the first."""
    marked = {name: f"\ufeff{content}" for name, content in GENERAL.items()}
    found = read(tmp_path, marked | {"triples.tsv": "\ufeff10\t1\t4\n"}, triples={"file": "triples.tsv", "holds": "ids"})
    assert judged(found) == {("10", "1", 1), ("10", "4", 0), ("11", "2", 1), ("20", "3", 1)}


def test_grades_below_0_are_no_answers_and_counted(tmp_path: Path) -> None:
    """As where a general set comes from the hub."""
    found = read(tmp_path, GENERAL | {"qrels.train.tsv": "10 0 1 1\n10 0 2 -2\n11 0 2 1.0\n11 0 3 -1\n"})
    assert judged(found) == {("10", "1", 1), ("11", "2", 1), ("20", "3", 1)}
    assert found.left_out == {"grades_below_0": 2}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"collection.tsv": None}, "collection.tsv: expected a file of 2 tab-separated columns, found none"),
        ({"queries.dev.tsv": None}, "queries.dev.tsv: expected a file of 2 tab-separated columns, found none"),
        ({"qrels.test.tsv": "20 0 9 1\n"}, "collection.tsv: 1 ids that judgments name are not there, the first: '9'"),
        ({"qrels.test.tsv": "21 0 3 1\n"}, "queries.test.tsv: 1 judged queries are not there, the first: '21'"),
        ({"qrels.test.tsv": "20 0 3 x\n"}, "qrels.test.tsv, line 1: grade 'x'; expected a whole number from 0"),
        ({"qrels.test.tsv": "20 0 3\n"}, "qrels.test.tsv, line 1: expected 4 columns, found 3"),
        ({"collection.tsv": "1\n"}, "collection.tsv, line 1: expected 2 columns, found 1"),
        ({"collection.tsv": "1\ta\n1\tb\n2\tc\n3\td\n"}, "1 rows of passages repeat a key"),
        ({"triples.tsv": "10\t1\t77\n"}, "collection.tsv: 1 ids that judgments name are not there, the first: '77'"),
        ({"triples.tsv": "10\t1\n"}, "triples.tsv, line 1: expected 3 columns, found 2"),
    ],
)
def test_a_set_that_cannot_be_used_is_told(tmp_path: Path, files: dict[str, str | None], told: str) -> None:
    """By file, and by line or id."""
    whole = GENERAL | {"triples.tsv": "10\t1\t3\n"} | files
    with pytest.raises(InputError) as caught:
        read(
            tmp_path,
            {name: content for name, content in whole.items() if content is not None},
            triples={"file": "triples.tsv", "holds": "ids"},
        )
    assert told in str(caught.value)


def test_the_same_files_are_the_same_tables(tmp_path: Path) -> None:
    """Whatever the order of their lines."""
    first = read(tmp_path, GENERAL)
    turned = {name: "".join(f"{line}\n" for line in reversed(content.splitlines())) for name, content in GENERAL.items()}
    second = read(tmp_path, turned)
    assert first.passages.equals(second.passages)
    for one, other in ((first.judged.queries, second.judged.queries), (first.judged.qrels, second.judged.qrels)):
        assert pl.DataFrame.equals(one.sort("query_id"), other.sort("query_id"))
