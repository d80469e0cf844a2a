"""What all views share: the filters beside them, keeping up with a run, and how trouble and emptiness are said.

Only this module, `app.py` and the views know Streamlit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dashboard import plotting
from dashboard.filters import Filters, Stretch
from dashboard.queries import overview
from dashboard.source import Source
from dashboard.words import number, plain
from evo.errors import EvoError
from evo.lineage import Table

LIVE_SECONDS = 2.0
IDLE_SECONDS = 10.0
FILTERS = ("run", "island", "from", "to")
# Two beside each other on a phone, five at 1280 pixels.
CARD_PIXELS = 156


@st.cache_resource(show_spinner=False)
def _source(places: tuple[str, ...]) -> Source:
    return Source([Path(one) for one in places])


def source() -> Source:
    """The runs that the command line named; one source for all viewers."""
    return _source(tuple(sys.argv[1:]) or ("runs",))


def sidebar() -> None:
    """The filters. Each is a part of the address, so that a view can be sent as a link."""
    for key in FILTERS:  # a click on another page while this one is still being drawn loses them from the address
        if st.session_state.get(key) is not None and key not in st.query_params:
            st.query_params[key] = str(st.session_state[key])
    # Without a default the run is always in the address: another run may be the latest when a link is followed.
    st.selectbox("Run", _offered(), index=None, key="run", bind="query-params", placeholder="no run yet")
    if not st.session_state.get("run"):
        return
    try:
        islands = [row[0] for row in source().ask(st.session_state.run, overview.islands).rows]
    except EvoError:  # the view says what is wrong with the run
        islands = []
    # A link may name an island that nobody was told of yet.
    named = [int(one) for one in [st.query_params.get("island", "")] if one.isdecimal()]
    st.selectbox(
        "Island",
        sorted({*islands, *named}),
        index=None,
        key="island",
        bind="query-params",
        placeholder="all islands",
    )
    first, last = st.columns(2)
    first.number_input("From tell", min_value=0, value=None, key="from", bind="query-params", placeholder="0")
    last.number_input("To tell", min_value=0, value=None, key="to", bind="query-params", placeholder="latest")


def _offered() -> list[str]:
    """All runs, and the one that is looked at even if it is gone: its view says so."""
    runs = list(source().runs())
    chosen = st.session_state.get("run") or st.query_params.get("run") or (runs[0] if runs else None)
    if chosen is None:
        return []
    begin_with("run", chosen)
    return runs if chosen in runs else [*runs, chosen]


def begin_with(key: str, value: Any) -> None:
    """What a widget holds that is bound to the address, where neither the reader nor a link has said."""
    if st.session_state.get(key) is not None:
        return
    if key not in st.session_state and key not in st.query_params:
        st.query_params[key] = str(value)  # before the widget is there; from then on it keeps its part of the address
    st.session_state[key] = value


def filters() -> Filters:
    """What is looked at. A view that has no run to look at ends here, with a sentence that says what to do."""
    if not st.session_state.get("run"):
        _wait_for_a_run()
    state = st.session_state
    return Filters(state.run, Stretch(state.get("island"), state.get("from") or 0, state.get("to")))


def _wait_for_a_run() -> None:
    places = ", ".join(map(str, source().places))
    empty(f"No run in {places} yet.", "Start one in a terminal: `evo run bin_packing`. It will show up here by itself.")

    @st.fragment(run_every=LIVE_SECONDS)
    def look() -> None:
        if source().runs():
            st.rerun()

    look()
    st.stop()


def live(draw: Callable[[], None], key: str = "view", *, seconds: float = LIVE_SECONDS) -> None:
    """Draw a part of a view now and every two seconds (ten, once the run is over); other parts stay as they are.

    Args:
        key: tells it from other live parts of the same view.
        seconds: between updates of a run that goes on, of what takes long to ask for.
    """
    seconds = seconds if _goes_on() else IDLE_SECONDS

    @st.fragment(run_every=seconds, key=f"live-{key}")
    def again() -> None:
        guarded(draw)

    again()


def _goes_on() -> bool:
    try:
        return source().holder(st.session_state.run) is not None
    except EvoError:
        return True  # it may come back


def guarded(draw: Callable[[], None]) -> None:
    """Draw; where the run cannot be read, say why in a sentence."""
    try:
        draw()
    except EvoError as error:
        st.warning(plain(error), icon=":material/cloud_off:")


def empty(what: str, do: str) -> None:
    """An empty place, and what to do about it. Both are Markdown of our own."""
    with st.container(border=True):
        st.markdown(f"**{what}**  \n{do}")


def chart(figure: go.Figure, key: str) -> None:
    """A figure that keeps its zoom when it is drawn again."""
    plotting.draw(figure, key)


def picking_chart(figure: go.Figure, key: str) -> list[int]:
    """The same; the individuals whose points were clicked or selected."""
    return plotting.draw(figure, key, picks=True)


def cards(figures: Sequence[tuple[str, str, str]]) -> None:
    """Figures in boxes, as many beside each other as there is room for.

    Args:
        figures: label, value and a remark each; foreign text is escaped here.
    """
    with st.container(horizontal=True, gap="small"):
        for label, value, remark in figures:
            st.metric(
                plain(label),
                plain(value),
                delta=plain(remark) if remark else None,
                delta_color="off",
                delta_arrow="off",
                border=True,
                width=CARD_PIXELS,
            )


def table(
    shown: Table,
    key: str,
    *,
    labels: Mapping[str, Any] | None = None,
    links: Mapping[str, Callable[[Any], str]] | None = None,
    leave_out: Sequence[str] = (),
) -> None:
    """A table as it is scrolled and sorted; columns without any value are left out.

    Args:
        labels: column to its title, or to a column configuration of Streamlit.
        links: column to the address that a value in it leads to, which ends in `=VALUE`.
    """
    frame = shown.to_pandas()
    bare = [name for at, name in enumerate(shown.columns) if all(row[at] in (None, "") for row in shown.rows)]
    frame = frame.drop(columns=[name for name in (*bare, *leave_out) if name in frame.columns])
    titles = {name: (labels or {}).get(name, name) for name in frame.columns}
    of = dict(zip(shown.columns, shown.types, strict=True))
    config: dict[str, Any] = {name: _column(title, of[name]) for name, title in titles.items()}
    for name, address in (links or {}).items():
        if name in frame.columns:
            values = [row[shown.columns.index(name)] for row in shown.rows]  # numbers of the frame may be NaN
            frame[name] = ["" if value is None else address(value) for value in values]
            config[name] = st.column_config.LinkColumn(str(titles[name]), display_text=r"=(\d+)$")
    st.dataframe(frame, key=key, hide_index=True, column_config=config, placeholder="")


def _column(title: Any, of: str) -> Any:
    """Measured numbers in six digits, however small; unless it is said otherwise."""
    if isinstance(title, str) and of in ("DOUBLE", "FLOAT"):
        return st.column_config.NumberColumn(title, format="%.6g")
    return title


def individuals(shown: Table, key: str, filters: Filters) -> None:
    """A table whose column `id` leads to the individuals' own view."""
    table(shown, key, labels={"id": "individual"}, links={"id": lambda one: filters.link("individual", id=one)})


def link(view: str, label: str, filters: Filters, **more: int | str) -> None:
    """A link to a view, with the same filters."""
    st.page_link(f"views/{view}.py", label=plain(label), query_params=filters.parameters(**more))


def tells(stretch: Stretch) -> str:
    """A stretch in words; empty where it is all of the run."""
    parts = [f"island {stretch.island}"] if stretch.island is not None else []
    parts += [f"from tell {number(stretch.first)}"] if stretch.first else []
    parts += [f"to tell {number(stretch.last)}"] if stretch.last is not None else []
    return ", ".join(parts)
