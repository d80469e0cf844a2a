"""Parameter compatibility: how a model at an endpoint wants to be asked, learnt from answers that refuse a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from evo.models import Request
from operators.gateway.endpoint_errors import is_flagged, said_in
from operators.gateway.forms import CHAT, ApiForm
from operators.gateway.reply_lengths import limit_in
from operators.gateway.schemas import SCHEMA_WORDS
from operators.gateway.transport import HttpAnswer

REFUSING = (400, 404, 422, 500, 501)
NO_SUCH = (
    *("unsupported", "not support", "unknown", "unrecognized", "not permitted", "not allowed", "instead"),
    *("deprecated", "unexpected", "cannot find", "no longer", "extra"),
)
# Of OpenRouter: no provider takes all parameters, and it does not say which.
_NO_PROVIDER = re.compile(r"no endpoints found that (can handle|support)")
_SYSTEM = re.compile(
    r"system.?(role|message|prompt|instruction)|developer instruction|role\W{1,3}\w{0,12}\W{0,3}system"
    r"|['\"`]system['\"`]|roles must alternate|only (the )?['\"`]?user['\"`]? (and|or) ['\"`]?(assistant|model)"
)
_STREAM = re.compile(
    r"(only|requires?|must|please|enable|use|set)\b.{0,60}\bstream"
    r"|\bstream\w*\W{0,4}(=|must|is required|only|mode|to true)"
)


class ParameterCompatibility:
    """What a model takes: everything, until it refuses something; from then on it is asked without it.

    Servers differ: llama.cpp and Ollama know `max_tokens`, OpenAI's reasoning models only `max_completion_tokens` and
    no temperature; some take no JSON schema, which then becomes a sentence of the prompt; some know no base64, no
    system role, or only streams; some allow only short replies.
    """

    def __init__(self, form: ApiForm = CHAT, *, at_openai: bool = False) -> None:
        self.form = form
        self._refused: set[str] = {"max_tokens"} if at_openai else set()
        self._streams = False
        self._longest_reply: int | None = None

    def longest_reply(self, request: Request) -> int:
        """Tokens that the reply may have, as far as the model is known to allow them."""
        return min(request.max_tokens, self._longest_reply or request.max_tokens)

    def fields(self, request: Request, model: str, most_tokens: int | None = None) -> dict[str, Any]:
        """The body of the HTTP request.

        Args:
            most_tokens: of the reply, where the context has no room for as many as were requested.
        """
        longest = min(self.longest_reply(request), most_tokens or request.max_tokens)
        fitted = request if longest == request.max_tokens else replace(request, max_tokens=longest)
        body = self.form.fields(fitted, model, self._refused)
        asked = self.form.streaming if self._streams else {}
        return body | {name: value for name, value in asked.items() if name not in self._refused}

    def length(self, sent: Mapping[str, Any]) -> int:
        """Tokens that the body of a request allows the reply."""
        return next((int(sent[name]) for name in self.form.lengths if name in sent), 0)

    def learn(self, answer: HttpAnswer, sent: Mapping[str, Any]) -> tuple[str, ...]:
        """What an answer refuses of `sent` that the next request does without: parameters, "system", or "no stream"."""
        said = said_in(answer.body) if answer.status in REFUSING else ""
        if not said or is_flagged(answer.status, said) or limit_in(answer):
            return ()
        if answer.status == 404:
            return self._without(self._any_of(sent)) if _NO_PROVIDER.search(said) else ()
        refused = {name for name in sent if _refuses(answer.status, said, self.form.optional.get(name, ()))}
        if refused := self._replaceable(refused):
            return self._without(refused)
        if answer.status != 501 and self._has_system(sent) and _SYSTEM.search(said):
            return self._without({"system"})
        if not sent.get("stream") and self.form.streaming and _STREAM.search(said):
            self._streams = True
            return ("no stream",)
        return ()

    def limit(self, answer: HttpAnswer, sent: Mapping[str, Any]) -> int | None:
        """Tokens that the next request may ask for, where the answer says that `sent` asks for too many."""
        limit, sent_tokens = limit_in(answer), self.length(sent)
        if limit is None or limit.tokens == 0 or sent_tokens < 2:
            return None
        if limit.tokens >= sent_tokens:  # its numbers allow what it refuses, so its count is another
            return None if limit.whatever_prompt else sent_tokens // 2
        if limit.whatever_prompt:
            self._longest_reply = limit.tokens
        return limit.tokens

    def _any_of(self, sent: Mapping[str, Any]) -> set[str]:
        """Parameters to try without: the schema, or else all that are optional."""
        schemas = {name for name in sent if self.form.optional.get(name) == SCHEMA_WORDS}
        return schemas or {name for name in sent if name in self.form.optional} - set(self.form.lengths)

    def _replaceable(self, refused: set[str]) -> set[str]:
        """Without the last of parameters that mean the same."""
        alternatives = set(self.form.alternatives)
        return refused - alternatives if alternatives and alternatives <= self._refused | refused else refused

    def _without(self, refused: Iterable[str]) -> tuple[str, ...]:
        self._refused.update(refused)
        return tuple(sorted(refused))

    def _has_system(self, sent: Mapping[str, Any]) -> bool:
        messages = sent.get("messages") or ()
        return self.form is CHAT and any(message["role"] == "system" for message in messages)


def _refuses(status: int, said: str, words: tuple[str, ...]) -> bool:
    """Whether an answer names a parameter by its words, as not supported."""
    if words == SCHEMA_WORDS:
        # An endpoint that speaks of grammars at all has failed at the schema, however it puts it.
        return any(word in said for word in words)
    if status not in (400, 422) or not any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) for word in words):
        return False
    # Of a length, the value may be what is refused; without any other, a model that takes it never minds its value.
    return not any("tokens" in word for word in words) or any(word in said for word in NO_SUCH)
