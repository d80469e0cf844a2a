"""Prompts, replies and other foreign text as a page shows them: to the letter, and never as markup."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard.words import dollars, duration, number, plain
from evo.lineage import Table

TALL = 480
LONG_LINES = 24


def verbatim(title: str, text: str, language: str | None = None) -> None:
    """A text under its title; a long one in a box that is scrolled."""
    st.caption(plain(title))
    height = TALL if text.count("\n") > LONG_LINES or len(text) > 4000 else "content"
    # A line break at either end is taken off again: the text is shown as it is.
    st.code(f"\n{text}\n", language=language, wrap_lines=True, height=height)  # type: ignore[arg-type]


def exchanges(calls: Table) -> None:
    """Each completion's prompt, reply and error, as they were sent and as they came; the first one is open."""
    for at, row in enumerate(calls.rows):
        said = dict(zip(calls.columns, row, strict=True))
        with st.expander(_headline(said), expanded=at == 0):
            for role, text in _messages(said["prompt"]):
                verbatim(role, text)
            verbatim("reply", said["reply"] or "", "markdown")
            if said["error"]:
                verbatim("error", said["error"])


def _headline(said: dict[str, Any]) -> str:
    tokens = f"{number(said['input_tokens'])} + {number(said['output_tokens'])} tokens"
    parts = [said["purpose"], said["model"], said["outcome"], tokens, dollars(said["cost_usd"])]
    return plain(", ".join([*(one for one in parts if one), duration(said["seconds"])]))


def _messages(prompt: str | None) -> Sequence[tuple[str, str]]:
    """Role and text of each message."""
    return [(str(role), str(text)) for role, text in json.loads(prompt or "[]")]
