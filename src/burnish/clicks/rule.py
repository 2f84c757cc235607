"""What the knobs of search logs say: where logs lie, and what a click has to prove."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from burnish.knobs import Knobs
from burnish.queries.judgments import Shares
from burnish.records import Language

Name = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class UbiLog(Knobs):
    """A log in the User Behavior Insights schema, 1.0 to 1.3: lines of queries and lines of events; one file may hold both."""

    kind: Literal["ubi"]
    queries: Name  # globs below the logs folder
    events: Name
    language: Language


class Columns(Knobs):
    """The columns of an event table; null for what it does not tell."""

    query: Name
    target: Name
    action: Name | None  # without it every row is a click
    user: Name | None
    session: Name | None
    rank: Name | None
    timestamp: Name | None
    dwell: Name | None  # seconds

    @model_validator(mode="after")
    def tell_people_apart(self) -> "Columns":
        """At least one of user and session: without them nobody can say how many people asked."""
        if self.user is None and self.session is None:
            raise ValueError("name a column for `user` or for `session`: without either nobody can count who asked")
        return self


class TableLog(Knobs):
    """A table of events: .csv, .tsv, .jsonl (or .ndjson), each perhaps .gz, or .parquet."""

    kind: Literal["table"]
    path: Name
    columns: Columns
    language: Language


Log = Annotated[UbiLog | TableLog, Field(discriminator="kind")]


class Robots(Knobs):
    """What no person does in one session."""

    queries: Annotated[int, Field(ge=1)]
    clicks: Annotated[int, Field(ge=1)]
    queries_per_minute: Annotated[float, Field(gt=0)]


class Navigational(Knobs):
    """Queries that ask for one known place."""

    entropy: Annotated[float, Field(ge=0)]
    words: Annotated[int, Field(ge=0)]
    clicks: Annotated[int, Field(ge=1)]


class Grades(Knobs):
    """Ratios of clicks over expected clicks at which a result is no answer, a partial and a full one."""

    none: Annotated[float, Field(ge=0)]
    partial: Annotated[float, Field(gt=0)]
    full: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def in_order(self) -> "Grades":
        """None below partial, partial at most full."""
        if not self.none < self.partial <= self.full:
            raise ValueError(f"expected none < partial <= full, found {self.none}, {self.partial}, {self.full}")
        return self


class ClickRule(Knobs):
    """How events become graded pairs; params.yaml explains each knob."""

    click_actions: Annotated[list[Name], Field(min_length=1)]
    impression_actions: list[Name]
    depth: Annotated[int, Field(ge=1, le=1000)]
    memory_gb: Annotated[float, Field(ge=0.5)]
    max_malformed_share: Share
    max_unknown_share: Share
    min_users: Annotated[int, Field(ge=1)]
    personal: Literal["mask", "drop"]
    max_digits: Annotated[int, Field(ge=4, le=30)]
    max_characters: Annotated[int, Field(ge=1, le=10_000)]
    robots: Robots
    short_dwell_seconds: Annotated[float, Field(ge=0)]
    short_click: Share
    earlier_click: Share
    position_share: Share
    position_anchor: Annotated[float, Field(gt=0)]
    prior: Annotated[float, Field(gt=0)]
    min_impressions: Annotated[int, Field(ge=1)]
    min_clicks: Annotated[int, Field(ge=1)]
    navigational: Navigational
    grades: Grades
    max_queries: Annotated[int, Field(ge=1)]
    shares: Shares
