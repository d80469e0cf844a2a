"""The checks of an offspring that is a prompt, whatever operator made it: placeholders, size, novelty."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from evo.genomes import Prompt
from operators.refusal import RefusalError

MAX_WORDS = 4000
PLACEHOLDER = re.compile(r"\{[^\W\d]\w*\}")


def placeholders_of(prompt: Prompt) -> Counter[str]:
    """How often each name in braces occurs in the parts; demonstrations are filled in already."""
    return Counter(found for text in prompt.parts.values() for found in PLACEHOLDER.findall(text))


def checked(child: Prompt, parents: Sequence[Prompt], max_words: int = MAX_WORDS) -> Prompt:
    """The child, if it may be evaluated.

    Raises:
        RefusalError: it equals a parent, does not have the base's placeholders, or has grown too long.
    """
    base = parents[0]
    if child.canonical == base.canonical:
        raise RefusalError("duplicate", "the prompt would be the base again")
    if any(child.canonical == parent.canonical for parent in parents):
        raise RefusalError("duplicate", "the prompt would be the mate again")
    _check_changed(placeholders_of(base), placeholders_of(child))
    if child.size > max(max_words, base.size):
        raise RefusalError("refused", f"the prompt would have {child.size} words; at most {max_words}")
    return child


def _check_changed(before: Counter[str], after: Counter[str]) -> None:
    for name in before | after:
        if not after[name]:
            raise RefusalError("refused", f"the prompt would lose its placeholder {name:.80}")
        if not before[name]:
            # A name that the base does not have might be filled in with what must not be shown, as an answer.
            raise RefusalError("refused", f"the prompt would get a placeholder {name:.80}, which the base has not")
        if before[name] != after[name]:
            count = f"{after[name]} times instead of {before[name]}"
            raise RefusalError("refused", f"the prompt would have its placeholder {name:.80} {count}")
