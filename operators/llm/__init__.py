"""Operators that ask a language model: prompts, replies, and the offspring that they make."""
