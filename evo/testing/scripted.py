"""A language model that answers by rule: for tests, benchmarks and dry runs. Nothing is sent anywhere."""

from __future__ import annotations

from collections.abc import Callable

from evo.models import Completion, Request

CHARACTERS_PER_TOKEN = 4
NAME = "scripted"

Rule = Callable[[Request], str | Completion]


class ScriptedModel:
    """An `evo.models.Model` whose answers depend on nothing but the request; free of charge.

    Args:
        rule: the reply to a request. A text is a completion that went well (or an empty completion), its tokens
            counted at 4 characters each; a Completion is handed on as it is.

    Attributes:
        requests: all that was asked, in order.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        answer = self._rule(request)
        return answer if isinstance(answer, Completion) else completed(request, answer)


def completed(request: Request, text: str) -> Completion:
    """The completion of a model that answered with `text`."""
    return Completion(
        "ok" if text else "empty",
        text,
        model=request.model or NAME,
        endpoint=NAME,
        input_tokens=tokens_of("".join(message.text for message in request.messages)),
        output_tokens=tokens_of(text),
        requests=1,
    )


def tokens_of(text: str) -> int:
    """Tokens at 4 characters each, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)
