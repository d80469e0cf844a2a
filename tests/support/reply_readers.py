"""Every function that reads a model's reply, for tests and benchmarks of how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from evo.genomes import Program, Prompt
from operators.llm import prompt_replies
from operators.llm.diffs import edited, edits_of
from operators.llm.lessons import lesson_of
from operators.llm.replies import blocks_of, direction_of, readable, thought_of
from operators.llm.rewrites import rewritten
from operators.refusal import RefusalError
from tests.support.model_replies import PROGRAMS

PROMPT = Prompt({"role": "You add.", "question": "{question}"})
SINGLE, SEVERAL = PROGRAMS["one region"], PROGRAMS["several files"]


def _lesson(text: str) -> object:
    return lesson_of(text, 30)


def _prompt(text: str) -> object:
    return prompt_replies.rewritten(text, [PROMPT])


def _edits(program: Program, text: str) -> object:
    return edits_of(text, program)


def _edited(program: Program, text: str) -> object:
    return edited(text, program)


def _rewritten(program: Program, text: str) -> object:
    return rewritten(text, program)


READERS: dict[str, Callable[[str], object]] = {
    "readable": readable,
    "blocks_of": blocks_of,
    "thought_of": thought_of,
    "thought_of in braces": partial(thought_of, braces=True),
    "direction_of": direction_of,
    "lesson_of": _lesson,
    "words_before_parts": prompt_replies.words_before_parts,
    "edits_of": partial(_edits, SEVERAL),
    "edited": partial(_edited, SINGLE),
    "edited, several files": partial(_edited, SEVERAL),
    "rewritten": partial(_rewritten, SINGLE),
    "rewritten, several files": partial(_rewritten, SEVERAL),
    "rewritten prompt": _prompt,
}


def seconds_to_read(reader: Callable[[str], object], text: str) -> float:
    """Processor time of a single reading, whether or not it ends in a refusal."""
    began = time.process_time()
    with suppress(RefusalError):
        reader(text)
    return time.process_time() - began
