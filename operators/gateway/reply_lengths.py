"""The reply length that a server still allows, read from the numbers of the answer that refused a longer one.

The wordings are those of llama.cpp, vLLM, SGLang, TGI, OpenAI, OpenRouter, Anthropic, Gemini, DeepSeek, DashScope and
Groq.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from operators.gateway.endpoint_errors import error_in, said_in
from operators.gateway.json_values import count, mapping
from operators.gateway.transport import HttpAnswer

STATUSES = (400, 413, 422, 500)
_COMMA = re.compile(r"(?<=\d),(?=\d{3})")
_CONTEXT = re.compile(
    r"context (?:length|size|limit|window)[^0-9]{0,30}(\d+)\b(?! \+)|(\d+) maximum context length"
    r"|max_new_tokens`? must be <= (\d+)|> (\d+), decrease"
)
_PROMPT = re.compile(
    r"(\d+) (?:tokens )?(?:in|of|from) the (?:input )?(?:messages|prompt|input)|(\d+) of text input|(\d+) `?input"
    r"|request \((\d+) tokens\)|prompt contains (\d+) tokens|limit: (\d+) \+"
)
_MOST = re.compile(
    r"at most (\d+) completion tokens|tokens: \d+ > (\d+), which is the maximum"
    r"|max_\w{0,12}tokens\W{0,3} (?:must|should) be less than or equal to `?(\d+)"
    r"|range of max_tokens (?:is|should be) \[1, ?(\d+)\]"
)
_BELOW = re.compile(r"max_?(?:output)?_?tokens.{0,80}?to (\d+) \(exclusive\)")


@dataclass(frozen=True, slots=True)
class LengthLimit:
    """What an answer says of the room for a reply.

    Attributes:
        tokens: the longest reply that fits; 0 where the prompt alone is too long.
        whatever_prompt: it holds for every prompt.
    """

    tokens: int
    whatever_prompt: bool


def limit_in(answer: HttpAnswer) -> LengthLimit | None:
    """The limit that an answer names; None where it is refused for another reason, or the numbers are missing."""
    if answer.status not in STATUSES:
        return None
    said = _COMMA.sub("", said_in(answer.body))
    if (most := _number(_MOST, said)) is not None:
        return LengthLimit(most, whatever_prompt=True)
    if (above := _number(_BELOW, said)) is not None:
        return LengthLimit(above - 1, whatever_prompt=True)
    fields = mapping(error_in(answer.body))
    context = count(fields.get("n_ctx")) or _number(_CONTEXT, said)
    prompt = count(fields.get("n_prompt_tokens")) or _number(_PROMPT, said)
    if context is None or prompt is None:
        return None
    return LengthLimit(max(0, context - prompt), whatever_prompt=False)


def _number(pattern: re.Pattern[str], said: str) -> int | None:
    found = pattern.search(said)
    digits = next(filter(None, found.groups()), "") if found else ""
    return int(digits) if 0 < len(digits) < 13 else None
