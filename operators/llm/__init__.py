"""Operators that ask a language model: what it is sent, what is read from its reply, and what may come of that."""
