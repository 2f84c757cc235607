"""The turn of the vector space: nothing lost at full width, much kept by narrow vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from burnish.arrays import Vectors
from burnish.embedding import encoding, models
from burnish.search.nearest import exact
from burnish.search.retrieval import truncated
from burnish.training import release, rotation
from test_trainer import small  # noqa: F401

CPU = torch.device("cpu")


def planted(count: int, seed: int) -> Vectors:
    """Unit vectors of 48 dimensions: one of thirty topics, which stand across all of them, and something of its own in the last twelve."""
    draw, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    topics = fixed.normal(size=(30, 48)) * np.concatenate([np.full(36, 1.0), np.full(12, 0.1)])
    own = draw.normal(size=(count, 48)) * np.concatenate([np.full(36, 0.05), np.full(12, 1.0)])
    return truncated((topics[draw.integers(30, size=count)] + own).astype(np.float32), 48)


def agreement(asked: Vectors, found: Vectors, width: int) -> float:
    """The share of each query's ten nearest that vectors cut to `width` find too."""
    whole, cut = (exact(truncated(asked, one), truncated(found, one), 10)[0] for one in (asked.shape[1], width))
    return float(np.mean([len({*left} & {*right}) / 10 for left, right in zip(whole.tolist(), cut.tolist(), strict=True)]))


def test_principal_axes_are_orthogonal_and_in_order() -> None:
    """Each axis of length 1, none leaning on another, the first with the most of the vectors, and none depends on a sign's chance."""
    vectors = planted(300, seed=1)
    axes = rotation.principal_axes(vectors)
    assert axes @ axes.T == pytest.approx(np.eye(48), abs=1e-5)
    sizes = ((vectors @ axes.T) ** 2).sum(axis=0)
    assert (np.diff(sizes) <= 1e-4).all()
    assert (axes[np.arange(48), np.abs(axes).argmax(axis=1)] > 0).all()


def test_cut_vectors_find_what_whole_ones_find() -> None:
    """A third of the dimensions finds more than as many principal axes do, for queries that the turn has not seen; all find the same."""
    found, asked, unseen = planted(600, seed=1), planted(60, seed=2), planted(60, seed=3)
    axes, before, after = rotation.learnt_axes(found, asked, widths=(16,), seed=7, device=CPU)
    turned = [one @ axes.T for one in (unseen, found)]
    principal = [one @ rotation.principal_axes(found).T for one in (unseen, found)]
    assert agreement(*principal, 16) < 0.8
    assert agreement(*turned, 16) > 0.9
    assert after < 0.2 * before
    assert axes @ axes.T == pytest.approx(np.eye(48), abs=1e-5)
    assert unseen @ found.T == pytest.approx(turned[0] @ turned[1].T, abs=1e-5)


def test_the_same_seed_turns_alike() -> None:
    """Bit for bit; another seed draws other passages."""
    found = planted(200, seed=1)
    one, again, other = (rotation.learnt_axes(found, found[:0], widths=(8,), seed=seed, device=CPU)[0] for seed in (7, 7, 8))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_passages_is_enough_to_go_on(count: int) -> None:
    """Fewer than dimensions, with none to find or one: the axes are orthogonal and finite."""
    found = planted(count, seed=1)
    axes, *losses = rotation.learnt_axes(found, found[:1], widths=(8,), seed=7, device=CPU)
    assert axes @ axes.T == pytest.approx(np.eye(48), abs=1e-4)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("normalised", [True, False])
def test_a_turned_model_keeps_its_cosines_and_travels(small: Path, tmp_path: Path, *, normalised: bool) -> None:  # noqa: F811
    """Saved and loaded again, in this precision or in bfloat16, cut to a width for the release; it ends in a normalisation if it did."""
    model = models.load(small, "cpu")
    if normalised:
        model.append(rotation.Normalize())
    texts = [f"The way to {one} is long." for one in ("cook", "sail", "sing", "draw", "swim", "read", "knit")]
    before = encoding.encoder(model, "passage")(texts)
    told = rotation.turn(model, texts, texts[:2], widths=(8,), seed=7)
    models.save(model, tmp_path / "turned")
    loaded = models.load(tmp_path / "turned", "cpu")
    after = encoding.encoder(loaded, "passage")(texts)
    assert [type(one).__name__ for one in loaded][-1] == ("Normalize" if normalised else "Dense")
    assert (told["passages"], told["queries"]) == (7, 2)
    assert not np.allclose(before, after, atol=0.01)
    assert after @ after.T == pytest.approx(before @ before.T, abs=1e-4)
    assert (encoding.encoder(loaded, "passage", bf16=True)(texts) * after).sum(axis=1).min() > 0.999
    models.save(release.at_width(loaded, 8), tmp_path / "cut")
    assert encoding.encoder(models.load(tmp_path / "cut", "cpu"), "passage")(texts) == pytest.approx(
        truncated(after, 8), abs=1e-5
    )
