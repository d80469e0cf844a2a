"""A scripted model behind HTTP: a test double that speaks OpenAI's format. Not a language model."""

from operators.scripted.answers import AnswerRule
from operators.scripted.arithmetic import Arithmetic, PromptWriterAndArithmetic
from operators.scripted.embeddings import simulated_vector
from operators.scripted.faults import FAULTS, Fault, Faults
from operators.scripted.rules import RULES, ReplyRule, find_rule
from operators.scripted.server import ScriptedServer, serve
from operators.scripted.stats import Exchange, Stats

__all__ = [
    "FAULTS",
    "RULES",
    "AnswerRule",
    "Arithmetic",
    "Exchange",
    "Fault",
    "Faults",
    "PromptWriterAndArithmetic",
    "ReplyRule",
    "ScriptedServer",
    "Stats",
    "find_rule",
    "serve",
    "simulated_vector",
]
