"""Batches: every row once an epoch, and the rows of one passage together."""

import numpy as np

from burnish.training.batches import GroupedBatches


def sampler(groups: list[int], *, size: int, epoch: int = 0, seed: int = 7) -> GroupedBatches:
    """A sampler over rows whose positives are `groups`."""
    made = GroupedBatches(np.array(groups), size, seed)
    made.set_epoch(epoch)
    return made


def test_every_row_comes_once_an_epoch() -> None:
    """In as many batches as the sampler says."""
    one = sampler([at % 17 for at in range(101)], size=8)
    batches = list(one)
    assert sorted(row for batch in batches for row in batch) == list(range(101))
    assert (len(batches), {len(batch) for batch in batches[:-1]}) == (len(one), {8})


def test_rows_of_one_passage_stay_together() -> None:
    """Groups of four in batches of eight: two passages a batch."""
    groups = [at % 10 for at in range(40)]
    assert {len({groups[row] for row in batch}) for batch in sampler(groups, size=8)} == {2}


def test_each_epoch_has_its_own_order_and_each_seed() -> None:
    """The same epoch and seed always the same."""
    groups = [at % 10 for at in range(40)]
    plain = list(sampler(groups, size=8))
    assert list(sampler(groups, size=8)) == plain
    assert list(sampler(groups, size=8, epoch=1)) != plain
    assert list(sampler(groups, size=8, seed=8)) != plain


# Rows
