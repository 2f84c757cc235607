"""The attention that training computes: the same gradients, by plain products where a CPU's fused ones are slow."""

from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from burnish.embedding import attention, flat, models
from burnish.training import losses
from burnish.training.losses import Passes

TEXTS = ["a", "The way to cook rice is long. " * 4, "", "sing", "one two three four five six"]


@pytest.fixture(scope="module")
def model(base_model: Path) -> SentenceTransformer:
    """The real base model."""
    return models.load(base_model, "cpu").eval()


def implementation(model: SentenceTransformer) -> str:
    """Which attention the transformer would use now."""
    return str(model[0].auto_model.config._attn_implementation)  # noqa: SLF001


@pytest.mark.parametrize(
    ("precision", "width", "expected"),
    [(torch.bfloat16, 64, "burnish_plain"), (torch.bfloat16, 512, "sdpa"), (None, 64, "sdpa")],
)
def test_plain_products_serve_short_texts_in_bf16(
    model: SentenceTransformer, precision: torch.dtype | None, width: int, expected: str
) -> None:
    """In float32, and for long texts, the fused attention stays; afterwards it is there again."""
    with torch.autocast("cpu", precision, enabled=precision is not None), attention.of_training(model, width):
        assert implementation(model) == expected
    assert implementation(model) == "sdpa"


def test_both_attentions_train_alike(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of a padded batch in bf16, by plain products and by the fused attention, point the same way."""
    column = dict(model.tokenizer(TEXTS, padding=True, return_tensors="pt"))
    weight = next(one for name, one in model.named_parameters() if name.endswith("layer.0.attention.self.value.weight"))

    def gradient() -> Tensor:
        (found,) = losses.packed_embeddings(model, [column], Passes(1000, torch.bfloat16))
        return torch.autograd.grad(found[:, 0].sum(), weight)[0].flatten()

    plain = gradient()
    monkeypatch.setattr(attention, "_FUSED_FROM", 0)
    assert float(torch.cosine_similarity(plain, gradient(), dim=0)) > 0.999


def test_a_pass_computes_in_the_precision_that_is_asked_for(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast is on around the whole pass, which texts side by side need, and embeddings come back in float32."""
    column = dict(model.tokenizer(TEXTS, padding=True, return_tensors="pt"))
    seen: list[bool] = []
    embed = flat.sentence_embeddings

    def watched(*given: object) -> Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return embed(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(flat, "sentence_embeddings", watched)
    with torch.no_grad():
        found = [losses.packed_embeddings(model, [column], Passes(1000, kind))[0] for kind in (None, torch.bfloat16)]
    assert seen == [False, True]
    assert [one.dtype for one in found] == [torch.float32] * 2
    assert not torch.equal(*found)
