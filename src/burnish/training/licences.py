"""Licences of what a model was trained on: each source that the knobs name has one, or is said to have none stated."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict

from burnish.knobs import Knobs

NOT_STATED = "not stated"


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


def with_sources(given: Mapping[str, str], sources: Sequence[str]) -> dict[str, str]:
    """The licences as given, and NOT_STATED for every source that they lack.

    >>> with_sources({"package polars": "MIT"}, ["package polars", "search log q*"])
    {'package polars': 'MIT', 'search log q*': 'not stated'}
    """
    return dict(given) | {name: NOT_STATED for name in sources if name not in given}


def unstated(licences: Mapping[str, str]) -> list[str]:
    """The names of what has no licence stated."""
    return [name for name, licence in licences.items() if licence == NOT_STATED]
