"""What a person has to know of a run before its best is believed: nothing feasible, nothing better, most failed."""

from __future__ import annotations

from collections.abc import Iterator

from evo.lineage.reading import LineageReader

MOST = 0.5
SHOWN_CHARACTERS = 160

_FEASIBLE = """
SELECT count(*), count(*) FILTER (violation > 0), min(violation), arg_min(individual, (violation, individual))
FROM evaluations WHERE stage = 'train' AND attempt = 0 AND outcome = 'ok'
"""
_BETTER = """
SELECT count(*) FILTER (operator <> 'seed'),
    count(*) FILTER (operator <> 'seed' AND id IN (SELECT individual FROM front_moves WHERE entered))
FROM individuals WHERE outcome = 'ok'
"""
_FAILED = """
SELECT outcome, count(*), mode(feedback) FROM evaluations
WHERE stage = 'train' AND attempt = 0 AND outcome NOT IN ('ok', 'pruned')
GROUP BY outcome ORDER BY count(*) DESC, outcome
"""


def remarks(reader: LineageReader) -> list[str]:
    """Sentences about a whole run; [] where all is as one expects."""
    evaluated = reader.sql("SELECT count(*) FROM individuals").scalar()
    return [*_failures(reader, evaluated), *_feasibility(reader), *_improvement(reader)] if evaluated else []


def _failures(reader: LineageReader, evaluated: int) -> Iterator[str]:
    rows = reader.sql(_FAILED).rows
    failed = sum(count for _, count, _ in rows)
    if failed <= MOST * evaluated:
        return
    kinds = ", ".join(f"{count} {outcome}" for outcome, count, _ in rows)
    reason = _last_line(rows[0][2] or "")
    yield f"{failed} of {evaluated} evaluations failed: {kinds}" + (f"; most often: {reason}" if reason else "")


def _feasibility(reader: LineageReader) -> Iterator[str]:
    measured, infeasible, least, individual = reader.sql(_FEASIBLE).rows[0]
    if measured and infeasible == measured:
        yield (
            f"none of {measured} measured candidates is feasible; the least infeasible is individual {individual}, "
            f"whose violations add up to {least:.4g}"
        )


def _improvement(reader: LineageReader) -> Iterator[str]:
    offspring, entered = reader.sql(_BETTER).rows[0]
    if offspring and not entered and reader.sql("SELECT count(*) FROM front").scalar():
        yield f"none of {offspring} measured offspring is better than the seed"


def _last_line(feedback: str) -> str:
    lines = [line.strip() for line in feedback.splitlines() if line.strip()]
    return lines[-1][:SHOWN_CHARACTERS] if lines else ""
