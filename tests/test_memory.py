"""Memory: what fits is kept, the rest computed again, and the gradients are the same."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from burnish.embedding import models
from burnish.training import losses, memory
from burnish.training.losses import Passes
from burnish.training.memory import Room


def test_a_cpu_holds_everything() -> None:
    """Nothing is measured and nothing computed twice; the trial is not even run."""
    assert memory.room(torch.nn.Linear(1, 1), torch.device("cpu"), lambda: pytest.fail("ran")) == memory.EVERYTHING


def test_more_memory_holds_more_tokens() -> None:
    """In proportion, once the optimizer has its part."""
    small, large = (memory.divided(free=free, cost=1000.0, parameters=1_000_000) for free in (22_000_000, 32_000_000))
    assert (large.kept / small.kept, large.one_pass / small.one_pass) == (pytest.approx(2.0), pytest.approx(2.0))
    assert memory.divided(free=1, cost=1000.0, parameters=1_000_000).kept > 0


def test_what_does_not_fit_gives_the_same_gradients(base_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of three passes, of which memory holds one: embeddings and gradients of the whole batch kept."""
    model = models.load(base_model, "cpu").eval()
    texts = ["a", "The way to cook rice is long.", "sing", "one two three four five six", "b c d"]
    column = dict(model.tokenizer(texts, padding=True, return_tensors="pt"))
    weight = next(one for name, one in model.named_parameters() if name.endswith("layer.0.output.dense.weight"))
    passes: list[bool] = []
    model[0].register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))

    def gradient() -> tuple[Tensor, Tensor]:
        (found,) = losses.packed_embeddings(model, [column], Passes(16))
        return found.detach(), torch.autograd.grad(found.square().sum() + found[:, 0].sum(), weight)[0]

    whole = gradient()
    once = len(passes)
    monkeypatch.setattr(memory, "room", lambda *_: Room(one_pass=16, kept=16))
    parts = gradient()
    assert once > 2
    assert len(passes) == once + 2 * once - 1  # all but the first pass a second time
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
