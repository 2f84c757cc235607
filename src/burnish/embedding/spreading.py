"""Vectors computed on a cluster: the store is filled before it is read, with the very shards that one process would write."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from sentence_transformers.util import get_device_name
from torch import device
from tqdm import tqdm

from burnish.arrays import Vectors
from burnish.compute import Cluster
from burnish.embedding import encoding, models, vectors
from burnish.embedding.encoding import Role
from burnish.embedding.vectors import VectorStore

Part = tuple[Role, Sequence[str]]


def fill(cluster: Cluster, model: Path, jobs: Sequence[tuple[VectorStore, Role, Sequence[str]]], *, bf16: bool) -> list[int]:
    """Compute what the stores lack of each job's texts; how many that were, by job.

    A task is a whole shard, so its texts share batches with the same others as on one machine, and each worker loads the model
    once for all jobs. A shard is kept as it comes: a run that is killed computes no shard again.
    """
    parts: list[tuple[VectorStore, Part]] = []
    lacking = []
    seen: dict[Path, set[str]] = {}
    for store, role, texts in jobs:
        before = seen.setdefault(store.folder, set())
        wanted = [text for text in store.missing(texts) if text not in before]
        before.update(wanted)
        lacking.append(len(wanted))
        starts = range(0, len(wanted), vectors.SHARD)
        parts += [(store, (role, wanted[start : start + vectors.SHARD])) for start in starts]
    computed = cluster.mapped(partial(worker, model, bf16=bf16), (part for _, part in parts), model=True)
    with tqdm(total=sum(lacking), desc="encode", unit="text", disable=None) as bar:
        for place, found in computed:
            store, (_, texts) = parts[place]
            store.keep(texts, found)
            bar.update(len(texts))
    return lacking


def worker(model: Path, *, bf16: bool) -> Callable[[Part], Vectors]:
    """A function from a role and texts to vectors, with the model loaded."""
    loaded = models.load(model)
    encode: dict[Role, Callable[[Sequence[str]], Vectors]] = {
        "query": encoding.encoder(loaded, "query", bf16=bf16),
        "passage": encoding.encoder(loaded, "passage", bf16=bf16),
    }
    return lambda part: encode[part[0]](part[1])


def bf16_is_faster_here() -> bool:
    """`encoding.bf16_is_faster` of the device that a model would be loaded on."""
    return encoding.bf16_is_faster(device(get_device_name()))
