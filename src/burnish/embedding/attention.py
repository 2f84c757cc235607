"""Which code computes a transformer's attention, for the length of one pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

# From so many tokens on, on a CPU in bfloat16, torch's fused attention is as fast as plain products, and takes less memory (LOG.md).
_FUSED_FROM = 512
# Those whose own eager attention is what `_plain` computes.
_BERTS = frozenset({"bert", "camembert", "distilbert", "electra", "nomic_bert", "roberta", "xlm-roberta", "xlm-roberta-xl"})


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
    products of transformers' "eager" attention are 1.3 to 3.5 times faster there, the more the shorter the texts, and those of
    `_plain`, for the models that it suits, faster again (LOG.md).
    """
    body = getattr(model[0], "auto_model", None) if isinstance(model, torch.nn.Sequential) else None
    if body is None or width >= _FUSED_FROM or not _cpu_in_bf16(body):
        yield
        return
    with computed_by(body, _registered() if body.config.model_type in _BERTS else "eager"):
        yield


def _cpu_in_bf16(body: Any) -> bool:
    on_cpu = body.device.type == "cpu"
    return on_cpu and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16


@cache
def _registered() -> str:
    """The name under which transformers knows `_plain`."""
    from transformers import AttentionInterface, AttentionMaskInterface  # noqa: PLC0415 (takes seconds)
    from transformers.masking_utils import sdpa_mask  # noqa: PLC0415

    AttentionInterface.register("burnish_plain", _plain)
    AttentionMaskInterface.register("burnish_plain", sdpa_mask)
    return "burnish_plain"


def _plain(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention by plain products, all of it in the precision of its inputs.

    Eager attention adds a mask in float32, so its softmax and the gradient of that go over copies of all scores in float32.

    Args:
        module: not used.
        query: shape (texts, heads, tokens, dimensions of a head).
        key: of the same shape.
        value: of the same shape.
        attention_mask: True where a token is read, shape (texts, 1, tokens, tokens); None reads all.
        scaling: of the products, before the softmax.
        dropout: share of the weights that become 0; 0 outside of training.
    """
    with torch.autocast(query.device.type, enabled=False):
        scores = torch.matmul(query * scaling, key.transpose(2, 3))
        if attention_mask is not None:
            unread = torch.zeros(attention_mask.shape, dtype=scores.dtype, device=scores.device)
            scores += unread.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
        weights = torch.nn.functional.dropout(torch.softmax(scores, dim=-1), dropout)
        return torch.matmul(weights, value).transpose(1, 2).contiguous(), None
