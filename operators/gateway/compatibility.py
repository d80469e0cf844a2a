"""Parameter compatibility: which parameters a model at an endpoint takes, learnt from its 400 answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evo.models import Request
from operators.gateway.forms import CHAT, ApiForm
from operators.gateway.schemas import SCHEMA_WORDS
from operators.gateway.transport import HttpAnswer

NO_SUCH = ("unsupported", "not support", "unknown", "unrecognized", "not permitted", "not allowed", "instead")


class ParameterCompatibility:
    """Which optional parameters a model takes: all of them, until it answers 400 about some.

    Servers differ: llama.cpp and Ollama know `max_tokens`, OpenAI's reasoning models only `max_completion_tokens` and
    no temperature; some take no JSON schema, which then becomes a sentence of the prompt; some know no base64.
    """

    def __init__(self, form: ApiForm = CHAT, *, at_openai: bool = False) -> None:
        self.form = form
        self._refused: set[str] = {"max_tokens"} if at_openai else set()

    def fields(self, request: Request, model: str) -> dict[str, Any]:
        """The body of the HTTP request."""
        return self.form.fields(request, model, self._refused)

    def learn(self, answer: HttpAnswer, sent: Mapping[str, Any]) -> bool:
        """Whether the answer refuses a parameter of `sent` that the next request can do without."""
        if answer.status not in (400, 422):
            return False
        said = answer.body.decode("utf-8", "replace").lower()
        refused = {name for name in sent if _refuses(said, self.form.optional.get(name, ()))}
        alternatives = set(self.form.alternatives)
        if alternatives and alternatives <= self._refused | refused:
            refused -= alternatives
        self._refused |= refused
        return bool(refused)


def _refuses(said: str, words: tuple[str, ...]) -> bool:
    """Whether an answer names a parameter by its words, as not supported."""
    # An endpoint that speaks of grammars at all has failed at the schema, however it puts it.
    refusing = words == SCHEMA_WORDS or any(word in said for word in NO_SUCH)
    return refusing and any(word in said for word in words)
