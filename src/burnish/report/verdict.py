"""The verdict: what the numbers allow to say about a fine-tuned model, in sentences."""

from dataclasses import dataclass

from burnish.report.comparison import WRITTEN, Comparison
from burnish.report.formatting import clean, interval, number, signed

ALLOWED_FALL = 0.01  # of the general set's nDCG@10; DESIGN.md's bound for "general language was kept"


@dataclass(frozen=True)
class Verdict:
    """Did it help, was general language kept, what to do next; and systems that are better than tuned, with nDCG@10."""

    outcome: str  # better, worse, open: the page's colour and mark
    helped: str
    general: str
    following: str
    ahead: tuple[tuple[str, str], ...]


def verdict(test: Comparison, general: Comparison | None) -> Verdict:
    """What the numbers allow to say, by the 95 % interval of tuned minus base and the bound on the general fall."""
    main = test.main
    outcome = "better" if (main.low or 0) > 0 else "worse" if (main.high or 0) < 0 else "open"
    kept = None if general is None else _kept(general)
    return Verdict(outcome, _helped(test, outcome), _general(general), _following(test, outcome, kept=kept), _ahead(test))


def _helped(test: Comparison, outcome: str) -> str:
    row = test.main
    said = {
        "better": f"Fine-tuning helped: {row.measure} rose from",
        "worse": f"Fine-tuning did harm: {row.measure} fell from",
        "open": f"No effect of fine-tuning is shown: {row.measure} went from",
    }[outcome]
    relative = "" if test.relative is None else f"{test.relative:+.0%} relative; ".replace("-", "−").replace("%", " %")
    queries = f"{test.queries} queries of the {test.label}{WRITTEN.get(test.origin, '')}"
    ends = f"{number(row.values['base'])} to {number(row.values['tuned'])}"
    apart = f"{signed(row.difference)} ({relative}95 % interval {interval(row.low, row.high)})"
    return f"{said} {ends}, {apart}, on {queries}."


def _kept(general: Comparison) -> bool:
    return general.main.difference >= -ALLOWED_FALL


def _general(general: Comparison | None) -> str:
    if general is None:
        return "Whether general language was kept was not tested: there are no general test queries."
    row = general.main
    apart = f"{signed(row.difference, 4)} (95 % interval {interval(row.low, row.high, 4)})"
    change = f"{row.measure} {apart} on {general.queries} general queries"
    if not _kept(general):
        return f"General language was not kept: {change}, more than the allowed fall of {ALLOWED_FALL}."
    if (row.low or 0) < -ALLOWED_FALL:
        return f"General language was kept as far as these queries show: {change}; the allowed fall is {ALLOWED_FALL}."
    return f"General language was kept: {change}; the allowed fall is {ALLOWED_FALL}."


def _following(test: Comparison, outcome: str, *, kept: bool | None) -> str:
    if outcome == "worse":
        return (
            "Next: do not deploy; read the most damaged queries below, then check the passages, the share of false "
            "negatives and the learning rate."
        )
    if kept is False:
        return "Next: do not deploy; raise `mix.general_share` or lower `train.interpolation`, and train again."
    if outcome == "open":
        shown = "no difference" if test.detectable is None else f"only a difference of {number(test.detectable)} or more"
        return f"Next: more judgments before any decision; {test.queries} queries can show {shown}."
    if test.synthetic:
        return (
            "Next: judge real queries before deploying (`burnish doctor` says how many); a synthetic test cannot stand "
            "for users."
        )
    if kept is None:
        return "Next: add general test queries before deploying, or deploy where only domain queries come."
    return "Next: deploy."


def _ahead(test: Comparison) -> tuple[tuple[str, str], ...]:
    values = test.main.values
    return tuple((clean(one, 40), number(values[one])) for one in test.systems if values[one] > values["tuned"])
