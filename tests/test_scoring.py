"""From runs to figures: the keys that `dvc metrics` shows, and their arithmetic."""

import polars as pl
import pytest

from burnish.errors import InputError
from burnish.evaluation import scoring
from burnish.evaluation.scoring import Scored
from burnish.tables import PASSAGES, QRELS, QUERIES, RUNS

PASSAGE_IDS = [f"d{at}#{part}" for at in range(6) for part in range(2)]


def passages() -> pl.DataFrame:
    """Six documents of two passages."""
    rows = [(one, one.split("#")[0], 0, "", "", f"word {one}", 3) for one in PASSAGE_IDS]
    return pl.DataFrame(rows, schema=PASSAGES.columns, orient="row")


def queries(count: int = 6, split: str = "test", prefix: str = "q") -> pl.DataFrame:
    """Queries q0, q1 ..."""
    rows = [(f"{prefix}{at}", f"text {at}", "en", "curated", split) for at in range(count)]
    return pl.DataFrame(rows, schema=QUERIES.columns, orient="row")


def qrels(*rows: tuple[str, str, str]) -> pl.DataFrame:
    """Rows of query, target, unit, of grade 1."""
    return pl.DataFrame([(*row, 1, 1.0, "curated") for row in rows], schema=QRELS.columns, orient="row")


def run(system: str, ranks: list[int]) -> pl.DataFrame:
    """A run that finds query n's answer, d{n}#0, at ranks[n]; other passages stand around it."""
    rows = []
    for at, rank in enumerate(ranks):
        others = [one for one in PASSAGE_IDS if one != f"d{at}#0"]
        found = [*others[: rank - 1], f"d{at}#0", *others[rank - 1 :]]
        rows += [(system, f"q{at}", one, place, 1 - place / 100) for place, one in enumerate(found, 1)]
    return pl.DataFrame(rows, schema=RUNS.columns, orient="row")


OWN = qrels(*((f"q{at}", f"d{at}#0", "passage") for at in range(6)))
SYSTEMS = {"bm25": [3] * 6, "base": [2] * 6, "tuned": [1, 1, 1, 1, 1, 3], "base@64": [4] * 6, "tuned@64": [2] * 6}
RUNS_OF_ALL = pl.concat([run(name, ranks) for name, ranks in SYSTEMS.items()])


def test_test_queries_without_an_answer_are_told() -> None:
    """Grades of 0 alone leave nothing to measure."""
    with pytest.raises(InputError, match="none of 6 test queries has an answer"):
        scoring.scored(RUNS_OF_ALL, queries(), OWN.with_columns(grade=pl.lit(0, dtype=pl.Int8)), passages())


def found() -> Scored:
    """The five systems, scored."""
    return scoring.scored(RUNS_OF_ALL, queries(), OWN, passages())


def test_the_table_holds_full_width_systems_and_the_difference() -> None:
    """Means of each measure, and tuned against base: 5 of 6 queries from rank 2 to 1, one to rank 3."""
    table = scoring.table(found(), seed=0)
    second, third = 1 / 1.584962500721156, 1 / 2.0
    assert set(table) == {"bm25", "base", "tuned", "delta", "origin", "queries"}
    assert table["base"]["ndcg@10"] == pytest.approx(second)
    assert table["tuned"]["mrr@10"] == pytest.approx((5 + 1 / 3) / 6)
    assert table["delta"]["ndcg@10"] == pytest.approx((5 + third) / 6 - second)
    assert table["delta"]["relative"] == pytest.approx(((5 + third) / 6 - second) / second)
    assert table["delta"]["ndcg@10_low"] < table["delta"]["ndcg@10"] < table["delta"]["ndcg@10_high"]
    assert (table["delta"]["queries"], table["origin"]) == (6, "curated")


def test_no_query_gives_no_table() -> None:
    """A collection without test queries is no error here; nothing is claimed."""
    assert scoring.table(scoring.scored(RUNS_OF_ALL, queries(0), OWN, passages()), seed=0) == {}


def test_widths_tell_what_is_kept_and_what_it_costs() -> None:
    """Beside the base at the same width, in bytes of float32."""
    widths = scoring.widths(found(), 384)
    means = scoring.table(found(), seed=0)
    assert set(widths) == {"384", "64"}
    assert widths["384"]["kept"] == 1.0
    assert widths["64"]["kept"] == pytest.approx(means["base"]["ndcg@10"] / means["tuned"]["ndcg@10"])
    assert widths["64"]["base_ndcg@10"] == pytest.approx(1 / 2.321928094887362)
    assert [widths[one]["bytes_per_passage"] for one in ("384", "64")] == [1536, 256]


def test_one_judged_document_makes_all_of_it_a_matter_of_documents() -> None:
    """Another passage of a judged document counts, and a judged passage counts as its document."""
    judged = qrels(("q0", "d1", "document"), ("q1", "d1#1", "passage"))
    one = scoring.scored(run("base", [1, 1]), queries(2), judged, passages())
    assert one.values["base"]["mrr@10"].to_list() == [0.5, 1.0]  # q0: d0 first, then d1; q1: d1#0 stands for d1


def test_slices_are_of_enough_queries() -> None:
    """Four queries are seen in training, two are not: at a minimum of three only the seen ones are told."""
    trained = queries(4, "train", "t")
    all_queries = pl.concat([queries(), trained])
    judged = pl.concat([OWN, qrels(*((f"t{at}", f"d{at}#1", "passage") for at in range(4)))])
    one = scoring.scored(RUNS_OF_ALL, queries(), judged, passages())

    def slices(least: int) -> dict[str, dict[str, object]]:
        return scoring.slices(one, all_queries, judged, passages(), passages().head(0), seed=0, min_slice=least)["answers"]

    assert set(slices(2)) == {"seen", "unseen"}
    assert set(slices(3)) == {"seen"}
    seen = slices(3)["seen"]
    assert (seen["queries"], seen["tuned"], seen["delta"]) == (4, 1.0, pytest.approx(1 - 1 / 1.584962500721156))


def test_the_recall_curve_is_of_full_width_systems() -> None:
    """The base finds all answers from depth two on, none at one."""
    curve = scoring.recall_curves(found())
    assert set(curve["system"]) == {"bm25", "base", "tuned"}
    base = dict(curve.filter(pl.col("system") == "base").select("k", "recall").iter_rows())
    assert (base[1], base[2], base[100]) == (0.0, 1.0, 1.0)
