"""What operators and models took and gave, in all and over time."""

from __future__ import annotations

from typing import Literal

from dashboard.filters import Stretch
from dashboard.queries.history import objectives
from evo.lineage import LineageReader, Table
from evo.lineage.queries import quoted

By = Literal["operator", "model", "both"]
MOST_ARMS = 200
PARTS = 48
# What a figure tells apart; those that proposed least are the others together.
MOST_MAKERS = 8
OTHERS = "others"
NO_MODEL = "no model"
# As the dashboard says who made something.
MAKERS = {
    "operator": "p.operator",
    "model": f"coalesce(p.model, '{NO_MODEL}')",
    "both": "p.operator || coalesce(' with ' || p.model, '')",
}
# What a bandit is rewarded with: 1 for entering the front at its tell, 0.5 for surviving it.
REWARD = "CASE WHEN f.individual IS NOT NULL THEN 1.0 WHEN i.survived THEN 0.5 ELSE 0.0 END"
ENTERED = "(SELECT individual, tell FROM front_moves WHERE entered) f ON f.individual = i.id AND f.tell = i.tell"


def arms(reader: LineageReader, stretch: Stretch) -> Table:
    """A row an operator and model, those that proposed most first.

    Columns operator, model, proposals, admitted, valid, improved (on their base, by the first objective), survived,
    entered_front (at their tell), reward (mean), gain (median of those that improved), largest, calls, usd,
    usd_each (for one that entered the front), input_tokens, output_tokens, seconds, slow (median and 95th percentile of
    a completion for a proposal), evaluation_seconds (mean).
    """
    named = objectives(reader)
    first, sign = (named[0][0], 1 if named[0][1] == "min" else -1) if named else ("", 1)
    return reader.sql(f"""
        WITH asked AS ({_asked(reader, stretch)}),
        first AS (SELECT individual, value FROM objectives WHERE name = {quoted(first)}),
        gains AS (SELECT b.child, {sign} * (o.value - n.value) AS gain FROM parents b
            JOIN first n ON n.individual = b.child JOIN first o ON o.individual = b.parent WHERE b.role = 'base'),
        came AS (
            SELECT p.operator, p.model, count(*) AS proposals, count(*) FILTER (p.outcome = 'ok') AS admitted,
                count(*) FILTER (i.outcome = 'ok') AS valid, count(*) FILTER (g.gain > 0) AS improved,
                count(*) FILTER (i.survived) AS survived, count(f.individual) AS entered_front,
                avg({REWARD}) AS reward, median(g.gain) FILTER (g.gain > 0) AS gain,
                max(g.gain) FILTER (g.gain > 0) AS largest, avg(e.seconds) AS evaluation_seconds
            FROM asked p LEFT JOIN individuals i ON i.id = p.individual LEFT JOIN {ENTERED}
            LEFT JOIN gains g ON g.child = i.id
            LEFT JOIN (SELECT individual, seconds FROM evaluations WHERE stage = 'train' AND attempt = 0) e
                ON e.individual = i.id
            GROUP BY ALL
        ), took AS (
            SELECT p.operator, p.model, count(*) AS calls, sum(c.cost_usd) AS usd,
                sum(c.input_tokens)::BIGINT AS input_tokens, sum(c.output_tokens)::BIGINT AS output_tokens,
                quantile_cont(c.seconds, [0.5, 0.95])
                    FILTER (c.stage = 'proposal' AND c.outcome <> 'cancelled') AS lasted
            FROM (SELECT ask, stage, outcome, cost_usd, input_tokens, output_tokens, seconds FROM completions
                WHERE stage <> 'final') c JOIN asked p USING (ask) GROUP BY ALL
        )
        SELECT c.operator, c.model, c.proposals, c.admitted, c.valid, c.improved, c.survived, c.entered_front, c.reward,
            c.gain, c.largest, t.calls, t.usd, t.usd / nullif(c.entered_front, 0) AS usd_each, t.input_tokens,
            t.output_tokens, t.lasted[1] AS seconds, t.lasted[2] AS slow, c.evaluation_seconds
        FROM came c LEFT JOIN took t ON t.operator = c.operator AND t.model IS NOT DISTINCT FROM c.model
        ORDER BY c.proposals DESC, c.operator, c.model LIMIT {MOST_ARMS}
    """)


def over_time(reader: LineageReader, stretch: Stretch, by: By) -> Table:
    """What came of proposals in up to 2 * PARTS stretches of equally many asks.

    Columns ask (the first), maker, proposals, valid, survived, entered_front, reward (mean), usd, seconds (median of a
    completion). A stretch of which little has come in yet is there as well.
    """
    width = _width(reader, stretch)
    return reader.sql(f"""
        WITH asked AS ({_asked(reader, stretch)}), {_named(by)},
        came AS (
            SELECT {width} * (p.ask // {width}) AS ask, p.maker, count(*) AS proposals,
                count(*) FILTER (i.outcome = 'ok') AS valid, count(*) FILTER (i.survived) AS survived,
                count(f.individual) AS entered_front, avg({REWARD}) AS reward
            FROM named p LEFT JOIN individuals i ON i.id = p.individual LEFT JOIN {ENTERED} GROUP BY ALL
        ), took AS (
            SELECT {width} * (p.ask // {width}) AS ask, p.maker, sum(c.cost_usd) AS usd,
                median(c.seconds) FILTER (c.stage = 'proposal' AND c.outcome <> 'cancelled') AS seconds
            FROM (SELECT ask, stage, outcome, cost_usd, seconds FROM completions WHERE stage <> 'final') c
            JOIN named p USING (ask) GROUP BY ALL
        )
        SELECT c.*, coalesce(t.usd, 0) AS usd, t.seconds
        FROM came c LEFT JOIN took t ON t.ask = c.ask AND t.maker = c.maker ORDER BY c.ask, c.maker
    """)


def outcomes(reader: LineageReader, stretch: Stretch, by: By) -> Table:
    """What became of proposals: columns maker, outcome, proposals.

    Outcome is the proposal's where it became no individual, else the evaluation's.
    """
    return reader.sql(f"""
        WITH asked AS ({_asked(reader, stretch)}), {_named(by)}
        SELECT p.maker, coalesce(i.outcome, if(p.outcome = 'ok', 'under way', p.outcome)) AS outcome,
            count(*) AS proposals
        FROM named p LEFT JOIN individuals i ON i.id = p.individual GROUP BY ALL ORDER BY p.maker, outcome LIMIT 500
    """)


def _asked(reader: LineageReader, stretch: Stretch) -> str:
    """The proposals of a stretch, as a query; those that came to nothing have no tell, so asks bound them."""
    island = f" AND island = {stretch.island:d}" if stretch.island is not None else ""
    bounds = "true"
    if stretch.first or stretch.last is not None:
        ends = reader.sql(
            "SELECT min(p.ask), max(p.ask) FROM proposals p JOIN individuals i ON i.id = p.individual "
            f"WHERE {stretch.tells('i.tell')}"
        ).rows[0]
        bounds = f"ask BETWEEN {ends[0]:d} AND {ends[1]:d}" if ends[0] is not None else "false"
    return f"SELECT ask, operator, model, outcome, individual FROM proposals WHERE {bounds}{island}"


def _named(by: By) -> str:
    """Part of a query: the asked with their maker, those that proposed least as one."""
    return f"""
        makers AS (SELECT {MAKERS[by]} AS maker FROM asked p GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {MOST_MAKERS}),
        named AS (SELECT p.*, if({MAKERS[by]} IN (FROM makers), {MAKERS[by]}, '{OTHERS}') AS maker FROM asked p)
    """


def _width(reader: LineageReader, stretch: Stretch) -> int:
    """How many asks a stretch has: a power of two, so that stretches stay where they are while a run grows."""
    first, last = reader.sql(f"SELECT min(ask), max(ask) FROM ({_asked(reader, stretch)})").rows[0]
    return 1 << max(0, (((last or 0) - (first or 0)) // PARTS)).bit_length()
