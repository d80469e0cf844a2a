"""A scripted model behind HTTP: a test double that speaks OpenAI's format. Not a language model."""

from operators.scripted.answers import Answer
from operators.scripted.faults import FAULTS, Fault, Faults
from operators.scripted.rules import RULES, Rule, find_rule
from operators.scripted.server import ScriptedServer, serve
from operators.scripted.stats import Exchange, Stats

__all__ = [
    "FAULTS",
    "RULES",
    "Answer",
    "Exchange",
    "Fault",
    "Faults",
    "Rule",
    "ScriptedServer",
    "Stats",
    "find_rule",
    "serve",
]
