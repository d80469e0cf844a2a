"""A panel of experts (branch, solve, merge): three suggestions, each a call of its own, and a call that merges them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import ClassVar

from evo.models import Completion
from evo.protocols import Context
from evo.values import Individual, clip_text
from operators.llm.program_operators import ProgramModelOperator
from operators.llm.replies import text_of
from operators.refusal import RefusalError

SUGGESTION_BYTES = 8000

# Field to question; the field is in the purpose of the call.
EXPERTS: Mapping[str, str] = {
    "performance": "Judge what keeps the program from better values of its objectives, and what would raise them most.",
    "robustness": "Judge where the program would fail or do badly: odd inputs, rare cases, numbers out of range.",
    "simplicity": "Judge what in the program is needless, doubled or overfitted, and what a simpler idea would be.",
}


class Panel(ProgramModelOperator):
    """Four calls: panel:performance, panel:robustness and panel:simplicity at once, then panel:merge."""

    weight: ClassVar[float] = 0.3
    purpose: ClassVar[str] = "panel"

    @classmethod
    def template_names(cls) -> tuple[str, ...]:
        return "panel_expert", "panel_merge"

    async def answer(self, parents: Sequence[Individual], context: Context) -> Completion:
        asked = [self._suggestion(field, parents, context) for field in EXPERTS]
        # All are awaited before any error is raised, so that no call is left running.
        answers = await asyncio.gather(*asked, return_exceptions=True)
        suggestions = []
        for field, answer in zip(EXPERTS, answers, strict=True):
            if isinstance(answer, str):
                suggestions.append({"field": field, "text": answer})
            elif not isinstance(answer, RefusalError):
                raise answer
        if not suggestions:
            refusals = [answer for answer in answers if isinstance(answer, RefusalError)]
            raise RefusalError(refusals[0].outcome, f"no expert answered; the first: {refusals[0]}")
        return await self.ask(
            "panel:merge", parents, context, template="panel_merge", more={"suggestions": suggestions}
        )

    async def _suggestion(self, field: str, parents: Sequence[Individual], context: Context) -> str:
        expert = {"field": field, "question": EXPERTS[field]}
        purpose = f"panel:{field}"
        completion = await self.ask(purpose, parents, context, template="panel_expert", more={"expert": expert})
        return clip_text(text_of(completion).strip(), SUGGESTION_BYTES)
