"""Other models beside base and tuned: the ones to try before any fine-tuning."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from burnish import tables
from burnish.embedding import models
from burnish.embedding.teachers import Embedder
from burnish.search import retrieval


def runs(
    system: str, model: str, collections: Sequence[tuple[pl.DataFrame, pl.DataFrame]], *, depth: int, store: Path
) -> Iterator[pl.DataFrame]:
    """The run of another model over each collection, at its full width; what the vector store has is not embedded again.

    Args:
        system: the name of its runs.
        model: a folder, `pypi:MODULE`, or a hub id with a commit, `id@commit`.
        collections: queries and passages.
        depth: passages found for each query.
        store: folder of the vector store.

    Raises:
        InputError: there is no such model, or it cannot be loaded.
    """
    embedder = Embedder.at(models.located(model, "retrieve.baselines"), store)
    for queries, passages in collections:
        asked = embedder.vectors("query", queries["text"].to_list())
        found = embedder.vectors("passage", tables.embedded_text(passages))
        yield retrieval.dense_run(system, queries, passages, asked, found, width=found.shape[1], depth=depth)
