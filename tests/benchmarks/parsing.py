"""How long the slowest reader takes to read each reply of 400,000 characters that was made to take long."""

from __future__ import annotations

from operators.llm.replies import MAX_CHARACTERS
from tests.benchmarks.rows import Row
from tests.support.adversarial_texts import adversarial_texts
from tests.support.reply_readers import READERS, seconds_to_read

MOST_MILLISECONDS = 50.0
REPEATS = 3


def measure() -> list[Row]:
    rows = [_row(name, text) for name, text in adversarial_texts(MAX_CHARACTERS).items()]
    slow = sum(row.figure > MOST_MILLISECONDS for row in rows)
    worst = max(rows, key=lambda row: row.figure)
    return [
        *rows,
        Row(f"the slowest of {len(rows)}: {worst.what}", worst.figure, "ms", MOST_MILLISECONDS, at_most=True),
        Row(f"  texts that take more than {MOST_MILLISECONDS:g} ms", slow, "", 0, at_most=True),
    ]


def _row(name: str, text: str) -> Row:
    took = {what: 1e3 * min(seconds_to_read(read, text) for _ in range(REPEATS)) for what, read in READERS.items()}
    slowest = max(took, key=lambda what: took[what])
    return Row(f"{name}: {slowest}", took[slowest], "ms", MOST_MILLISECONDS, at_most=True)
