"""Failures: evaluations without a result, proposals without a candidate, completions without a reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dashboard.filters import Stretch
from dashboard.queries import completions
from dashboard.queries.moments import Span, during, span
from evo.lineage import LineageReader, Table
from evo.lineage.queries import quoted

SOURCES = ("evaluation", "proposal", "completion")
PARTS = 80
# Messages are read from the latest failures: those can still be acted on.
RECENT = 50_000
MESSAGES, LISTED, ARMS, MOST_EVALUATIONS = 60, 100, 20, 50
SAID = 4000
LINE = 300
# What differs between messages that say the same, and what replaces it; applied in this order.
VARIABLE_PARTS = (
    (r"\s+", " "),
    (r"\w+://[^\s'\")>]+", "URL"),
    (r"(^|\W)('[^']*'|\"[^\"]*\"|`[^`]*`)", r"\1'...'"),
    (r"(^|[^\w/])(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][\w.+@%~-]+)+", r"\1PATH"),
    (r"[\w.-]+/[\w./-]*\.\w+", "PATH"),
    (r"0[xX][0-9a-fA-F]+", "N"),
    (r"[0-9]+(?:[.,_][0-9]+)*(?:[eE][-+]?[0-9]+)?", "N"),
    (r"(^|[\s(\[=,:])[-+]N", r"\1N"),
    (r"N(?:, ?N)+", "N, ..."),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many evaluations, proposals or completions there were, and how many of them failed."""

    source: str
    all: int
    failed: int


@dataclass(frozen=True, slots=True)
class FailedAsk:
    """All that is known of an ask with a failure.

    Attributes:
        proposal: column to value of its row in `proposals`.
        evaluations: columns attempt, stage, outcome, seconds, worker, node, feedback.
        completions: as `completions.of_ask` has them.
    """

    ask: int
    proposal: dict[str, Any]
    evaluations: Table
    completions: Table


def counts(reader: LineageReader, stretch: Stretch) -> tuple[Counts, ...]:
    """Totals and failures by source."""
    found = reader.sql(f"""
        SELECT 'evaluation', count(*), count(*) FILTER ({_failed("evaluation", "e")})
        FROM evaluations e {_individuals(stretch)}
        UNION ALL SELECT 'proposal', count(*), count(*) FILTER ({_failed("proposal", "p")})
        FROM proposals p WHERE {_proposals(stretch)}
        UNION ALL SELECT 'completion', count(*), count(*) FILTER ({_failed("completion", "c")})
        FROM completions c {_completions(stretch)}
    """).rows
    return tuple(sorted((Counts(*row) for row in found), key=lambda count: SOURCES.index(count.source)))


def over_time(reader: LineageReader, stretch: Stretch) -> tuple[Span | None, Table]:
    """Failures in equal parts of the time: columns source, outcome, began (of the part), failures."""
    over = span(reader, stretch, parts=PARTS)
    if over is None:
        return None, Table(("source", "outcome", "began", "failures"), ())
    table = reader.sql(f"""
        WITH failures AS ({_failures(stretch)})
        SELECT source, outcome, {over.began(over.part("epoch(happened)"))} AS began, count(*) AS failures
        FROM failures GROUP BY ALL ORDER BY source, outcome, began
    """)
    return over, table


def by_arm(reader: LineageReader, stretch: Stretch) -> Table:
    """How asks ended: columns operator, model, source, outcome, asks.

    An ask whose offspring was evaluated ends with the evaluation's outcome, any other with its proposal's. At most ARMS
    operators and models, those with most failures.
    """
    return reader.sql(f"""
        WITH ends AS (
            SELECT p.operator, coalesce(p.model, '') AS model,
                if(p.outcome = 'ok', 'evaluation', 'proposal') AS source,
                if(p.outcome = 'ok', i.outcome, p.outcome) AS outcome, count(*) AS asks
            FROM proposals p LEFT JOIN individuals i ON i.id = p.individual
            WHERE (p.outcome <> 'ok' OR i.outcome IS NOT NULL) AND {_proposals(stretch)} GROUP BY ALL
        ), worst AS (
            SELECT operator, model FROM ends GROUP BY ALL
            ORDER BY sum(asks) FILTER (outcome NOT IN ('ok', 'pruned')) DESC NULLS LAST, sum(asks) DESC, operator,
                model LIMIT {ARMS}
        )
        SELECT e.* FROM ends e JOIN worst w USING (operator, model) ORDER BY operator, model, source, asks DESC
    """)


def messages(reader: LineageReader, stretch: Stretch, source: str | None) -> Table:
    """The messages of the latest RECENT failures, those that say the same grouped, the most frequent first.

    Columns key, source, message, outcomes, failures, share, first, last, example.
    """
    return reader.sql(f"""
        WITH {_keyed(stretch, source)}
        SELECT key, source, message, string_agg(DISTINCT outcome, ', ' ORDER BY outcome) AS outcomes,
            count(*) AS failures, count(*) / sum(count(*)) OVER () AS share, min(happened) AS first,
            max(happened) AS last, arg_max(line, happened) AS example
        FROM keyed GROUP BY key, source, message ORDER BY failures DESC, last DESC, key LIMIT {MESSAGES}
    """)


def listed(reader: LineageReader, stretch: Stretch, source: str | None, key: str | None) -> Table:
    """The latest failures, at most LISTED; only those with the message of that key if a key is given.

    Columns ask, individual, source, outcome, operator, model, happened, message (its line).
    """
    chosen = f"WHERE key = {quoted(key)}" if key else ""
    return reader.sql(f"""
        WITH {_keyed(stretch, source)},
        latest AS (SELECT * FROM keyed {chosen} ORDER BY happened DESC, individual DESC, ask DESC LIMIT {LISTED})
        SELECT coalesce(l.ask, p.ask) AS ask, coalesce(l.individual, p.individual) AS individual, l.source, l.outcome,
            l.operator, l.model, l.happened, l.line AS message
        FROM latest l LEFT JOIN (
            SELECT ask, individual FROM proposals WHERE individual IN (SELECT individual FROM latest WHERE ask IS NULL)
        ) p ON p.individual = l.individual
        ORDER BY l.happened DESC, ask DESC
    """)


def failed_ask(reader: LineageReader, ask: int) -> FailedAsk | None:
    """An ask in full; None where nothing is known of it."""
    found = reader.sql("FROM proposals WHERE ask = ? LIMIT 1", [ask])
    exchanged = completions.of_ask(reader, ask)
    if not found.rows and not exchanged.rows:
        return None
    proposal = dict(zip(found.columns, found.rows[0], strict=True)) if found.rows else {}
    evaluations = reader.sql(
        "SELECT attempt, stage, outcome, seconds, worker, node, isolation, feedback FROM evaluations "
        f"WHERE individual = ? ORDER BY stage = 'train' DESC, attempt LIMIT {MOST_EVALUATIONS}",
        [proposal.get("individual")],
    )
    return FailedAsk(ask, proposal, evaluations, exchanged)


def generalised(text: str) -> str:
    """A line of a message without numbers, paths and names, so that similar messages are the same; in SQL."""
    for pattern, instead in VARIABLE_PARTS:
        text = f"regexp_replace({text}, {quoted(pattern)}, {quoted(instead)}, 'g')"
    return f"trim({text})"


def line(text: str) -> str:
    """The line of a message that names the fault, in SQL.

    Of a traceback the last line, or the line after its last frame where the exception has several; else the first line.
    """
    bare = f"trim({text}, chr(10) || chr(13) || ' ')"
    raised = rf"regexp_extract({bare}, '(?s)^.*\n[ \t]+[^\n]*\n([^ \t\n][^\n]*)', 1)"
    last, first = rf"regexp_extract({bare}, '([^\n]*)$', 1)", rf"regexp_extract({bare}, '^([^\n]*)', 1)"
    traceback = f"CASE WHEN {raised} <> '' THEN {raised} ELSE {last} END"
    return f"left(CASE WHEN contains({text}, 'Traceback') THEN {traceback} ELSE {first} END, {LINE})"


def _keyed(stretch: Stretch, source: str | None) -> str:
    """Common table expressions that end in `keyed`: failures with their line, their message and its key."""
    chosen = f"WHERE source = {quoted(source)}" if source else ""
    return f"""
        failures AS ({_failures(stretch)}),
        recent AS (SELECT * FROM failures {chosen} ORDER BY happened DESC LIMIT {RECENT}),
        lines AS (SELECT *, {line("said")} AS line FROM recent),
        named AS (SELECT *, coalesce(nullif({generalised("line")}, ''), 'no message') AS message FROM lines),
        keyed AS (SELECT *, left(md5(source || message), 10) AS key FROM named)
    """


def _failures(stretch: Stretch) -> str:
    """All failures: columns source, outcome, operator, model, happened, said, ask (or NULL), individual (or NULL)."""
    return f"""
        SELECT 'evaluation' AS source, e.outcome, i.operator, i.model, greatest(i.told_at, e.started) AS happened,
            right(e.feedback, {SAID}) AS said, NULL::BIGINT AS ask, e.individual
        FROM (FROM evaluations e WHERE {_failed("evaluation", "e")}) e JOIN individuals i ON i.id = e.individual
        WHERE {stretch.individuals()}
        UNION ALL
        SELECT 'proposal', p.outcome, p.operator, p.model, p.proposed, left(p.thought, {SAID}), p.ask, p.individual
        FROM proposals p WHERE {_failed("proposal", "p")} AND {_proposals(stretch)}
        UNION ALL
        SELECT 'completion', c.outcome, coalesce(p.operator, c.purpose), c.model, c.completed, left(c.error, {SAID}),
            c.ask, p.individual
        FROM (FROM completions c WHERE {_failed("completion", "c")}) c LEFT JOIN proposals p ON p.ask = c.ask
        WHERE {during(stretch, "c.completed")}{_on_island(stretch, "p")}
    """


def _failed(source: str, table: str) -> str:
    """The condition of a failure, in SQL. Pruned evaluations are none, nor are replies that cannot be used."""
    fine = {"evaluation": "'ok', 'pruned'", "proposal": "'ok'", "completion": "'ok', 'truncated', 'empty'"}
    return f"{table}.outcome NOT IN ({fine[source]})"


def _individuals(stretch: Stretch) -> str:
    if stretch.is_whole:
        return ""
    return f"JOIN individuals i ON i.id = e.individual WHERE {stretch.individuals()}"


def _proposals(stretch: Stretch) -> str:
    return during(stretch, "p.proposed") + _on_island(stretch, "p")


def _completions(stretch: Stretch) -> str:
    join = "LEFT JOIN proposals p ON p.ask = c.ask" if stretch.island is not None else ""
    return f"{join} WHERE {during(stretch, 'c.completed')}{_on_island(stretch, 'p')}"


def _on_island(stretch: Stretch, table: str) -> str:
    return f" AND {table}.island = {stretch.island:d}" if stretch.island is not None else ""
