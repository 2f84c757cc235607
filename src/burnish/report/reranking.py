"""What a reranker gains over the tuned model, and what it costs, in a sentence."""

from collections.abc import Mapping
from typing import Any

from burnish.evaluation.measures import MAIN
from burnish.evaluation.scoring import RERANKED
from burnish.report.formatting import interval, number, signed


def sentence(reranker: Mapping[str, Any], latency: Mapping[str, Any]) -> str:
    """The sentence; empty where there is no reranker.

    Args:
        reranker: reranker.json.
        latency: latency.json.
    """
    if not reranker["on"]:
        return ""
    test = reranker["test"]
    delta = test["delta"]
    low, high = delta[f"{MAIN}_low"], delta[f"{MAIN}_high"]
    outcome = "helps" if low > 0 else "does harm" if high < 0 else "is not shown to help"
    search, again = latency["search"], latency["reranker"]
    return (
        f"A reranker over the tuned model's first {reranker['training']['depth']} passages {outcome}: nDCG@10 from "
        f"{number(test['tuned'][MAIN])} to {number(test[RERANKED][MAIN])}, {signed(delta[MAIN])} (95 % interval "
        f"{interval(low, high)}), on {delta['queries']} queries; it takes {again['median_ms']:,.0f} ms a query (95th percentile "
        f"{again['p95_ms']:,.0f} ms) beside the search's {search['median_ms']:,.0f} ms ({latency['device']})."
    )
