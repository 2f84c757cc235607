"""Shown right: logs from a known click model give the known relevance back, better than raw click-through does."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import clicklog
from burnish.clicks import simulation
from burnish.clicks.rule import ClickRule

RAW, RATIO = pl.col("clicking") / pl.col("showings"), pl.col("ratio")


def rule(**changes: object) -> ClickRule:
    """The shipped rule for simulated people, who are few and busy."""
    robots = {"queries": 10_000, "clicks": 100_000, "queries_per_minute": 1e9}
    return clicklog.rule(**({"min_users": 5, "min_impressions": 10, "min_clicks": 2, "robots": robots} | changes))


@pytest.mark.parametrize("model", simulation.MODELS)
@pytest.mark.parametrize("versions", [1, 3])
@pytest.mark.parametrize(
    ("noise", "gain"), [(0.4, 0.02), *(pytest.param(*one, marks=pytest.mark.deep) for one in ((0.2, 0.0), (0.7, 0.02)))]
)
def test_what_is_read_agrees_better_than_raw_clicks(
    tmp_path: Path, noise: float, gain: float, model: str, versions: int
) -> None:
    """Better the longer the log, with good, fair and poor rankers; of a poor one a short log tells no more than raw clicks do."""
    known = simulation.world(200, depth=10, versions=versions, noise=noise, seed=1)
    taus = []
    for events in (20_000, 300_000):
        simulation.write_log(tmp_path / "log.parquet", known, simulation.MODELS[model], events=events, seed=2)
        found = simulation.recovered(tmp_path / "log.parquet", tmp_path, rule())
        raw, ratio = (simulation.agreement(found, known, score) for score in (RAW, RATIO))
        print(f"{model}, noise {noise}, {versions} versions, {events} events: raw {raw:.3f}, burnish {ratio:.3f}")
        taus.append((ratio, raw))
    (short, raw_short), (long, raw_long) = taus
    assert long > max(short, raw_long + gain)
    assert short > (raw_short if noise < 0.7 else raw_short - 0.05)


def test_a_perfect_score_agrees_perfectly() -> None:
    """Truth with itself is 1, its reverse -1, and a score that knows nothing 0."""
    known = simulation.world(3, depth=4, versions=1, noise=0.5, seed=1)
    pairs = [(f"q{query}", f"{query}/{at}", float(known.relevance[query, at])) for query in range(3) for at in range(6)]
    found = pl.DataFrame(pairs, schema=["key", "target", "truth"], orient="row")
    for score, tau in ((pl.col("truth"), 1.0), (-pl.col("truth"), -1.0), (pl.col("truth") * 0, 0.0)):
        assert simulation.agreement(found, known, score) == tau


@pytest.mark.parametrize("model", simulation.MODELS)
def test_clicks_are_those_of_the_model(model: str) -> None:
    """Rank 1 is clicked as often as its relevance says; lower ranks as often as they are looked at."""
    relevance = np.tile([0.5, 0.5, 0.5], (200_000, 1))
    rates = simulation.MODELS[model](relevance, np.random.default_rng(1)).mean(axis=0)
    going_on = (1 - 0.5 * 0.7) * 0.9
    expected = {"position": [0.5, 0.25, 0.5 / 3], "cascade": [0.5, 0.5 * going_on, 0.5 * going_on**2]}
    assert rates == pytest.approx(expected[model], rel=0.02)


def test_a_log_is_as_long_as_asked_for(tmp_path: Path) -> None:
    """About so many rows, impressions and clicks together, each session with one user."""
    known = simulation.world(10, depth=5, versions=2, noise=0.4, seed=1)
    rows = simulation.write_log(tmp_path / "log.parquet", known, simulation.cascade, events=3000, seed=2)
    log = pl.read_parquet(tmp_path / "log.parquet")
    assert log.height == rows
    assert 3000 <= rows < 3500
    assert set(log["action"]) == {"click", "impression"}
    assert log.group_by("session").agg(pl.col("user").n_unique())["user"].max() == 1
