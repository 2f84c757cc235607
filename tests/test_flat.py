"""Texts side by side: the embeddings and gradients of the padded batch. The GPU's kernel itself runs on a GPU alone."""

from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import XLMRobertaConfig, XLMRobertaModel

from burnish.embedding import flat, models

TEXTS = ["a", "The way to cook rice is long. " * 4, "", "sing", "one two three four five six"]


@pytest.fixture(scope="module")
def model(base_model: Path) -> SentenceTransformer:
    """The real base model."""
    return models.load(base_model, "cpu").eval()


@pytest.fixture(scope="module")
def late_positions(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    """A small model whose positions begin after the padding token's number, as those of E5 and BGE-M3 do."""
    folder = tmp_path_factory.mktemp("xlm")
    torch.manual_seed(0)
    models.load(base_model, "cpu").tokenizer.save_pretrained(str(folder))
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    XLMRobertaModel(XLMRobertaConfig(vocab_size=30522, pad_token_id=0, **small)).save_pretrained(str(folder))
    return SentenceTransformer(modules=[Transformer(str(folder)), Pooling(32)], device="cpu").eval()


@pytest.mark.parametrize("name", ["model", "late_positions"])
def test_embeddings_are_those_of_the_padded_batch(name: str, request: pytest.FixtureRequest) -> None:
    """A text attends to itself alone, and its positions are its own."""
    model = request.getfixturevalue(name)
    features = dict(model.tokenizer(TEXTS, padding=True, return_tensors="pt"))
    lengths = features["attention_mask"].sum(dim=1).tolist()
    with torch.no_grad():
        expected = model(dict(features))["sentence_embedding"]
        found = flat.flat_embeddings(model, features["input_ids"], lengths)
    assert torch.allclose(found, expected, atol=1e-5)


def test_gradients_are_those_of_the_padded_batch(model: SentenceTransformer) -> None:
    """Training learns the same."""
    features = dict(model.tokenizer(TEXTS, padding=True, return_tensors="pt"))
    lengths = features["attention_mask"].sum(dim=1).tolist()
    weight = next(one for name, one in model.named_parameters() if name.endswith("layer.0.attention.self.value.weight"))
    padded, side_by_side = (
        model(dict(features))["sentence_embedding"],
        flat.flat_embeddings(model, features["input_ids"], lengths),
    )
    gradients = [torch.autograd.grad(embedded[:, 0].sum(), weight)[0] for embedded in (padded, side_by_side)]
    assert torch.allclose(*gradients, atol=1e-5)


def test_the_model_keeps_its_own_attention(model: SentenceTransformer) -> None:
    """What is saved or encoded afterwards is as before."""
    before = model[0].auto_model.config._attn_implementation  # noqa: SLF001
    flat.flat_embeddings(model, torch.tensor([[101, 2000, 102]]), [3])
    assert model[0].auto_model.config._attn_implementation == before  # noqa: SLF001


def test_on_a_cpu_batches_stay_padded(model: SentenceTransformer) -> None:
    """Nothing changes where there is no kernel for it."""
    features = dict(model.tokenizer(TEXTS, padding=True, return_tensors="pt"))
    with torch.no_grad():
        found = flat.sentence_embeddings(model, features, features["attention_mask"].sum(dim=1).tolist())
        assert torch.equal(found, model(dict(features))["sentence_embedding"])
