"""What operators that ask a language model have in common: options, a prompt within its budget, a reply."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar

from evo.errors import ConfigError
from evo.models import Completion, Message, Request
from evo.protocols import Context
from evo.values import Individual, Proposal
from operators.llm.budget import CHARACTERS_PER_TOKEN, Cut, fitted, shortened
from operators.llm.experience import lesson_lines, record_lines
from operators.llm.rendering import check_templates, constant, render
from operators.llm.replies import text_of, thought_of
from operators.llm.views import WORDS, plain
from operators.refusal import RefusalError

LEAST_PROMPT_TOKENS = 1000


class ModelOperator(ABC):
    """Sends a prompt and reads an offspring from the reply.

    Attributes:
        purpose: of its requests, and the name of its template.
        system: name of the template of the system message.
        needs_model: it proposes nothing in a run without a language model.
    """

    arity: ClassVar[int] = 1
    kind: ClassVar[str]
    weight: ClassVar[float] = 1.0
    needs_model: ClassVar[bool] = True
    purpose: ClassVar[str]
    system: ClassVar[str] = "system"

    def __init__(
        self,
        *,
        model: str = "",
        temperature: float | None = None,
        templates: str | None = None,
        prompt_tokens: int = 6000,
        reply_tokens: int = 4096,
        show_lessons: int = 5,
        show_record: bool = False,
    ) -> None:
        """Options.

        Args:
            model: to ask; empty takes the run's default.
            temperature: of sampling; None leaves it to the endpoint.
            templates: folder of Jinja2 templates that go before the package's own of the same name.
            prompt_tokens: of a whole prompt, at 4 characters each; what is longer is cut.
            reply_tokens: of a reply, at most.
            show_lessons: how many lessons of the search so far a prompt holds, the most useful ones.
            show_record: whether a prompt says how each operator and model has done so far.

        Raises:
            ConfigError: no such folder, a template that is none, or a prompt too small to say anything.
        """
        if prompt_tokens < LEAST_PROMPT_TOKENS or reply_tokens < 1:
            reason = f"prompt_tokens must be at least {LEAST_PROMPT_TOKENS} and reply_tokens at least 1"
            raise ConfigError(f"{reason}, got {prompt_tokens} and {reply_tokens}")
        if show_lessons < 0:
            raise ConfigError(f"show_lessons must be 0 or more, got {show_lessons}")
        check_templates(templates, (self.system, *self.template_names()))
        self._model = model
        self._temperature = temperature
        self._templates = templates
        self._prompt_characters = prompt_tokens * CHARACTERS_PER_TOKEN
        self._reply_tokens = reply_tokens
        self._show_lessons = show_lessons
        self._show_record = show_record

    @classmethod
    def template_names(cls) -> tuple[str, ...]:
        """The templates that it renders, beside the system's."""
        return (cls.purpose,)

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        """An offspring read from the reply, or why there is none.

        Raises:
            BudgetSpentError, ModelAccessError: by the model; they end the search.
        """
        shown = parents[: self.arity]
        try:
            self.check(parents)
        except RefusalError as refusal:
            return refused(refusal)
        return await self.concluded(self.answer(shown, context), shown, context)

    async def concluded(
        self, answer: Awaitable[Completion], parents: Sequence[Individual], context: Context
    ) -> Proposal:
        """The offspring that an awaited reply holds, or why there is none."""
        try:
            return self._offspring(await answer, parents, context)
        except RefusalError as refusal:
            return refused(refusal)

    @abstractmethod
    def check(self, parents: Sequence[Individual]) -> None:
        """Refuse parents of another kind, or too few of them, before anything is paid for.

        Raises:
            RefusalError: as it says.
        """

    @abstractmethod
    def read(self, text: str, parents: Sequence[Individual], context: Context) -> Proposal:
        """The proposal that a reply makes.

        Raises:
            RefusalError: it makes none.
        """

    def read_cut_off(self, text: str, parents: Sequence[Individual], context: Context) -> Proposal:
        """The proposal that a reply makes whose end is missing; like `read` where a missing end is seen in any case.

        Raises:
            RefusalError: it makes none, or what it makes may lack its end.
        """
        return self.read(text, parents, context)

    def schema(self, context: Context) -> Mapping[str, Any] | None:
        """JSON schema of the reply, where it has to be JSON.

        Raises:
            RefusalError: none can be made for this problem.
        """
        return None

    async def answer(self, parents: Sequence[Individual], context: Context) -> Completion:
        """The completion that holds the offspring."""
        return await self.ask(self.purpose, parents, context)

    def thought(self, text: str) -> str:
        """The idea that a reply states."""
        return thought_of(text)

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        """What the template sees."""
        return {
            "description": cut(plain(context.description).strip(), WORDS),
            "objectives": context.objectives,
            "lessons": lesson_lines(context.lessons[: self._show_lessons], cut),
            "record": record_lines(context.record) if self._show_record else [],
        }

    async def ask(
        self,
        purpose: str,
        parents: Sequence[Individual],
        context: Context,
        *,
        template: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Completion:
        """The completion of a prompt.

        Args:
            template: to render; without it, the template named like the purpose.
            more: what the template sees beside the usual, or instead of it; of lists of {text} each text is cut to fit.

        Raises:
            RefusalError: no model, or a template that failed.
        """
        if context.model is None:
            raise RefusalError("error", "this operator asks a language model, and the run has none")
        system = shortened(constant(self._templates, self.system), self._prompt_characters // 2)

        def user(cut: Cut) -> str:
            seen = self.variables(parents, context, cut) | _cut_all(more or {}, cut)
            return render(self._templates, template or purpose, seen)

        messages = Message("system", system), Message("user", fitted(user, self._prompt_characters - len(system)))
        # Two asks may show the same parents; the seed tells their requests apart, and repeats with the run's.
        seed = int(context.rng.integers(2**31))
        sampling = self._model, self._temperature, self._reply_tokens, seed
        return await context.model.complete(Request(purpose, messages, *sampling, schema=self.schema(context)))

    def _offspring(self, completion: Completion, parents: Sequence[Individual], context: Context) -> Proposal:
        text = text_of(completion)
        read = self.read_cut_off if completion.outcome == "truncated" else self.read
        try:
            return read(text, parents, context)
        except RefusalError as refusal:
            if completion.outcome != "truncated" or refusal.outcome != "unparsable":
                raise
            cut_off = f"the reply was cut off at {self._reply_tokens} tokens"
            raise RefusalError("truncated", f"{cut_off}: {refusal}") from refusal


def refused(refusal: RefusalError) -> Proposal:
    """The proposal that says why there is no offspring."""
    return Proposal(refusal.outcome, thought=plain(str(refusal)))


def _cut_all(variables: Mapping[str, Any], cut: Cut) -> dict[str, Any]:
    """The same variables with every text in a list of {field, text} cut."""
    return {
        name: [{**item, "text": cut(item["text"], WORDS)} for item in value] if isinstance(value, list) else value
        for name, value in variables.items()
    }
