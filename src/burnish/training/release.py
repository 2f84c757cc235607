"""A release: the tuned model as it is deployed, what it was made from, and proof that it is the model that was judged."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize

from burnish import ahead, atomic
from burnish.arrays import Vectors
from burnish.embedding import encoding, models
from burnish.errors import InputError
from burnish.search.nearest import exact
from burnish.search.retrieval import truncated

MANIFEST = "manifest.json"
_MIN_COSINE = 0.9999


def at_width(model: SentenceTransformer, width: int) -> SentenceTransformer:
    """`model`, ending in the first `width` dimensions, for every program that loads it.

    A stored truncation would have to be asked for; a projection by the first rows of the identity is part of the model.

    Raises:
        InputError: the model has fewer dimensions.
    """
    full = model.get_embedding_dimension() or 0
    ahead.check_width(width, full)
    if width < full:
        cut = Dense(full, width, bias=False, activation_function=torch.nn.Identity())
        with torch.no_grad():
            cut.linear.weight.copy_(torch.eye(full)[:width])
        model.append(cut.to(model.device))
        model.append(Normalize())
    return model


def prove(release: Path, tuned: Vectors, texts: Sequence[str], width: int) -> dict[str, float]:
    """How well the model loaded from `release` gives the tuned model's vectors.

    Args:
        release: the folder.
        tuned: the tuned model's vectors of `texts`, shape (texts, dimensions).
        texts: real passages.
        width: the release's.

    Raises:
        InputError: a vector's cosine is below 0.9999, or any text's ten nearest others differ.
    """
    loaded = models.load(release)
    found = encoding.encoder(loaded, "passage")(texts)
    expected = truncated(tuned, width)
    cosine = float((found * expected).sum(axis=1).min())
    nearest = [np.sort(exact(vectors, vectors, 10)[0], axis=1) for vectors in (found, expected)]
    same = float((nearest[0] == nearest[1]).all(axis=1).mean())
    if cosine < _MIN_COSINE or same < 1:
        raise InputError(
            f"export: the release is not the tuned model: lowest cosine {cosine:.6f} (at least {_MIN_COSINE}), same ten nearest for "
            f"{same:.2%} of {len(texts)} passages (all); nothing was exported"
        )
    return {"passages": len(texts), "lowest_cosine": cosine, "same_top_10": same}


def manifest(
    release: Path,
    *,
    base: Mapping[str, Any],
    training: Mapping[str, Any],
    data: Mapping[str, Path],
    code: Mapping[str, str],
    params: Mapping[str, Any],
    widths: Sequence[int],
) -> dict[str, Any]:
    """What a release is and what it was made from; measures and the Git revision join it when a version is released.

    `code` is of the two stages that decide the weights, each over its own deps in dvc.yaml, so DVC makes a new manifest
    whenever a digest in it would be another one, and a changed report makes none. The stages before them are told by what they
    made: `data` has the digests of their tables. Their code would be the wrong proof: a comment in it changes no weight, and
    the manifest would either be stale or, with all that follows, have to be made anew.

    Args:
        release: the folder of the finished model.
        base: the base model's name, revision and digest.
        training: the recipe, the summary of the training, the licences of what it was made from, and the general set.
        data: the files it was trained on, by name; their sha256 goes in.
        code: the digest of the code of `train`, as it stood when the weights were made, and of `export`.
        params: the knobs that it was made by, by section.
        widths: those that its vectors may be cut to.
    """
    return {
        "format": 1,
        "model_digest": models.digest(release),
        "base": dict(base),
        "training": dict(training),
        "data": {name: _sha256(path) for name, path in sorted(data.items())},
        "code": dict(code),
        "params": dict(params),
        "widths": sorted(widths, reverse=True),
        "text": "title, heading and text of a passage, each on its own line, empty ones left out",
    }


def card(found: Mapping[str, Any]) -> str:
    """The model card: what the model is for, how to use it, what it was trained on and under which licences."""
    licences = "\n".join(f"- {_plain(name)}: {text}" for name, text in sorted(found["training"]["licences"].items()))
    widths = ", ".join(str(width) for width in found["widths"])
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, retrieval, burnish]
---

# A retrieval model tuned by burnish

Fine-tuned from `{found["base"]["model"]}` for retrieval in one domain. Widths that its vectors may be cut to (Matryoshka): {widths}.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("models/release")
queries = model.encode_query(["how do I ..."])
passages = model.encode_document(["title\\nheading\\ntext"])
scores = model.similarity(queries, passages)
```

A passage is given as {found["text"]}. Cut vectors with `truncate_dim` and normalise them again.

Trained on {found["training"]["summary"]["rows"]} pairs. Licences of what it was made from:

{licences}

`manifest.json` beside this file has the digests of base, data and code.
"""


def write_manifest(release: Path, found: Mapping[str, Any]) -> None:
    """Put manifest and model card into the release."""
    atomic.write_text(release / "README.md", card(found))
    atomic.write_text(release / MANIFEST, json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _plain(name: str) -> str:
    """A name in Markdown whose stars, underscores and brackets are no markup."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
