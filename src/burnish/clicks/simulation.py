"""Search logs from a known click model with a known relevance, to see whether what is read from logs is true.

Two models, both of Chuklin, Markov and de Rijke, "Click Models for Web Search" (2015). position: a result is clicked with the
probability that its rank is looked at times its relevance. cascade: people read from the top, click what looks relevant, and
stop when satisfied or tired.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from burnish.clicks import event_table, position, searches, staging
from burnish.clicks.rule import ClickRule, Columns, TableLog

_CHUNK = 100_000  # searches drawn at once
_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"

COLUMNS = Columns(
    query="query",
    target="target",
    action="action",
    user="user",
    session="session",
    rank="rank",
    timestamp="time",
    dwell="dwell",
)
Clicks = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.bool_]]


@dataclass(frozen=True)
class World:
    """What people can ask, what is there, and how the search they use ranks it.

    Attributes:
        relevance: of each query's candidates, 0 to 1; shape (queries, candidates).
        rankings: the candidates shown for each query by each version of the ranker; shape (versions, queries, depth).
    """

    relevance: NDArray[np.float64]
    rankings: NDArray[np.int16]


def world(queries: int, *, depth: int, versions: int, noise: float, seed: int) -> World:
    """A world whose ranker knows the relevance but for `noise`, half of which changes with each version.

    Args:
        queries: how many there are.
        depth: results on a page; half as many more candidates stay below it.
        versions: of the ranker; one shows each result at one rank for ever.
        noise: standard deviation of what the ranker adds to the relevance. 0 is a perfect ranker, 1 hardly better than chance.
        seed: of everything that is drawn.
    """
    draw = np.random.default_rng(seed)
    relevance = draw.beta(0.4, 1.6, (queries, depth + depth // 2))  # few good results, many poor ones
    lasting = relevance + noise * np.sqrt(0.5) * draw.standard_normal(relevance.shape)
    scores = lasting + noise * np.sqrt(0.5) * draw.standard_normal((versions, *relevance.shape))
    return World(relevance, np.argsort(-scores, axis=2)[:, :, :depth].astype(np.int16))


def looked_at(relevance: NDArray[np.float64], draw: np.random.Generator) -> NDArray[np.bool_]:
    """Clicks by the position-based model: rank r is looked at with probability 1 / r."""
    seen = 1 / np.arange(1, relevance.shape[1] + 1)
    return draw.random(relevance.shape) < relevance * seen


def cascade(relevance: NDArray[np.float64], draw: np.random.Generator) -> NDArray[np.bool_]:
    """Clicks by the cascade: after a click 7 of 10 people are satisfied, after each result 1 of 10 is tired."""
    reading = np.ones(len(relevance), dtype=bool)
    clicked = np.zeros(relevance.shape, dtype=bool)
    for rank in range(relevance.shape[1]):
        clicked[:, rank] = reading & (draw.random(len(relevance)) < relevance[:, rank])
        reading &= ~(clicked[:, rank] & (draw.random(len(relevance)) < 0.7)) & (draw.random(len(relevance)) < 0.9)
    return clicked


MODELS: Mapping[str, Clicks] = {"position": looked_at, "cascade": cascade}


def text(number: int) -> str:
    """The text of a query, without digits.

    >>> text(0), text(70)
    ('how to find ba', 'how to find daba')
    """
    syllables = []
    while True:
        number, at = divmod(number, len(_CONSONANTS) * len(_VOWELS))
        syllables.append(_CONSONANTS[at % len(_CONSONANTS)] + _VOWELS[at // len(_CONSONANTS)])
        if not number:
            return "how to find " + "".join(reversed(syllables))


def write_log(path: Path, known: World, clicks: Clicks, *, events: int, seed: int) -> int:
    """Write a table of about `events` impressions and clicks as Parquet; the number of rows.

    Queries are asked as often as Zipf's law says, each person asks some five in two sessions, and after a click on a relevant
    result people stay longer.
    """
    draw = np.random.default_rng(seed)
    count, depth = known.relevance.shape[0], known.rankings.shape[2]
    weight = np.cumsum(1 / np.arange(1, count + 1))
    texts = pa.array([text(number) for number in range(count)])
    people = max(1, events // depth // 5)
    rows = 0
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
        while rows < events:
            size = min(_CHUNK, max(1, (events - rows) // depth))
            query = np.searchsorted(weight, draw.random(size) * weight[-1])
            shown = known.rankings[draw.integers(0, len(known.rankings), size), query]
            relevance = np.take_along_axis(known.relevance[query], shown.astype(np.int64), axis=1)
            clicked = clicks(relevance, draw)
            search, rank = np.nonzero(np.ones_like(clicked))
            at, where = np.nonzero(clicked)
            long = draw.random(len(at)) < 0.2 + 0.8 * relevance[at, where]
            part = {
                "search": np.concatenate([search, at]),
                "rank": np.concatenate([rank, where]),
                "clicked": np.concatenate([np.zeros(len(search), dtype=bool), np.ones(len(at), dtype=bool)]),
                "dwell": np.concatenate([np.full(len(search), np.nan), np.where(long, 60.0, 2.0)]),
            }
            person = draw.integers(0, people, size)
            session = person * 2 + draw.integers(0, 2, size)
            writer.write_table(_table(part, texts, query, shown, person, session, rows))
            rows += len(part["search"])
    return rows


_SCHEMA = pa.schema(
    {
        "query": pa.string(),
        "user": pa.string(),
        "session": pa.string(),
        "target": pa.string(),
        "rank": pa.int32(),
        "action": pa.string(),
        "time": pa.int64(),
        "dwell": pa.float64(),
    }
)


def _table(
    part: Mapping[str, NDArray[np.generic]],
    texts: pa.Array,
    query: NDArray[np.int64],
    shown: NDArray[np.int16],
    person: NDArray[np.int64],
    session: NDArray[np.int64],
    rows: int,
) -> pa.Table:
    search, rank, clicked = part["search"].astype(np.int64), part["rank"].astype(np.int64), part["clicked"].astype(bool)
    asked = query[search]
    frame = pl.DataFrame(
        {
            "user": person[search],
            "session": session[search],
            "place": asked,
            "candidate": shown[search, rank],
            "rank": (rank + 1).astype(np.int32),
            "clicked": clicked,
            "time": 1_700_000_000_000 + (rows + search) * 1000 + np.where(clicked, 2000 + 3000 * rank, 0),
            "dwell": part["dwell"].astype(np.float64),
        }
    ).select(
        user="user-" + pl.col("user").cast(pl.String),
        session="session-" + pl.col("session").cast(pl.String),
        target=pl.format("{}/{}", "place", "candidate"),
        rank="rank",
        action=pl.when("clicked").then(pl.lit("click")).otherwise(pl.lit("impression")),
        time="time",
        dwell=pl.col("dwell").fill_nan(None),
    )
    return frame.to_arrow().append_column("query", texts.take(pa.array(asked))).select(_SCHEMA.names).cast(_SCHEMA)


def recovered(path: Path, scratch: Path, rule: ClickRule) -> pl.DataFrame:
    """What a simulated log says of each pair: key, target, showings, clicking, ratio."""
    log = TableLog(kind="table", path=path.name, columns=COLUMNS, language="en")
    with staging.connected(rule) as connection:
        staged = event_table.staged(connection, log, 0, path.parent, scratch, rule)
    with searches.connected(rule, scratch / "spill") as connection:
        searches.load(connection, [staged])
        searches.keep(connection, rule)
        position.count_cells(connection, rule)
        position.weigh(connection, rule)
        return _pairs(connection)


def _pairs(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    found = connection.sql(
        """select key, t.target, showings, clicking, ratio from pairs p join targets t on t.id = p.target
           join (select distinct query, key from asked) using (query) order by key, t.target"""
    )
    return pl.from_arrow(found.to_arrow_table())  # type: ignore[return-value]


def agreement(found: pl.DataFrame, known: World, score: pl.Expr) -> float:
    """Kendall's tau-a between `score` and the true relevance of the results of a query, averaged over the queries.

    Of all pairs of results, the share that stands in the right order less the share in the wrong one. Truth has no ties, so a
    tie of the score is half right; tau-b would leave ties out and reward a score that ties whatever it does not know.

    Args:
        found: of `recovered`.
        known: the world that the log came from.
        score: an expression over the columns of `found`.
    """
    place = pl.col("target").str.split("/").cast(pl.List(pl.Int64))
    frame = found.select("key", score.round(12).alias("score"), query=place.list.get(0), candidate=place.list.get(1))
    truth = known.relevance[frame["query"].to_numpy(), frame["candidate"].to_numpy()]
    grouped = frame.with_columns(truth=truth).group_by("key", maintain_order=True).agg("score", "truth")
    taus = []
    for _, scores, truths in grouped.iter_rows():
        one, other = np.triu_indices(len(scores), 1)
        mine, real = np.array(scores), np.array(truths)
        if len(one):
            taus.append(np.mean(np.sign(mine[one] - mine[other]) * np.sign(real[one] - real[other])))
    return float(np.mean(taus))
