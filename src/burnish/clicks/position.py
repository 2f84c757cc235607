"""What a click is worth at its place: clicks over expected clicks, the rate of each rank taken from the log itself.

The unit is the showing: a result of a query in a session, counted once however often it was shown or clicked, at the best
rank it had. A result's ratio is its clicks over those that an average result would have had at the same ranks (clicks over
expected clicks, COEC: Zhang and Jones, "Comparing click logs and editorial labels for training query rewriting", 2007):

    ratio = (clicks + prior x usual) / (sum over ranks of showings x rate(rank) + prior)

The published rate of a rank is its share of showings that were clicked. That is too steep where the ranking is good: good results
stand first, and what is theirs is taken for the place's (benchmarks/clicks.py compares both). Here results that were seen at several
ranks decide: given its clicks, how they fall on its ranks depends on the rates alone, whatever its relevance. Their maximum
likelihood is found by iterative scaling, in the manner of intervention harvesting (Agarwal et al., "Estimating
position bias without intrusive interventions", 2019, arXiv:1812.05161). Where no result moves, nobody can tell place from
relevance, and the rates stay where they begin: at the click rates to the power of `position_share`.

`usual` is the mean ratio at the ranks where a result stood, click rate over rate: what the ranking itself says of it.
"""

from typing import Any

import duckdb

from burnish.clicks.rule import ClickRule

_MILLI = "1000.0"  # clicks are summed in thousandths, whole numbers: the same sum in any order
_EXACT = "decimal(38, 12)"  # and products in a fixed-point type, for the same reason
_SETTLED, _MOST_ROUNDS = 1e-3, 100  # relative change of every rate at which rounds end; 20 or so do it


def count_cells(connection: duckdb.DuckDBPyConnection, rule: ClickRule) -> dict[str, Any]:
    """Make cells(curve, query, target, rank, showings, clicks, clicking): sums over sessions, clicks in thousandths.

    A log may tell the results that were shown, or clicks alone. In a search without them, a result is taken for shown if the
    user's deepest click went as far as the rank where the query's users mostly found it. Each log, and each of the two ways
    to know what was shown, is a curve with rates of its own.
    """
    connection.execute(_VALUED.format(short=rule.short_dwell_seconds, short_click=rule.short_click, earlier=rule.earlier_click))
    connection.execute(
        f"""
        create table cells as
        select curve, query, target, rank, sum(showings)::bigint as showings, sum(clicks)::bigint as clicks,
               sum(clicking)::bigint as clicking
        from ({_LISTED} union all {_INFERRED}) group by all
        """
    )
    found = connection.execute(
        f"""select sum(showings), sum(clicking), coalesce(sum(clicking) filter (rank is null), 0),
                   coalesce(sum(clicking) filter (rank > {rule.depth}), 0) from cells"""
    ).fetchone()
    connection.execute(f"delete from cells where rank is null or rank > {rule.depth}")
    counted = [int(one or 0) for one in found or [0] * 4]
    return dict(zip(("showings", "clicked", "clicked_without_rank", "clicked_beyond_depth"), counted, strict=True))


def cut_navigational(connection: duckdb.DuckDBPyConnection, rule: ClickRule) -> int:
    """Take queries that ask for one known place out of cells; their number.

    Such a query is short and the entropy of its clicks over the results (Dou, Song and Wen, 2007) is near 0 bits. A long query
    with one answer is what a search is for, and a rare one proves nothing.
    """
    cut = rule.navigational
    connection.execute(
        f"""
        create table navigational as
        with by_target as (select query, target, sum(clicking) as n from cells group by query, target),
        shares as (select query, n, sum(n) over (partition by query) as total from by_target where n > 0)
        select query from shares semi join (select query from asked join texts using (text) where words <= {cut.words}) using (query)
        group by query having max(total) >= {cut.clicks}
            and -sum((n / total * log2(n / total))::{_EXACT}) <= {cut.entropy};
        delete from cells where query in (from navigational);
        """
    )
    return _number(connection, "select count(*) from navigational")


def weigh(connection: duckdb.DuckDBPyConnection, rule: ClickRule) -> dict[str, dict[int, float]]:
    """Make pairs(query, target, showings, clicking, ratio); the rates by rank of each curve, scaled so that ratios average 1.

    Curves are named by their log's number, and "N inferred" where what was shown was inferred.
    """
    connection.execute(
        f"""
        create table ranks as
            with sums as (
                select curve, rank, sum(showings)::bigint as showings, sum(clicks)::bigint / {_MILLI} as clicks
                from cells group by curve, rank)
            select *, (clicks + 0.5) / (showings + 1) as click_rate, pow(click_rate, {rule.position_share}) as first_rate from sums;
        create table moved as from cells semi join
            (select curve, query, target from cells group by all having count(*) > 1) using (curve, query, target);
        create table rates as {_scaled("select curve, rank, first_rate as rate from ranks")};
        """
    )
    for _ in range(_MOST_ROUNDS):
        if _next_rates(connection, rule) < _SETTLED:
            break
    connection.execute(
        f"""create table pairs as
            select query, target, sum(c.showings)::bigint as showings, sum(clicking)::bigint as clicking,
                   (sum(c.clicks) / {_MILLI} + {rule.prior} * sum((c.showings * click_rate / rate)::{_EXACT}) / sum(c.showings))
                   / (sum((c.showings * rate)::{_EXACT}) + {rule.prior}) as ratio
            from cells c join rates using (curve, rank) join ranks using (curve, rank) group by query, target"""
    )
    found: dict[str, dict[int, float]] = {}
    for curve, rank, rate in connection.execute("select curve, rank, rate from rates order by curve, rank").fetchall():
        found.setdefault(f"{curve // 2}{' inferred' * (curve % 2)}", {})[rank] = rate
    return found


def _next_rates(connection: duckdb.DuckDBPyConnection, rule: ClickRule) -> float:
    """Make the rates that the results seen at several ranks imply, one round of iterative scaling; the largest relative change.

    The first rates count as `position_anchor` clicks of evidence at each rank.
    """
    anchor = rule.position_anchor
    implied = f"""
        with relevance as (
            select curve, query, target, sum(clicks) / {_MILLI} / sum((showings * rate)::{_EXACT}) as ratio
            from moved join rates using (curve, rank) group by curve, query, target),
        evidence as (
            select curve, rank, sum(clicks) / {_MILLI} as clicks, sum((showings * ratio)::{_EXACT})::double as expected
            from moved join relevance using (curve, query, target) group by curve, rank)
        select curve, rank, (coalesce(e.clicks, 0) + {anchor}) / (coalesce(expected, 0) + {anchor} / first_rate) as rate
        from ranks left join evidence e using (curve, rank)"""
    connection.execute(f"create table new_rates as {_scaled(implied)}")
    change = connection.execute(
        "select max(abs(n.rate / r.rate - 1)) from new_rates n join rates r using (curve, rank)"
    ).fetchone()
    connection.execute("drop table rates; alter table new_rates rename to rates")
    return float(change[0] or 0) if change else 0.0


def _scaled(rates: str) -> str:
    """The rates of a query, scaled so that each curve expects as many clicks as it has; one without any keeps its rates."""
    return f"""
        with unscaled as ({rates}),
        factors as (
            select curve, if(sum(clicks) > 0, sum(clicks) / sum((showings * rate)::{_EXACT}), 1) as factor
            from unscaled join ranks using (curve, rank) group by curve)
        select curve, rank, (rate * factor)::double as rate from unscaled join factors using (curve)"""


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    found = connection.execute(query).fetchone()
    return int(found[0]) if found else 0


# A click's worth: less if the user was soon back (by the log's dwell, or else by the time to the session's next click or first
# asking of another query), and less if another click of the same search came later.
_VALUED = """
    create table valued as
    with moments as (
        select session, time from clicks where time is not null union
        select session, first from searches semi join clicks using (session) where first is not null),
    following as (select session, time, lead(time) over (partition by session order by time) as after from moments)
    select c.session, query, target, rank, (1000
        * case when coalesce(dwell, (after - c.time) / 1e6) < {short} then {short_click} else 1 end
        * case when c.time < max(c.time) over (partition by c.session, query) then {earlier} else 1 end)::bigint as worth
    from clicks c left join following f on f.session = c.session and f.time = c.time
"""
_LISTED = """
    select 2 * source as curve, query, target, rank, count(*) as showings, coalesce(sum(worth), 0) as clicks, count(worth) as clicking
    from (
        select session, query, target, coalesce(min(rank) filter (worth is null), min(rank)) as rank, max(worth) as worth
        from (
            select session, query, target, rank, null::bigint as worth from impressions
            union all
            select session, query, target, rank, worth from valued semi join (from searches where listed) using (session, query))
        group by session, query, target)
    join sessions using (session) group by source, query, target, rank
"""
_INFERRED = """
    select * from (
    with found as (
        select source, v.session, query, target, min(rank) as rank, max(worth) as worth
        from valued v join sessions using (session) anti join (from searches where listed) using (session, query)
        group by source, v.session, query, target),
    deep as (select *, max(rank) over (partition by session, query) as reach from found),
    usual as (
        select source, query, target, first(rank order by n desc, rank) as rank
        from (select source, query, target, rank, count(*) as n from found where rank is not null group by all) group by all),
    reached as (select source, query, reach, count(distinct session) as n from deep where reach is not null group by all),
    passing as (
        select u.source, u.query, u.target, u.rank, sum(n) as n
        from usual u join reached r on r.source = u.source and r.query = u.query and r.reach >= u.rank group by all),
    clicking as (
        select u.source, u.query, u.target, count(*) as n from usual u
        join deep d on d.source = u.source and d.query = u.query and d.target = u.target and d.reach >= u.rank group by all)
    select 2 * source + 1 as curve, query, target, rank, count(*) as showings, sum(worth) as clicks, count(*) as clicking
    from found group by source, query, target, rank
    union all
    select 2 * p.source + 1, p.query, p.target, p.rank, p.n - c.n, 0, 0
    from passing p join clicking c using (source, query, target))
"""
