"""The table of losses against its knobs: what is needed is asked for, what would not be listened to is refused."""

import re
from typing import Any

import numpy as np
import pytest

from burnish.errors import InputError
from burnish.training import objectives
from conftest import ROOT

PLAIN: dict[str, Any] = {"teacher": "", "guide": "base", "hardness": "none", "hardness_strength": 0.0}


def test_every_loss_that_the_issue_of_losses_names_is_there() -> None:
    """And params.yaml's comment names each."""
    assert set(objectives.LOSSES) == {
        "mnrl",
        "cached-mnrl",
        "gist",
        "cached-gist",
        "triplet",
        "contrastive",
        "margin-mse",
        "kl",
    }
    comment = (ROOT / "params.yaml").read_text(encoding="utf-8").split("  loss: mnrl")[0].split("train:")[-1]
    assert all(re.search(rf"(?<![\w-]){name}(?![\w-])", comment) for name in objectives.LOSSES)


@pytest.mark.parametrize("name", objectives.LOSSES)
def test_each_loss_accepts_what_it_needs(name: str) -> None:
    """A teacher where it learns from one, and nothing else."""
    needs = objectives.LOSSES[name].needs_teacher
    objectives.check(name, **PLAIN | {"teacher": "a model" if needs else ""})
    objectives.check_negatives(name, "none", np.array([1, 2, 0]))


@pytest.mark.parametrize(
    ("name", "knobs", "told"),
    [
        ("kl", {}, "train.teacher: loss kl learns a teacher's scores, found no teacher"),
        ("margin-mse", {}, "train.teacher: loss margin-mse learns"),
        (
            "mnrl",
            {"teacher": "m"},
            'train.teacher: loss mnrl asks no teacher; set it to "", or train.loss to one of margin-mse, kl',
        ),
        ("kl", {"teacher": "m", "guide": "g"}, "train.guide: loss kl masks nothing"),
        ("triplet", {"hardness": "hard_negatives", "hardness_strength": 5.0}, "train.hardness: loss triplet has no softmax"),
        (
            "gist",
            {"hardness": "all_negatives"},
            "train.hardness_strength: 0 leaves train.hardness all_negatives without effect",
        ),
    ],
)
def test_knobs_that_do_not_fit_are_told(name: str, knobs: dict[str, Any], told: str) -> None:
    """By the knob to change."""
    with pytest.raises(InputError, match=re.escape(told)):
        objectives.check(name, **PLAIN | knobs)


@pytest.mark.parametrize(
    ("name", "hardness", "wanted"),
    [
        ("triplet", "none", "train.loss triplet"),
        ("contrastive", "none", "train.loss contrastive"),
        ("kl", "none", "train.loss kl"),
        ("mnrl", "hard_negatives", "train.hardness hard_negatives"),
    ],
)
def test_a_loss_of_negatives_needs_some(name: str, hardness: str, wanted: str) -> None:
    """Rows of queries and answers alone are refused, with the knob that brings negatives."""
    with pytest.raises(
        InputError, match=f"mine.per_query: {wanted} .*0 of 3 training rows have one; set mine.per_query to at least 1"
    ):
        objectives.check_negatives(name, hardness, np.zeros(3, np.int64))
    objectives.check_negatives("mnrl", "in_batch_negatives", np.zeros(3, np.int64))
