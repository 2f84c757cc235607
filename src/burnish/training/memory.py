"""How much of a batch a GPU's memory holds, so that the largest that fits is found by itself and the rest recomputed."""

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_SHARE = 0.8  # of the free memory; the rest is for the loss, for what the allocator cannot use and for a backward pass
_OPTIMIZER_BYTES = 12  # a parameter: its gradient and Adam's two moments, not yet there at the first step
_MOST_IN_ONE_PASS = 0.25  # of what fits: a pass that is recomputed needs its memory again


@dataclass(frozen=True)
class Room:
    """Tokens, padding included: of one forward pass, and of all passes whose activations are kept for the backward pass.

    Passes beyond `kept` are computed twice (gradient caching, arXiv:2101.06983): the same gradients, some third more time.
    """

    one_pass: float
    kept: float


EVERYTHING = Room(torch.inf, torch.inf)

_known: WeakKeyDictionary[nn.Module, Room] = WeakKeyDictionary()


def room(model: nn.Module, device: torch.device, trial: Callable[[], tuple[Tensor, int]]) -> Room:
    """What the memory of `device` holds; on a CPU everything. Measured once a model, at its first batch.

    Args:
        model: whose parameters will be trained.
        device: where it computes.
        trial: a forward pass of some texts; returns its output, with its graph, and its tokens.
    """
    if device.type != "cuda" or not torch.is_grad_enabled():
        return EVERYTHING
    if model not in _known:
        before = torch.cuda.memory_allocated(device)
        output, tokens = trial()
        cost = (torch.cuda.memory_allocated(device) - before) / tokens
        del output
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        parameters = sum(one.numel() for one in model.parameters() if one.requires_grad)
        _known[model] = divided(torch.cuda.mem_get_info(device)[0] + unused, cost, parameters)
    return _known[model]


def divided(free: int, cost: float, parameters: int) -> Room:
    """The room that `free` bytes give to tokens of `cost` bytes each, beside the optimizer of so many `parameters`.

    >>> divided(free=1_200_000, cost=100, parameters=10_000)
    Room(one_pass=2160.0, kept=6480.0)
    """
    tokens = max(1.0, (free - _OPTIMIZER_BYTES * parameters) * _SHARE / cost)
    return Room(tokens * _MOST_IN_ONE_PASS, tokens * (1 - _MOST_IN_ONE_PASS))
