"""What other models say of the training rows: a guide's vectors for the mask, a teacher's scores to learn from."""

from dataclasses import replace

import numpy as np

from burnish.embedding.teachers import Embedder, Teacher
from burnish.training.rows import TrainingSet


def guided(data: TrainingSet, guide: Embedder) -> TrainingSet:
    """`data` with the mask of another guide than the base; only texts that a row names are embedded."""
    used = np.unique(data.passages).tolist()
    found = guide.vectors("passage", [data.texts[at] for at in used])
    passages = np.zeros((len(data.texts), found.shape[1]), np.float32)
    passages[used] = found
    return replace(data, masks=replace(data.masks, queries=guide.vectors("query", list(data.queries)), passages=passages))


def taught(data: TrainingSet, teacher: Teacher, scale: float) -> TrainingSet:
    """`data` with the teacher's score of each row's passages, times `scale`."""
    width = data.passages.shape[1]
    queries = [query for query in data.queries for _ in range(width)]
    passages = [data.texts[at] for at in data.passages.reshape(-1).tolist()]
    return replace(data, taught=(np.float32(scale) * teacher.scores(queries, passages)).reshape(-1, width))
