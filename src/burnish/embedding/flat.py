"""Texts side by side without padding: one row of all their tokens, attention kept within each text by flash attention.

Torch's own kernel (torch.nn.attention.varlen, from 2.10), so that nothing need be compiled or installed. On a GPU alone and in
half precision; elsewhere, and with architectures that are not known to allow it, batches stay padded, and length order keeps the
padding small.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from burnish.embedding import attention

if TYPE_CHECKING:  # as in models.py
    from sentence_transformers import SentenceTransformer

_NAME = "burnish_flat"
_ARCHITECTURES = {"bert": False, "roberta": True, "xlm-roberta": True}  # whether positions begin after the padding token's


def sentence_embeddings(model: Any, features: Mapping[str, Tensor], lengths: Sequence[int]) -> Tensor:
    """The embeddings of a padded batch, shape (rows, dimensions), its padding left out where that can be.

    Args:
        model: maps features to features with `sentence_embedding`.
        features: values of shape (rows, longest), padded on the right.
        lengths: tokens of each row.
    """
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    if isinstance(model, SentenceTransformer) and _usable(model):
        return flat_embeddings(model, features["input_ids"], lengths)
    found: Tensor = model(dict(features))["sentence_embedding"]
    return found


def flat_embeddings(model: "SentenceTransformer", ids: Tensor, lengths: Sequence[int]) -> Tensor:
    """The embeddings of texts whose token ids are the rows of `ids`, each cut to its length; shape (rows, dimensions)."""
    from transformers import AttentionInterface  # noqa: PLC0415

    counts = np.asarray(lengths)
    ends = counts.cumsum()
    row = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(ends[-1]) - (ends - counts)[row]
    tokens = torch.from_numpy(row * ids.shape[1] + place).to(ids.device)
    bounds = torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32)).to(ids.device)
    body: Any = model[0].auto_model
    first = body.config.pad_token_id + 1 if _ARCHITECTURES[body.config.model_type] else 0
    parts = {"cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": int(counts.max())}
    AttentionInterface.register(_NAME, _attention)
    with attention.computed_by(body, _NAME):
        hidden = body(
            input_ids=ids.flatten()[tokens][None], position_ids=torch.from_numpy(place + first).to(ids.device)[None], **parts
        )
    features: dict[str, Any] = {"token_embeddings": hidden.last_hidden_state, **parts}
    for module in list(model)[1:]:
        features = module(features)
    found: Tensor = features["sentence_embedding"]
    return found


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention within each text; query, key and value of shape (1, heads, tokens, width), the result (1, tokens, heads, width)."""
    assert not dropout, "flat attention has no dropout"
    scaled = query * (scaling * query.shape[-1] ** 0.5)  # the kernel divides by the root of the width
    parts = [one[0].transpose(0, 1) for one in (scaled, key, value)]
    if query.device.type == "cuda":
        flat = _kernel()(*(one.contiguous() for one in parts), cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q)
        return flat[None], None
    split = [one.split(cu_seq_lens_q.diff().tolist()) for one in parts]
    texts = [
        nn.functional.scaled_dot_product_attention(*(one.transpose(0, 1) for one in text)).transpose(0, 1)
        for text in zip(*split, strict=True)
    ]
    return torch.cat(texts)[None], None


def _usable(model: "SentenceTransformer") -> bool:
    body = getattr(model[0], "auto_model", None)
    if body is None or model.device.type != "cuda" or body.config.model_type not in _ARCHITECTURES:
        return False
    precision = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else body.dtype
    return precision in {torch.bfloat16, torch.float16} and _kernel_works(precision, model.device)


def _kernel() -> Callable[..., Tensor]:
    found: Any = importlib.import_module("torch.nn.attention.varlen")  # not there before torch 2.10
    kernel: Callable[..., Tensor] = found.varlen_attn
    return kernel


@cache
def _kernel_works(precision: torch.dtype, device: torch.device) -> bool:
    """Whether torch's kernel runs on this GPU, forward and backward, by a trial on two texts of three tokens."""
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            one = torch.ones(6, 2, 32, dtype=precision, device=device, requires_grad=True)
            bounds = torch.tensor([0, 3, 6], dtype=torch.int32, device=device)
            _kernel()(one, one, one, bounds, bounds, 3, 3).sum().backward()
    except (ImportError, RuntimeError):
        return False
    return True
