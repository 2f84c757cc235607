"""A turn of the vector space after which its first dimensions tell the most: narrow vectors keep more, the full width stays as it is.

A cosine does not change when all vectors are turned alike, so nothing is lost at full width, whatever the turn. The turn is learnt
from the tuned model's own vectors: what cut vectors find shall be what whole ones find. No judgment is needed, so a sample of the corpus
teaches it, where the Matryoshka loss has the training pairs alone, and it takes nothing from what those teach the full width.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, normalize
from torch.nn.utils.parametrizations import orthogonal
from tqdm import trange

from burnish.arrays import Vectors
from burnish.embedding import encoding

_STEPS = 200
_LEARNING_RATE = 0.01
_SCALE = 20.0  # inverse temperature of the rankings that are compared; 50 looks at too few passages (LOG.md)
_ROWS = 128  # of a step: passages that ask like queries, and as many queries
_CANDIDATES = 1024  # passages that a step ranks
_MOST = 2048  # passages, and queries, that the turn is learnt from; more keep hardly more and take longer (LOG.md)
_SAME = 0.9999  # cosine from which a passage is the one that asks, or its copy


def turn(
    model: SentenceTransformer, passages: Sequence[str], queries: Sequence[str], *, widths: Sequence[int], seed: int
) -> dict[str, float]:
    """Turn the vectors of `model`, in place, by one more layer.

    Args:
        model: any.
        passages: of the corpus, as they are embedded; of more than 2,048 that many are drawn.
        queries: training queries, drawn alike; there may be none.
        widths: those that shall keep the most.
        seed: of what is drawn.

    Returns:
        how many passages and queries it was learnt from, and by how much the rankings of cut vectors depart from those of whole
        ones, in nats, summed over `widths`, before and after.
    """
    bf16 = encoding.bf16_is_faster(model.device)
    found = encoding.encoder(model, "passage", bf16=bf16)(_drawn(passages, seed))
    asked = encoding.encoder(model, "query", bf16=bf16)(_drawn(queries, seed))
    device = model.device if model.device.type == "cuda" else torch.device("cpu")  # Apple's GPUs cannot solve
    axes, before, after = learnt_axes(found, asked, widths=widths, seed=seed, device=device)
    _append(model, axes)
    return {"passages": len(found), "queries": len(asked), "before": before, "after": after}


def learnt_axes(
    passages: Vectors, queries: Vectors, *, widths: Sequence[int], seed: int, device: torch.device
) -> tuple[Vectors, float, float]:
    """The turn, shape (dimensions, dimensions), one axis a row, and the departure of the vectors as they are and as they become.

    From the principal axes on, by gradient descent among the orthogonal matrices (Cayley's map).

    Args:
        passages: unit vectors, shape (passages, dimensions).
        queries: unit vectors, shape (queries, dimensions).
        widths: those that shall keep the most.
        seed: of what is drawn.
        device: where it is computed.
    """
    count = passages.shape[1]
    layer = orthogonal(torch.nn.Linear(count, count, bias=False, device=device), orthogonal_map="cayley")
    layer.weight = torch.from_numpy(principal_axes(passages)).to(device)
    found, asked = (torch.from_numpy(one).to(device) for one in (passages, queries))
    optimizer = torch.optim.Adam(layer.parameters(), lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=_STEPS)
    for batch in _batches(found, asked, seed=seed, steps=_STEPS):
        optimizer.zero_grad()
        _departure(layer, *batch, widths=widths).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        trial = next(_batches(found, asked, seed=seed + 1, steps=1))
        before, after = (_departure(one, *trial, widths=widths).item() for one in (torch.nn.Identity(), layer))
        axes: Vectors = layer.weight.cpu().numpy()
    return axes, before, after


def principal_axes(vectors: Vectors) -> Vectors:
    """The orthogonal axes along which `vectors` are largest, the largest first; shape (dimensions, dimensions), one axis a row.

    Those of the second moments, not of the covariance: what all vectors share takes part in their cosines too. An axis points to where
    its largest component is positive, so that equal vectors give equal axes.
    """
    _, columns = np.linalg.eigh(vectors.astype(np.float64).T @ vectors)
    axes = columns.T[::-1]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    turned: Vectors = (axes * signs[:, None]).astype(np.float32)
    return turned


def _drawn(texts: Sequence[str], seed: int) -> list[str]:
    """At most 2,048 of `texts`, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(texts))[:_MOST]
    return [texts[one] for one in np.sort(chosen).tolist()]


def _batches(passages: Tensor, queries: Tensor, *, seed: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each step: what asks, shape (rows, dimensions), and the passages that it ranks, shape (candidates, dimensions)."""
    drawn = torch.Generator().manual_seed(seed)
    for _ in trange(steps, desc="turn", disable=None if steps > 1 else True):
        asking = [one[torch.randint(len(one), (_ROWS,), generator=drawn)] for one in (passages, queries) if len(one)]
        yield torch.cat(asking), passages[torch.randperm(len(passages), generator=drawn)[:_CANDIDATES]]


def _departure(turned: torch.nn.Module, asking: Tensor, ranked: Tensor, *, widths: Sequence[int]) -> Tensor:
    """Kullback-Leibler divergence of the cut vectors' rankings from the whole ones', summed over `widths`."""
    cosines = asking @ ranked.T
    itself = cosines > _SAME
    whole = _ranking(cosines, itself)
    left, right = turned(torch.cat([asking, ranked])).split([len(asking), len(ranked)])
    total = torch.zeros((), device=asking.device)
    for width in widths:
        cut = _ranking(normalize(left[:, :width], dim=1) @ normalize(right[:, :width], dim=1).T, itself)
        total = total + kl_div(cut, whole, reduction="batchmean", log_target=True)
    return total


def _ranking(cosines: Tensor, itself: Tensor) -> Tensor:
    """Log-probabilities of the passages, the one that asks left out."""
    return log_softmax((_SCALE * cosines).masked_fill(itself, -1e4), dim=1)


def _append(model: SentenceTransformer, axes: Vectors) -> None:
    """Add the layer, and a normalisation where the model ended in one: its modules keep their names."""
    count, normalised = len(axes), isinstance(model[-1], Normalize)
    layer = Dense(count, count, bias=False, activation_function=torch.nn.Identity())
    layer.linear.weight.data.copy_(torch.from_numpy(axes))
    model.append(layer.to(device=model.device, dtype=model.dtype))
    if normalised:
        model.append(Normalize())
