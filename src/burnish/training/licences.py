"""Licences of what a model was made from: each source has one, or is said to have none stated."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict

from burnish.knobs import Knobs
from burnish.queries import terms

NOT_STATED = "not stated"
NOT_USED = "no source of this model"

_KINDS = (  # how the name of a source begins; other names are the user's own
    "base model ",
    "documents ",
    "package ",
    "search log ",
    "judgments ",
    "recorded replies",
    "queries written by ",
    "queries judged by ",
    "denoiser ",
    "guide ",
    "teacher ",
    "general test ",
)


class DocumentSources(Knobs):
    """Of the section `extract`, where documents come from."""

    model_config = ConfigDict(extra="ignore")
    sources: list[dict[str, Any]]


class SearchLogs(Knobs):
    """Of the section `collect`, the search logs."""

    model_config = ConfigDict(extra="ignore")
    logs: list[dict[str, Any]]


def names(documents: DocumentSources, logs: SearchLogs) -> list[str]:
    """What each source is called where its licence is told: its kind, and its path as the knobs have it.

    A package is a source of its own.

    >>> sources = [{"kind": "files", "path": "**/*.pdf"}, {"kind": "python-api", "packages": {"polars": "2.1.0"}}]
    >>> names(DocumentSources(sources=sources), SearchLogs(logs=[{"kind": "ubi", "queries": "q*", "events": "e*"}]))
    ['documents **/*.pdf', 'package polars', 'search log q*']
    """
    found: dict[str, None] = {}
    for source in documents.sources:
        packages = [f"package {name}" for name in sorted(source.get("packages", ()))]
        found |= dict.fromkeys(packages or [f"documents {source.get('path', source['kind'])}"])
    found |= dict.fromkeys(f"search log {log.get('path', log.get('queries'))}" for log in logs.logs)
    return list(found)


def of_synthesis(counts: Mapping[str, Any], *, writer: str, judge: str) -> list[str]:
    """What synthetic queries come from, by the counts of their replies: recorded ones, and those of the models that were paid.

    Queries of the passages' own words come from nothing else.

    >>> of_synthesis({"replayed": 7, "replayed_by_document": 0, "from_store": 2, "judge": {}}, writer="m", judge="j")
    ['recorded replies', 'queries written by m', 'queries judged by j']
    >>> of_synthesis({"queries": {"extractive": 9}}, writer="m", judge="j")
    []
    """
    found = {
        "recorded replies": counts.get("replayed", 0) + counts.get("replayed_by_document", 0) > 0,
        f"queries written by {writer}": counts.get("from_store", 0) > 0,
        f"queries judged by {judge}": "judge" in counts,
    }
    return [name for name, used in found.items() if used]


def of_other_models(mine: Mapping[str, Any], train: Mapping[str, Any]) -> list[str]:
    """The models whose scores the training listened to, by the knobs of `mine` and `train`; the base is told apart.

    >>> of_other_models({"denoise": {"model": "m"}}, {"guide": "base", "teacher": "t"})
    ['denoiser m', 'teacher t']
    """
    asked = {"denoiser": mine["denoise"]["model"], "guide": train["guide"], "teacher": train["teacher"]}
    return [f"{role} {model}" for role, model in asked.items() if model not in {"", "base"}]


def of_general_tests(general: Mapping[str, Any]) -> list[str]:
    """NanoBEIR's sets in the general test, by what `collect` wrote of it; each is another's work.

    >>> of_general_tests({"kind": "files", "nanobeir": {"dataset": "o/nano", "sets": ["NanoNQ"]}})
    ['general test NanoNQ']
    >>> of_general_tests({"kind": "files"})
    []
    """
    return [f"general test {name}" for name in general.get("nanobeir", {}).get("sets", ())]


def with_sources(given: Mapping[str, str], sources: Sequence[str]) -> dict[str, str]:
    """The licences as given, NOT_STATED for every source that they lack, NOT_USED with those that are left of other sources.

    So that an entry which was right for another base model says nothing of this one.

    >>> with_sources({"package polars": "MIT", "texts": "CC0"}, ["package polars", "search log q*"])
    {'package polars': 'MIT', 'texts': 'CC0', 'search log q*': 'not stated'}
    >>> with_sources({"base model other": "MIT"}, ["base model this"])
    {'base model other': 'MIT (no source of this model)', 'base model this': 'not stated'}
    """
    told = {
        name: f"{licence} ({NOT_USED})" if name.startswith(_KINDS) and name not in sources else licence
        for name, licence in given.items()
    }
    return told | {name: NOT_STATED for name in sources if name not in given}


def with_terms(stated: Mapping[str, str], general: Mapping[str, Any]) -> dict[str, str]:
    """The licences, MS MARCO's terms in words with each general test whose name, or whose data set's, says that it is of it.

    >>> general = {"nanobeir": {"dataset": "o/nano", "sets": ["NanoNQ", "NanoMSMARCO"]}}
    >>> found = with_terms(with_sources({}, of_general_tests(general)), general)
    >>> {name: licence.split(":")[0] for name, licence in found.items()}
    {'general test NanoNQ': 'not stated', 'general test NanoMSMARCO': 'not stated; MS MARCO (Microsoft)'}
    """
    marked = {name: terms.in_words(stated[name], name, general["nanobeir"]["dataset"]) for name in of_general_tests(general)}
    return {**stated, **marked}


def unstated(licences: Mapping[str, str]) -> list[str]:
    """The names of what has no licence stated."""
    return [name for name, licence in licences.items() if licence == NOT_STATED]
