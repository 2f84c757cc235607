"""What other models say of the training rows: a guide's vectors for the mask, a teacher's scores to learn from."""

from dataclasses import replace

import numpy as np

from burnish.embedding.teachers import Embedder, Teacher
from burnish.training import processes
from burnish.training.rows import TrainingSet


def guided(data: TrainingSet, guide: Embedder) -> TrainingSet:
    """`data` with the mask of another guide than the base; only texts that a row names are embedded."""
    used = np.unique(data.passages).tolist()
    found, queries = processes.shared(
        lambda: (guide.vectors("passage", [data.texts[at] for at in used]), guide.vectors("query", list(data.queries)))
    )
    passages = np.zeros((len(data.texts), found.shape[1]), np.float32)
    passages[used] = found
    return replace(data, masks=replace(data.masks, queries=queries, passages=passages))


def taught(data: TrainingSet, teacher: Teacher, scale: float) -> TrainingSet:
    """`data` with the teacher's score of each row's passages, times `scale`."""
    there = data.passages != data.passages[:, :1]  # a row with fewer negatives than others repeats its positive
    there[:, 0] = True
    queries = [data.queries[row] for row in np.nonzero(there)[0].tolist()]
    passages = [data.texts[at] for at in data.passages[there].tolist()]
    scores = np.zeros(data.passages.shape, np.float32)
    scores[there] = np.float32(scale) * processes.shared(lambda: teacher.scores(queries, passages))
    return replace(data, taught=scores)
