"""What a request is about: an excerpt or several, and the ways in which queries for them are asked."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.synthesis.companions import COMPANIONS
from burnish.synthesis.excerpts import Excerpt
from burnish.synthesis.phrases import Phrases


@dataclass(frozen=True)
class Variety:
    """How queries vary; each field is a knob that params.yaml explains."""

    kinds: list[str]
    wordings: list[str]
    personas: list[str]
    language: str
    passages_per_query: int
    companions: str

    def places(self) -> dict[str, str]:
        """The knobs in use, by the place in the prompt that each fills."""
        used = {
            "kind": ("kinds", bool(self.kinds)),
            "wording": ("wordings", bool(self.wordings)),
            "persona": ("personas", bool(self.personas)),
            "language": ("language", self.language != "document"),
            "passages": ("passages_per_query", self.passages_per_query > 1),
        }
        return {place: knob for place, (knob, in_use) in used.items() if in_use}


@dataclass(frozen=True, slots=True)
class Subject:
    """What one request is about.

    Attributes:
        excerpts: one to three; a query is answered by all of them. The first decides all choices by its hash.
        language: ISO 639 code of the queries.
        ways: kind, wording, persona and language where such a knob is in use, "with" (sha256 of each further excerpt).
    """

    excerpts: tuple[Excerpt, ...]
    language: str
    ways: Mapping[str, object]

    @property
    def first(self) -> Excerpt:
        """The excerpt that the request is named by."""
        return self.excerpts[0]

    @property
    def passage_ids(self) -> list[str]:
        """The passages that answer, each once."""
        return list(dict.fromkeys(one.passage_id for one in self.excerpts))

    def values(self, phrases: Phrases) -> dict[str, str]:
        """What the prompt's places for the ways are filled with."""
        return {
            "language": self.language,
            "kind": getattr(phrases.kinds, str(self.ways.get("kind", "any"))),
            "wording": getattr(phrases.wordings, str(self.ways.get("wording", "any"))),
            "persona": str(self.ways.get("persona", phrases.persona)),
            "passages": phrases.passages[len(self.excerpts) - 1],
        }


def subjects(excerpts: Sequence[Excerpt], languages: Mapping[str, str], variety: Variety) -> list[Subject]:
    """One subject for each excerpt, in their order.

    Kind, wording, persona and the number of passages come from a hash of what the excerpt says: the same text keeps them
    when others change, and a kind that is added takes over its share of excerpts and leaves the rest as they are.

    Args:
        excerpts: in the order of documents.
        languages: ISO 639 code of each document.
        variety: how they vary.
    """
    asked_together = _together(excerpts, languages, variety)
    return [_subject(together, languages[together[0].document_id], variety) for together in asked_together]


def chosen(options: Sequence[str], seed: str) -> str:
    """One of `options` by a hash of it and `seed` (rendezvous hashing).

    >>> seeds = [str(number) for number in range(100)]
    >>> moved = [chosen("abc", one) for one in seeds if chosen("abc", one) != chosen("ab", one)]
    >>> set(moved)
    {'c'}
    """
    return max(options, key=lambda one: hashlib.sha256(f"{one}\0{seed}".encode()).digest())


def _subject(together: tuple[Excerpt, ...], language: str, variety: Variety) -> Subject:
    seed = together[0].sha256
    knobs = {"kind": variety.kinds, "wording": variety.wordings, "persona": variety.personas}
    ways: dict[str, object] = {name: chosen(options, f"{name}\0{seed}") for name, options in knobs.items() if options}
    if variety.language != "document":
        language = variety.language
        ways["language"] = language
    if len(together) > 1:
        ways["with"] = [one.sha256 for one in together[1:]]
    return Subject(together, language, ways)


def _together(excerpts: Sequence[Excerpt], languages: Mapping[str, str], variety: Variety) -> list[tuple[Excerpt, ...]]:
    """Each excerpt with its companions: 0 to `passages_per_query` - 1 of them, by a hash of the excerpt."""
    most = variety.passages_per_query
    if most == 1:
        return [(one,) for one in excerpts]
    near = COMPANIONS[variety.companions](excerpts, languages, most - 1)
    sizes = [int(hashlib.sha256(f"passages\0{one.sha256}".encode()).hexdigest(), 16) % most for one in excerpts]
    return [(one, *near[at][: sizes[at]]) for at, one in enumerate(excerpts)]
