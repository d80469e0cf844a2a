"""The completions behind an ask, with prompt, reply and error in full."""

from __future__ import annotations

from evo.lineage import LineageReader, Table

MOST_COMPLETIONS = 50


def of_ask(reader: LineageReader, ask: int) -> Table:
    """The completions of an ask, those for its proposal before those for its evaluation; at most MOST_COMPLETIONS.

    Columns purpose, stage, model, endpoint, outcome, input_tokens, output_tokens, cost_usd, seconds, prompt, reply,
    error, completed.
    """
    return _completions(reader, "ask = ?", ask)


def of_individual(reader: LineageReader, individual: int) -> Table:
    """The completions of an individual's ask, as `of_ask` has them."""
    return _completions(reader, "ask IN (SELECT ask FROM proposals WHERE individual = ?)", individual)


def _completions(reader: LineageReader, condition: str, number: int) -> Table:
    return reader.sql(
        f"""
        SELECT purpose, stage, model, endpoint, outcome, input_tokens, output_tokens, cost_usd, seconds,
            prompt::VARCHAR AS prompt, reply, error, completed
        FROM completions WHERE {condition} ORDER BY stage = 'proposal' DESC, completed LIMIT {MOST_COMPLETIONS}
        """,
        [number],
    )
