"""Prompts, replies and other foreign text on a page: verbatim, never as markup."""

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
    """A text under its title; a long text in a box that scrolls."""
    st.caption(plain(title))
    height = TALL if text.count("\n") > LONG_LINES or len(text) > 4000 else "content"
    # Streamlit takes a line break off at either end: without these the text would lose its own.
    st.code(f"\n{text}\n", language=language, wrap_lines=True, height=height)  # type: ignore[arg-type]


def exchanges(completions: Table) -> None:
    """Each completion's prompt, reply and error in full; the first is open."""
    st.subheader("Prompts and replies", anchor=False)
    if not completions.rows:
        st.caption("No model was asked for it.")
    for at, completion in enumerate(completions.records()):
        with st.expander(_headline(completion), expanded=at == 0):
            for role, text in _messages(completion["prompt"]):
                verbatim(role, text)
            verbatim("reply", completion["reply"] or "", "markdown")
            if completion["error"]:
                verbatim("error", completion["error"])


def _headline(completion: dict[str, Any]) -> str:
    tokens = f"{number(completion['input_tokens'])} + {number(completion['output_tokens'])} tokens"
    named = [completion[name] for name in ("purpose", "model", "outcome") if completion[name]]
    return plain(", ".join([*named, tokens, dollars(completion["cost_usd"]), duration(completion["seconds"])]))


def _messages(prompt: str | None) -> Sequence[tuple[str, str]]:
    """Role and text of each message."""
    return [(str(role), str(text)) for role, text in json.loads(prompt or "[]")]
