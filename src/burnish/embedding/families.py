"""Families of embedding models that were trained with a prompt, which is easily lost: then they retrieve worse, in silence."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import InputError

_KNOBS = {"query": "base.query_prompt", "document": "base.passage_prompt"}
_BGE = "Represent this sentence for searching relevant passages: "
_INSTRUCT = "Instruct: Given a question, retrieve passages that answer it\nQuery: "


@dataclass(frozen=True)
class Family:
    """Models of one training.

    Attributes:
        name: as their publisher calls them.
        pattern: found in a model's name, folded to lower case.
        query: what stands before a query.
        document: what stands before a passage; "" nothing.
    """

    name: str
    pattern: str
    query: str
    document: str

    def prompt(self, role: str) -> str:
        """What stands before a text of `role`, "query" or "document"."""
        return self.query if role == "query" else self.document


# From the publishers' model cards. The first that matches counts: those that instruct come before their plain sisters.
FAMILIES = (
    Family("E5 instruct", r"(?<![a-z0-9])e5-[\w.-]*instruct", _INSTRUCT, ""),
    Family("E5", r"(?<![a-z0-9])e5-(small|base|large)", "query: ", "passage: "),
    Family("BGE (Chinese)", r"bge-(small|base|large)-zh", "为这个句子生成表示以用于检索相关文章：", ""),
    Family("BGE (English)", r"bge-(small|base|large)-en", _BGE, ""),
    Family("mxbai-embed", r"mxbai-embed-large", _BGE, ""),
    Family("arctic-embed 2", r"arctic-embed-[lm]-v2", "query: ", ""),
    Family("arctic-embed", r"arctic-embed-(xs|s|m|l)\b", _BGE, ""),
    Family("nomic-embed", r"nomic-embed-text", "search_query: ", "search_document: "),
    Family("EmbeddingGemma", r"embeddinggemma", "task: search result | query: ", "title: none | text: "),
    Family("Qwen3-Embedding", r"qwen3-embedding", _INSTRUCT.replace("\nQuery: ", "\nQuery:"), ""),
)


def of_model(name: str, folder: Path) -> Family | None:
    """The family of the model, by the name it was asked for, or the one that its own files give; None: not known.

    A folder that somebody renamed is known by what its configuration or model card says that it was.
    """
    config = folder / "config.json"
    own = json.loads(config.read_text(encoding="utf-8")).get("_name_or_path", "") if config.is_file() else ""
    card = Path(name) / "README.md"
    lines = card.read_text(encoding="utf-8", errors="replace").splitlines()[:200] if card.is_file() else []
    titles = [line for line in lines if re.match(r"(#|name:|- name:|model_name:|base_model:|model-index:)\s?", line)]
    hints = "\n".join([Path(name).name, str(own), *titles]).lower()  # no folder above a model names it
    return next((family for family in FAMILIES if re.search(family.pattern, hints)), None)


def check(family: Family, name: str, prompts: Mapping[str, str | None]) -> None:
    """Refuse a model of `family` whose prompts are empty where nobody said that they should be.

    Args:
        family: the model's.
        name: the model's, for messages.
        prompts: by role, "query" or "document", what holds where the knob leaves it to the model.

    Raises:
        InputError: naming each knob and what to set.
    """
    lacking = [role for role, found in prompts.items() if not found and family.prompt(role)]
    if lacking:
        wanted = " and ".join(f"{_KNOBS[role]} to {family.prompt(role)!r}" for role in lacking)
        raise InputError(
            f"base.model {name}: a model of the family {family.name} retrieves worse without its prompts, and its files set "
            f'none; set {wanted}, as its model card says, or to "" to go without'
        )


def differences(family: Family, prompts: Mapping[str, str]) -> list[str]:
    """What a person should know where the prompts that hold are not the family's own, one sentence each.

    An instruction of one's own is as good as the family's.

    >>> e5 = next(family for family in FAMILIES if family.name == "E5")
    >>> differences(e5, {"query": "query:", "document": "passage: "})
    ["base.query_prompt is 'query:', the family E5 was trained with 'query: '"]
    """
    return [
        f"{knob} is {prompts.get(role) or ''!r}, the family {family.name} was trained with {family.prompt(role)!r}"
        for role, knob in _KNOBS.items()
        if (prompts.get(role) or "") != family.prompt(role) and not _instructs(prompts.get(role), family.prompt(role))
    ]


def _instructs(*prompts: str | None) -> bool:
    return all(found and found.startswith("Instruct: ") for found in prompts)
