"""The law that every reader of replies takes time linear in what it reads."""

from __future__ import annotations

import gc

import pytest

from operators.llm.replies import MAX_CHARACTERS
from tests.support.adversarial_texts import adversarial_texts
from tests.support.reply_readers import READERS, seconds_to_read

LONG, SHORT = (adversarial_texts(characters) for characters in (MAX_CHARACTERS, MAX_CHARACTERS // 4))
MOST_TIMES = 12  # 16 would be quadratic; what no longer fits into caches costs a step
"""That four times the text may take; 16 times is what quadratic readers need."""
TOO_SHORT_TO_TELL = 0.02
"""Seconds below which the clock and the machine's other work say more than the reader does."""


@pytest.mark.parametrize("name", READERS)
def test_four_times_the_text_takes_at_most_eight_times_as_long(name: str) -> None:
    assert len(LONG) >= 60
    times = {text: _times(name, text) for text in LONG}
    assert {text: taken for text, taken in times.items() if taken > MOST_TIMES} == {}


def _times(name: str, text: str) -> float:
    """How many times as long the long text takes; 0 where it takes no time to speak of."""
    reader, least = READERS[name], float("inf")
    for attempt in range(3):
        gc.collect(0)
        least = min(least, seconds_to_read(reader, LONG[text]))
        if least < TOO_SHORT_TO_TELL:
            return 0.0
        taken = least / min(seconds_to_read(reader, SHORT[text]) for _ in range(attempt + 1))
        if taken <= MOST_TIMES:
            break
    return taken
