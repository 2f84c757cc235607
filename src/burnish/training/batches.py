"""Which rows make a batch."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import BatchSampler

from burnish.training import processes


class GroupedBatches(BatchSampler):
    """Batches that keep the rows of one passage together, so that they share its embedding; every row once an epoch.

    A batch of n rows with four queries a passage costs a quarter of the passages. Groups are shuffled anew each epoch. Processes
    that train together make the same batches, and each takes its share of every one.

    Args:
        groups: the positive passage of each row, shape (rows,).
        batch_size: rows of a batch; the last one may be smaller.
        seed: of the shuffling.
    """

    def __init__(self, groups: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self.groups, self.batch_size, self.seed, self.epoch = groups, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; the trainer calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """The row numbers of each batch, of which this process takes its share."""
        random = np.random.default_rng([self.seed, self.epoch])
        names, inverse = np.unique(self.groups, return_inverse=True)
        order = np.lexsort((random.permutation(len(inverse)), random.permutation(len(names))[inverse]))
        for start in range(0, len(order), self.batch_size):
            yield list(processes.share(order[start : start + self.batch_size].tolist()))

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return math.ceil(len(self.groups) / self.batch_size)
