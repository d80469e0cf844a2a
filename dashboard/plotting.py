"""Figures in the browser, as a component of ours.

Streamlit's own plotly element is another one with each update, and forgets zoom and selection. Ours is drawn by the
plotly.js that the Python package brings along; nothing comes from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

SCRIPTS = ("drawing.js", "plotting.js")
LIBRARY = "evo.plotly"


def draw(figure: go.Figure, key: str, *, picks: bool = False) -> list[int]:
    """Draw a figure, in the place of what was drawn under this key before.

    Args:
        picks: whether points lead to individuals, whose id is the first of their custom data.

    Returns:
        The individuals whose points the reader clicked or selected.
    """
    _serve_library()
    told = {"figure": figure.to_json(), "height": figure.layout.height, "picks": picks}
    more: dict[str, Any] = {"default": {"picked": []}, "on_picked_change": _nothing} if picks else {}
    answer = _component()(key=key, data=told, height="content", **more)
    return [int(one) for one in (answer.get("picked") or [])] if picks else []


@cache
def _component() -> Callable[..., Any]:
    script = "\n".join(Path(__file__).with_name(one).read_text("utf-8") for one in SCRIPTS)
    return st.components.v2.component("evo_chart", js=script, isolate_styles=False)


def _serve_library() -> None:
    """Have plotly.js served beside Streamlit's own files."""
    manager = get_bidi_component_manager()
    if manager.get_component_path(LIBRARY) is None:
        package = Path(plotly.__file__).parent
        parts = [ComponentConfig(LIBRARY.partition(".")[2], "package_data")]
        manager.register_from_manifest(ComponentManifest(LIBRARY.partition(".")[0], "1", parts), package)


def _nothing() -> None:
    """A selection runs the page again; there is nothing to be done before that."""
