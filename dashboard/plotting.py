"""Figures in the browser, drawn by a Streamlit component of our own.

Streamlit's own plotly element is replaced with each update and forgets zoom and selection. Ours is drawn by the
plotly.js that the Python package contains; nothing is fetched from the internet.
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
    """Draw a figure, as an update of the figure that was drawn under this key before.

    Args:
        picks: whether points lead to individuals; the first of a point's custom data is then an individual's id.

    Returns:
        The ids of the individuals whose points the reader clicked or selected.
    """
    _serve_library()
    data = {"figure": figure.to_json(), "height": figure.layout.height, "picks": picks}
    more: dict[str, Any] = {"default": {"picked": []}, "on_picked_change": _nothing} if picks else {}
    answer = _component()(key=key, data=data, height="content", **more)
    return [int(individual) for individual in (answer.get("picked") or [])] if picks else []


@cache
def _component() -> Callable[..., Any]:
    script = "\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in SCRIPTS)
    return st.components.v2.component("evo_chart", js=script, isolate_styles=False)


def _serve_library() -> None:
    """Register plotly.js with Streamlit, which serves it beside its own files."""
    manager = get_bidi_component_manager()
    if manager.get_component_path(LIBRARY) is None:
        package = Path(plotly.__file__).parent
        parts = [ComponentConfig(LIBRARY.partition(".")[2], "package_data")]
        manager.register_from_manifest(ComponentManifest(LIBRARY.partition(".")[0], "1", parts), package)


def _nothing() -> None:
    """A selection reruns the page; nothing has to happen before that."""
