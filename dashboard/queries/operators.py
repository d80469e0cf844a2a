"""What operators and models cost and yield, in total and over time."""

from __future__ import annotations

from typing import Literal

from dashboard.filters import Stretch
from dashboard.queries.objectives import first_cost
from dashboard.queries.sampling import stride
from evo.lineage import LineageReader, Table
from evo.lineage.queries import quoted

By = Literal["operator", "model", "both"]
MOST_ARMS = 200
PARTS = 48
# A figure shows this many operators or models; those with fewest proposals are grouped as the others.
MOST_MAKERS = 8
OTHERS = "others"
NO_MODEL = "no model"
# The operator, the model, or both as `dashboard.words.made_by` writes them, in SQL.
MAKERS = {
    "operator": "p.operator",
    "model": f"coalesce(p.model, '{NO_MODEL}')",
    "both": "p.operator || coalesce(' with ' || p.model, '')",
}
# The reward of a bandit: 1 for entering the front at the individual's tell, 0.5 for surviving it.
REWARD = "CASE WHEN f.individual IS NOT NULL THEN 1.0 WHEN i.survived THEN 0.5 ELSE 0.0 END"
ENTERED = "(SELECT individual, tell FROM front_moves WHERE entered) f ON f.individual = i.id AND f.tell = i.tell"


def arms(reader: LineageReader, stretch: Stretch) -> Table:
    """A row for each operator and model, those with most proposals first.

    Columns operator, model, proposals, admitted, valid, improved (on the base, by the first objective), survived,
    entered_front (at its tell), reward (mean), gain (median of the improvements), largest, calls, usd, usd_each (per
    individual that entered the front), input_tokens, output_tokens, seconds, slow (median and 95th percentile of
    a completion for a proposal), evaluation_seconds (mean).
    """
    first, sign = first_cost(reader)
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
    """The results of proposals in up to PARTS + 1 stretches of equally many asks.

    Columns ask (the first), maker, proposals, valid, survived, entered_front, reward (mean), usd, seconds (median of a
    completion). The latest stretch may still be incomplete.
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
    """The outcomes of proposals: columns maker, outcome, proposals.

    Outcome is the evaluation's, or the proposal's where it became no individual.
    """
    return reader.sql(f"""
        WITH asked AS ({_asked(reader, stretch)}), {_named(by)}
        SELECT p.maker, coalesce(i.outcome, if(p.outcome = 'ok', 'under way', p.outcome)) AS outcome,
            count(*) AS proposals
        FROM named p LEFT JOIN individuals i ON i.id = p.individual GROUP BY ALL ORDER BY p.maker, outcome LIMIT 500
    """)


def _asked(reader: LineageReader, stretch: Stretch) -> str:
    """A query for the proposals of a stretch, bounded by asks, since proposals without a candidate have no tell."""
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
    """Common table expressions: the proposals with their maker, the makers with fewest proposals grouped."""
    return f"""
        makers AS (SELECT {MAKERS[by]} AS maker FROM asked p GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {MOST_MAKERS}),
        named AS (SELECT p.*, if({MAKERS[by]} IN (FROM makers), {MAKERS[by]}, '{OTHERS}') AS maker FROM asked p)
    """


def _width(reader: LineageReader, stretch: Stretch) -> int:
    """How many asks each part of a figure has."""
    first, last = reader.sql(f"SELECT min(ask), max(ask) FROM ({_asked(reader, stretch)})").rows[0]
    return stride((last or 0) - (first or 0), PARTS)
