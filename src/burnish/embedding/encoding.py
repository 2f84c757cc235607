"""Texts to vectors, fast: no padded token computed that need not be, in the fastest precision the machine has."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from tqdm import tqdm

from burnish.arrays import Vectors
from burnish.embedding import flat

if TYPE_CHECKING:  # as in models.py
    from sentence_transformers import SentenceTransformer

Role = Literal["query", "passage"]
Durations = tuple[Sequence[float], Sequence[float]]  # seconds in float32, in bfloat16

_CPU_BATCH_TOKENS = 4096  # a batch that stays in the last-level cache; larger ones were no faster on 2 cores
_GPU_BATCH_TOKENS = 131_072


def prompt(model: "SentenceTransformer", role: Role) -> str:
    """What `model` wants before every query or passage.

    sentence-transformers calls a passage "document" and makes that prompt empty where a model names it "passage" or "corpus".
    """
    names = ("document", "passage", "corpus") if role == "passage" else ("query",)
    return next((found for name in names if (found := model.prompts.get(name))), "")


def encoder(model: "SentenceTransformer", role: Role, *, bf16: bool = False) -> Callable[[Sequence[str]], Vectors]:
    """A function from texts to their unit-length vectors, shape (texts, dimensions).

    Texts are sorted by length and put into batches of equal token count, padding included, so that a batch's longest text
    pads hardly any other: random batches of short passages compute about three times the tokens that they hold.

    Args:
        model: a model whose first module has a tokenizer.
        role: whose prompt stands before every text, a query's or a passage's.
        bf16: compute in bfloat16, where `bf16_is_faster` says that it pays; else in the weights' own precision. The weights
            are copied for it: autocast would also cast back and forth, and gives no nearer vectors (cosine 0.9999 to fp32).
    """
    device = model.device
    on_gpu = device.type == "cuda"
    budget = batch_tokens(device)
    tokenizer, before = model.tokenizer, prompt(model, role)

    def encode(texts: Sequence[str]) -> Vectors:
        computing = _in_bf16(model) if bf16 else model.eval()
        full = [before + text for text in texts]
        ids = tokenizer(full, truncation=True, max_length=model.max_seq_length)["input_ids"] if full else []
        order = sorted(range(len(ids)), key=lambda at: -len(ids[at]))
        found = torch.empty((len(ids), model.get_embedding_dimension() or 0), pin_memory=on_gpu)
        with (
            torch.inference_mode(),
            tqdm(total=len(ids), desc="encode", unit="text", disable=None) as bar,
        ):
            start = 0
            for batch in batches([len(one) for one in ids], order, budget):
                padded = tokenizer.pad({"input_ids": [ids[at] for at in batch]}, return_tensors="pt")
                moved = {
                    name: (value.pin_memory() if on_gpu else value).to(device, non_blocking=True)
                    for name, value in padded.items()
                }
                out = flat.sentence_embeddings(computing, moved, [len(ids[at]) for at in batch])
                rows = found[start : start + len(batch)]
                rows.copy_(torch.nn.functional.normalize(out.float(), dim=-1), non_blocking=True)
                start += len(batch)
                bar.update(len(batch))
        if on_gpu:
            torch.cuda.synchronize(device)
        vectors = np.empty(tuple(found.shape), dtype=np.float32)
        vectors[order] = found.numpy()
        return vectors

    return encode


class _Linear(torch.nn.Linear):
    """A linear layer in one call of oneDNN: torch's own copies the bias into the result first, an eighth of an encoding's time."""

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(texts, self.weight, self.bias, "none", [], None)  # noqa: SLF001
        return found


def _in_bf16(model: "SentenceTransformer") -> "SentenceTransformer":
    """A copy of `model` in bfloat16."""
    copied = copy.deepcopy(model.eval()).to(torch.bfloat16)
    if model.device.type == "cpu" and _one_call_here():
        for layer in copied.modules():
            if type(layer) is torch.nn.Linear:
                layer.__class__ = _Linear
    return copied


def _one_call_here() -> bool:
    """Whether `_Linear` runs: on x86 processors with AVX-512, where torch has oneDNN. On others it was not tried."""
    on_x86 = torch.cpu.get_capabilities().get("architecture") == "x86_64"
    return bool(on_x86 and torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


def batch_tokens(device: torch.device) -> int:
    """How many tokens, padding included, one forward pass on `device` takes."""
    return _CPU_BATCH_TOKENS if device.type == "cpu" else _GPU_BATCH_TOKENS


def batches(lengths: Sequence[int], order: Sequence[int], budget: int) -> list[list[int]]:
    """`order` cut into runs whose count times longest length is at most `budget` (a lone text may exceed it).

    >>> batches([5, 2, 2, 1], [0, 1, 2, 3], 6)
    [[0], [1, 2, 3]]
    """
    found: list[list[int]] = []
    longest = 0
    for at in order:
        longest = max(longest, lengths[at])
        if found and longest * (len(found[-1]) + 1) <= budget:
            found[-1].append(at)
        else:
            found.append([at])
            longest = lengths[at]
    return found


def bf16_is_faster(device: torch.device) -> bool:
    """Whether this machine computes faster in bfloat16; one machine gives the same answer each time.

    A GPU that has it does. An x86 processor without AVX-512 bf16 or AMX takes three to five times as long in it, so none is
    tried there. Others are, by a trial of a layer's size that takes about 0.1 seconds: with the instructions the gain is two to
    four-fold, so the bound, no gain at all, is far from what noise reaches. A bound nearer to the gain let one machine give
    two answers, and vectors of two precisions stood side by side.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and _bf16_is_faster_here()


@cache
def _bf16_is_faster_here() -> bool:
    return bf16_pays(torch.cpu.get_capabilities(), _trial)


def bf16_pays(processor: Mapping[str, object], trial: Callable[[], Durations]) -> bool:
    """Whether a processor computes faster in bfloat16.

    Args:
        processor: what torch tells of it: its architecture, and flags by name.
        trial: measures seconds in float32 and in bfloat16, several of each, of which the shortest counts; not called where the
            flags decide.
    """
    if processor.get("architecture") == "x86_64" and not (processor["avx512_bf16"] or processor["amx_bf16"]):
        return False
    fp32, bf16 = trial()
    return min(bf16) < min(fp32)


def _trial() -> Durations:
    fp32, bf16 = zip(*((_seconds(torch.float32), _seconds(torch.bfloat16)) for _ in range(10)), strict=True)
    return fp32, bf16


def _seconds(precision: torch.dtype) -> float:
    """The time of the product of 256 tokens and a small transformer's feed-forward layer."""
    texts, layer = torch.ones(256, 384, dtype=precision), torch.ones(1536, 384, dtype=precision)
    start = time.perf_counter()
    torch.nn.functional.linear(texts, layer)
    return time.perf_counter() - start
