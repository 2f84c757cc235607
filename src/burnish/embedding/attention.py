"""Which code computes a transformer's attention, for the length of one pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# From so many tokens on, on a CPU in bfloat16, torch's fused attention is as fast as plain products, and takes less memory (LOG.md).
_FUSED_FROM = 512


@contextmanager
def computed_by(body: Any, name: str) -> Iterator[None]:
    """Let transformers' attention `name` compute what the transformer `body` computes in here."""
    before = body.config._attn_implementation  # noqa: SLF001 (set_attn_implementation would also rewrite the saved configuration)
    body.config._attn_implementation = name  # noqa: SLF001
    try:
        yield
    finally:
        body.config._attn_implementation = before  # noqa: SLF001


@contextmanager
def of_training(model: Any, width: int) -> Iterator[None]:
    """The faster attention for a pass over texts of up to `width` tokens that a backward pass follows.

    On a CPU in bfloat16 the backward pass of torch's fused attention multiplies tile by tile, each a call of oneDNN: the plain
    products of transformers' "eager" attention are 1.3 to 3.5 times faster there, the more the shorter the texts (LOG.md).
    """
    body = getattr(model[0], "auto_model", None) if isinstance(model, torch.nn.Sequential) else None
    if body is None or width >= _FUSED_FROM or not _cpu_in_bf16(body):
        yield
        return
    with computed_by(body, "eager"):
        yield


def _cpu_in_bf16(body: Any) -> bool:
    on_cpu = body.device.type == "cpu"
    return on_cpu and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
