"""The doctor: what it says follows from what it sees."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch

from burnish.evaluation import doctor, measures
from burnish.evaluation.doctor import Finding


def levels(found: list[Finding]) -> list[str]:
    """The level of each finding."""
    return [one.level for one in found]


def counts(**changed: Any) -> dict[str, Any]:
    """An extraction's counts in which nothing is wrong."""
    plain = {
        "documents": 10,
        "passages": 30,
        "passage_tokens": {"p5": 20.0, "p50": 80.0, "p95": 200.0},
        "truncated_share": 0.0,
        "near_duplicate_document_share": 0.1,
        "failures": {},
    }
    return plain | changed


def test_a_sound_corpus_is_told_and_passes() -> None:
    """One line with its figures."""
    (found,) = doctor.corpus(counts())
    assert found.level == "ok"
    assert "30 passages of 20 to 200 tokens" in found.text


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"truncated_share": 0.034}, "3.4%"),
        ({"near_duplicate_document_share": 0.5}, "50% of the documents"),
        ({"failures": {"encrypted": 2}}, "encrypted"),
    ],
)
def test_each_fault_of_a_corpus_is_a_note(changed: dict[str, Any], told: str) -> None:
    """With the figure, and beside the sound line."""
    found = doctor.corpus(counts(**changed))
    assert levels(found) == ["ok", "note"]
    assert told in found[1].text


@pytest.mark.parametrize(
    ("base", "bm25", "expected"),
    [(0.5, 0.4, ["ok", "ok"]), (0.7, 0.4, ["ok", "note"]), (0.5, 0.6, ["ok", "ok", "note"])],
)
def test_fine_tuning_comes_first_only_where_the_base_misses_answers(base: float, bm25: float, expected: list[str]) -> None:
    """From the knob's recall on other means promise more; BM25 above the base is said apart."""
    assert levels(doctor.verdict(base, bm25, enough=0.7)) == expected


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        ({"curated": 500}, ["ok"]),
        ({"synthetic": 499}, ["note"]),
        ({"extractive": 900}, ["ok"]),
        ({"extractive": 900, "clicks": 299}, ["ok"]),
        ({"extractive": 900, "clicks": 200, "curated": 100}, ["ok", "note"]),
    ],
)
def test_queries_cut_from_documents_stand_in_where_few_were_asked(queries: dict[str, int], expected: list[str]) -> None:
    """And few queries are told as few."""
    found = doctor.training(queries)
    assert levels(found) == expected
    assert f"{sum(queries.values())} domain queries" in found[0].text


def test_enough_curated_queries_pass() -> None:
    """200 queries show 0.0594, which is less than 0.06; 190 do not."""
    assert [levels(doctor.test_size(count, "curated")) for count in (200, 190)] == [["ok"], ["note"]]


def test_the_number_of_queries_to_write_shows_the_difference_it_promises() -> None:
    """The number told for 0.05 is what the measures' own rule of 2.8 standard errors needs."""
    found = doctor.test_size(40, "synthetic")
    needed = math.ceil((2.8 * 0.30 / 0.05) ** 2)
    assert f"0.05 needs {needed}" in found[0].text
    assert f"write {needed} judged queries" in found[1].text
    sample = np.random.default_rng(0).normal(size=needed)
    apart = 0.30 * (sample - sample.mean()) / sample.std(ddof=1)
    assert measures.difference(apart, np.zeros(needed)).detectable <= 0.05


def test_the_machine_is_told() -> None:
    """Device, cores and precision; without a GPU what that means."""
    device, *further = doctor.environment()
    assert re.fullmatch(r"device \w+, \d+ cores, fastest precision (bfloat16|float32)", device.text)
    assert levels(further) == ([] if torch.cuda.is_available() or torch.backends.mps.is_available() else ["note"])


def test_recall_at_ten_is_the_mean_share_of_answers() -> None:
    """Half of two answers, all of one; an answer at rank eleven is missed, a query without answers left out."""
    ranked = [["a", "x"], ["c"], [*"abcdefghij", "z"], ["a"]]
    answers = [frozenset("ab"), frozenset("c"), frozenset("z"), frozenset()]
    assert doctor.recall_at_10(ranked, answers) == pytest.approx(0.5)
