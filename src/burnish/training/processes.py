"""Several processes that train one model together: what one computes for all, and a batch that all of them share.

Each process runs the trainer as if alone, over its share of every batch. They meet in three places: the first computes what is
wanted once (`shared`), the loss sees the embeddings of the whole batch (`gathered`), and gradients are added up (`add_gradients`).
DistributedDataParallel would have to see each forward pass. A packed batch has as many as its texts need, a different number on
each process, and computes some of them again amid the backward pass.
"""

import itertools
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

T = TypeVar("T")

_PATIENCE = timedelta(days=30)  # for what the first computes alone: a whole corpus may be embedded meanwhile


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def first() -> bool:
    """Whether this process is the one that measures and writes."""
    return rank() == 0


def shared(compute: Callable[[], T]) -> T:
    """What `compute` gives on the first process, on every process; the others wait for it."""
    if count() == 1:
        return compute()
    box: list[Any] = [compute() if first() else None]
    distributed.broadcast_object_list(box, src=0, group=_patient_group(), device=torch.device("cpu"))
    found: T = box[0]
    return found


def wait() -> None:
    """Return once all processes have come here."""
    shared(lambda: None)


@cache
def _patient_group() -> distributed.ProcessGroup:
    group: distributed.ProcessGroup = distributed.new_group(backend="gloo", timeout=_PATIENCE)
    return group


def share(rows: Sequence[int]) -> Sequence[int]:
    """This process's rows of a batch: the batch is cut into as many even pieces as there are processes, in their order.

    A process that gets none, at the end of an epoch, takes the first row, since all must take part in a step; `gathered` counts
    a row that stands twice once.
    """
    start, stop = (len(rows) * at // count() for at in (rank(), rank() + 1))
    return rows[start:stop] or rows[:1]


def gathered(columns: Sequence[Tensor], labels: Tensor) -> tuple[list[Tensor], Tensor, range]:
    """The whole batch: its columns of embeddings, its labels, and which of its rows are this process's own.

    A gradient of the whole goes back to the process that computed the embedding, added up over all processes. So each may
    compute a part of the loss, from any rows, if the parts add up to the loss.

    Args:
        columns: this process's embeddings, each of shape (own rows, dimensions).
        labels: row numbers of the training set, shape (own rows,).
    """
    if count() == 1:
        return list(columns), labels, range(len(labels))
    sizes = [int(size) for size in _of_all(torch.tensor([len(labels)], device=labels.device), [1] * count())]
    whole = _of_all(labels, sizes)
    stacked: Tensor = _Gathered.apply(torch.stack(list(columns), dim=1), sizes)  # type: ignore[no-untyped-call]
    kept = np.sort(np.unique(whole.cpu().numpy(), return_index=True)[1])
    start, stop = np.searchsorted(kept, [sum(sizes[: rank()]), sum(sizes[: rank() + 1])]).tolist()
    if len(kept) < len(whole):
        chosen = torch.from_numpy(kept).to(labels.device)
        stacked, whole = stacked[chosen], whole[chosen]
    return list(stacked.unbind(dim=1)), whole, range(start, stop)


class _Gathered(torch.autograd.Function):
    """The rows of all processes in their order; its gradient is the sum over processes, of this one's rows."""

    @staticmethod
    def forward(context: Any, own: Tensor, sizes: Sequence[int]) -> Tensor:
        context.bounds = sum(sizes[: rank()]), sum(sizes[: rank() + 1])
        return _of_all(own, sizes)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        whole = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return whole[slice(*context.bounds)], None


def _of_all(own: Tensor, sizes: Sequence[int]) -> Tensor:
    """The rows of all processes, of which each has its size, in the order of the processes."""
    longest = max(sizes)
    padding = own.new_zeros((longest - len(own), *own.shape[1:]))
    parts = [torch.empty_like(own[:1]).expand(longest, *own.shape[1:]).contiguous() for _ in sizes]
    distributed.all_gather(parts, torch.cat([own.detach(), padding]))
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def total(part: Tensor) -> Tensor:
    """The sum of all processes' parts."""
    if count() == 1:
        return part
    whole = part.clone()
    distributed.all_reduce(whole)
    return whole


def add_gradients(model: nn.Module) -> None:
    """Give each weight the sum of its gradients on all processes."""
    gradients = [one.grad for one in model.parameters() if one.grad is not None]
    if count() > 1:
        whole = total(torch.cat([one.flatten() for one in gradients]))
        ends = itertools.accumulate(one.numel() for one in gradients)
        for one, end in zip(gradients, ends, strict=True):
            one.copy_(whole[end - one.numel() : end].view_as(one))
