"""A task model by rule: answers arithmetic, and questions whose answers it was given, right with a set probability."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evo.errors import ConfigError
from evo.models import Message
from operators.sampling import pick

Number = int | float
FORMULA = re.compile(r"[-+*/().\d \t]{3,}")
LIST_NUMBER = re.compile(r"^\s*\d+[.)]\s+")
OPTION = re.compile(r"^[ \t]*\(?([A-Z])[).:][ \t]*(.+?)[ \t]*$", re.MULTILINE)
LONGEST_FORMULA = 500
BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """A rule for task models. Says "The answer is X." where the prompt has the words "answer is", else X.

    Attributes:
        probability: of a right answer, where it is known: the last arithmetic of the last message, or the
            option that equals it, or the entry of `key`. Where it is not known the answer is a guess.
        key: question to its right answer; the question is looked for in the last message, and the latest found counts.

    Raises:
        ConfigError: a probability out of [0, 1].
    """

    probability: float = 0.8
    key: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"the probability of a right answer is {self.probability}; it must lie between 0 and 1")

    def __call__(self, messages: Sequence[Message], rng: np.random.Generator) -> str:
        question = messages[-1].text
        right, options = self._right(question), _options(question)
        wrong = [f"({letter})" for letter in options if f"({letter})" != right] or [_off(right, rng)]
        # Sampled whatever is known, so that a higher probability turns wrong answers right and never the other way.
        lucky = rng.random() < self.probability
        answer = right if right is not None and lucky else pick(rng, wrong)
        said = any("answer is" in message.text.lower() for message in messages)
        return f"The answer is {answer}." if said else answer

    def _right(self, question: str) -> str | None:
        known = [
            (question.rfind(known_question), answer)
            for known_question, answer in self.key.items()
            if known_question in question
        ]
        if known:
            return max(known)[1]
        value = value_of(question)
        if value is None:
            return None
        options = _options(question)
        fitting = (f"({letter})" for letter, text in options.items() if text == value)
        return next(fitting, None) if options else value


def value_of(question: str) -> str | None:
    """Value of the last arithmetic in a text; None where it has none."""
    for formula in reversed(FORMULA.findall(question)):
        text = LIST_NUMBER.sub("", formula).lstrip(" \t)*/.").rstrip(" \t(.*/+-")
        try:
            tree = ast.parse(text[:LONGEST_FORMULA], mode="eval")
            if any(isinstance(node, ast.BinOp) for node in ast.walk(tree)):
                return _shown(_computed(tree.body))
        except (SyntaxError, ValueError, ArithmeticError):
            continue
    return None


def _options(question: str) -> dict[str, str]:
    """Option letter to text; of several questions those of the last."""
    found = OPTION.findall(question)
    return dict(found) if len(found) > 1 else {}


def _off(right: str | None, rng: np.random.Generator) -> str:
    try:
        return _shown(float(right or "") + int(rng.integers(1, 10)))
    except ValueError:
        return "unknown"


def _computed(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_computed(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _computed(operand)
        case ast.BinOp(left=left, op=symbol, right=right) if type(symbol) in BINARY:
            return BINARY[type(symbol)](_computed(left), _computed(right))
    raise ValueError(f"no plain arithmetic: {ast.unparse(node)}")


def _shown(value: Number) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.10g}"
