"""The general set, from MS MARCO's files."""

from pathlib import Path

import pytest

from burnish import tables
from burnish.errors import InputError
from burnish.queries.general import general
from burnish.queries.judgments import Judged
from burnish.tables import QRELS, QUERIES

GENERAL = {
    "collection.tsv": "1\tTea is made\tfrom leaves.\n2\tCups hold tea.\n3\tMoon.\n",
    "queries.train.tsv": "10\twhat is tea\n11\twhat is a cup\n12\tnever judged\n",
    "queries.dev.tsv": "",
    "queries.test.tsv": "20\twhat is the moon\n",
    "qrels.train.tsv": "10 0 1 1\n11 0 2 1\n12 0 3 0\n",
    "qrels.dev.tsv": "",
    "qrels.test.tsv": "20\t0\t3\t1\n",
}
MOST = {"train": 9, "dev": 9, "test": 9}


def write(folder: Path, files: dict[str, str]) -> Path:
    """The folder, with these files in it."""
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def splits(found: Judged) -> dict[str, str]:
    return dict(found.queries.select("query_id", "split").iter_rows())


def test_a_general_set_is_read_from_ms_marcos_files(tmp_path: Path) -> None:
    """Ids get a prefix of their own, so that they cannot meet the domain's; tabs in a text are text."""
    passages, found = general(write(tmp_path, GENERAL), most=MOST)
    assert passages.select("passage_id", "text").row(0) == ("general:1", "Tea is made\tfrom leaves.")
    assert splits(found) == {"general:10": "train", "general:11": "train", "general:20": "test"}
    assert set(found.qrels.select("query_id", "target_id").iter_rows()) == {
        ("general:10", "general:1"),
        ("general:11", "general:2"),
        ("general:20", "general:3"),
    }
    assert tables.checked(found.queries, QUERIES, "here").height == tables.checked(found.qrels, QRELS, "here").height == 3


def test_a_larger_general_set_keeps_the_smaller_ones_choice(tmp_path: Path) -> None:
    """Queries beyond the number go by a hash of their id; all passages stay, as distractors."""
    lines = range(30)
    queries = "".join(f"{n}\tquery {n}\n" for n in lines)
    write(tmp_path, GENERAL | {"queries.train.tsv": queries, "qrels.train.tsv": "".join(f"{n} 0 1 1\n" for n in lines)})
    sets = []
    for most in (5, 12):
        passages, found = general(tmp_path, most=MOST | {"train": most})
        sets.append({name for name, split in splits(found).items() if split == "train"})
        assert passages.height == 3
    assert (len(sets[0]), len(sets[1])) == (5, 12)
    assert sets[0] < sets[1]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"collection.tsv": None}, "collection.tsv: expected a file of 2 tab-separated columns, found none"),
        ({"queries.dev.tsv": None}, "queries.dev.tsv: expected a file of 2 tab-separated columns, found none"),
        ({"qrels.test.tsv": "20 0 9 1\n"}, "judgments name passage 'general:9', which collection.tsv does not hold"),
        ({"qrels.test.tsv": "21 0 3 1\n"}, "queries.test.tsv: judged query '21' is not there"),
        ({"collection.tsv": "1\n"}, "collection.tsv, line 1: expected 2 columns, found 1"),
        ({"collection.tsv": "1\ta\n1\tb\n2\tc\n3\td\n"}, "1 rows of passages repeat a key"),
    ],
)
def test_a_general_set_that_cannot_be_used_is_told(tmp_path: Path, files: dict[str, str | None], told: str) -> None:
    """By file, and by line or id."""
    write(tmp_path, {name: content for name, content in (GENERAL | files).items() if content is not None})
    with pytest.raises(InputError) as caught:
        general(tmp_path, most=MOST)
    assert told in str(caught.value)
