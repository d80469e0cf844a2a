"""What all views share: the sidebar's filters, live updates, links, tables, messages for errors and empty places."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dashboard import plotting
from dashboard.filters import Filters, Stretch
from dashboard.queries import front, individual, overview
from dashboard.source import Source
from dashboard.words import number, plain
from evo.errors import EvoError
from evo.lineage import Table

LIVE_SECONDS = 2.0
IDLE_SECONDS = 10.0
MOST_DIGITS = 16  # of a number that a browser has exactly
FILTERS = ("run", "island", "from", "to")
# Two cards beside each other on a phone, five at 1280 pixels.
CARD_PIXELS = 156


@st.cache_resource(show_spinner=False)
def _source(places: tuple[str, ...]) -> Source:
    return Source([Path(place) for place in places])


def source() -> Source:
    """The runs named on the command line; all viewers share this source."""
    return _source(tuple(sys.argv[1:]) or ("runs",))


def sidebar() -> None:
    """The filters. Each is part of the address, so that a view can be shared as a link."""
    for key in FILTERS:  # a click on another page while this page is being drawn removes them from the address
        if st.session_state.get(key) is not None and key not in st.query_params:
            st.query_params[key] = str(st.session_state[key])
    # No default, so that the run is always in the address: when a link is followed, another run may be the latest.
    st.selectbox("Run", _offered(), index=None, key="run", bind="query-params", placeholder="no run yet")
    if not st.session_state.get("run"):
        return
    try:
        islands = [row[0] for row in source().ask(st.session_state.run, overview.islands).rows]
    except EvoError:  # the view says what is wrong with the run
        islands = []
    # A link may name an island that has no result yet.
    named = [int(island) for island in [st.query_params.get("island", "")] if island.isdecimal()]
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
    """All runs, and the chosen run even if it is gone: its view says so."""
    runs = list(source().runs())
    chosen = st.session_state.get("run") or st.query_params.get("run") or (runs[0] if runs else None)
    if chosen is None:
        return []
    begin_with("run", chosen)
    return runs if chosen in runs else [*runs, chosen]


def begin_with(key: str, value: Any) -> None:
    """Set the initial value of a widget bound to the address, unless the reader or a link has set it."""
    if st.session_state.get(key) is not None:
        return
    if key not in st.session_state and key not in st.query_params:
        # Only before the widget exists; from then on it keeps its part of the address itself.
        st.query_params[key] = str(value)
    st.session_state[key] = value


def begin_with_individual(run: str) -> bool:
    """Have the widget `id` begin with the individual in the address, else with the best; False while there is none.

    Another page's widget of this key leaves its value in the session, but Streamlit gives it to this page's widget only
    if it is set again.
    """
    if st.session_state.get("id") is not None:
        st.session_state.id = st.session_state.id
        if "id" not in st.query_params:
            st.query_params["id"] = str(st.session_state.id)
        return True
    named = st.query_params.get("id", "")
    found = int(named) if named.isdecimal() and len(named) < MOST_DIGITS else source().ask(run, individual.best)
    if found is None:
        return False
    begin_with("id", found)
    return True


def filters() -> Filters:
    """The filters of this view. Without any run the view ends here, with a sentence on what to do."""
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
    """Draw a part of a view now and every two seconds (ten once the run is over), without redrawing other parts.

    Args:
        key: identifies it among the live parts of the view.
        seconds: between updates while the run is running; longer for expensive queries.
    """
    seconds = seconds if _is_running() else IDLE_SECONDS

    @st.fragment(run_every=seconds, key=f"live-{key}")
    def update() -> None:
        guarded(draw)

    update()


def _is_running() -> bool:
    try:
        return source().holder(st.session_state.run) is not None
    except EvoError:
        return True  # it may come back


def guarded(draw: Callable[[], None]) -> None:
    """Draw; if the run cannot be read, say why in a sentence."""
    try:
        draw()
    except EvoError as error:
        st.warning(plain(error), icon=":material/cloud_off:")


def empty(what: str, do: str) -> None:
    """Say that there is nothing to show, and what to do about it; both texts are Markdown written here."""
    with st.container(border=True):
        st.markdown(f"**{what}**  \n{do}")


def chart(figure: go.Figure, key: str) -> None:
    """A figure that keeps its zoom when it is updated."""
    plotting.draw(figure, key)


def picking_chart(figure: go.Figure, key: str) -> list[int]:
    """The same; returns the individuals whose points were clicked or selected."""
    return plotting.draw(figure, key, picks=True)


def cards(figures: Sequence[tuple[str, str, str]]) -> None:
    """Numbers in boxes, side by side as far as there is room.

    Args:
        figures: label, value and remark of each; foreign text is escaped here.
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
    """A table that can be scrolled and sorted; columns without any value are left out.

    Args:
        labels: column to its title, or to a Streamlit column configuration.
        links: column to a function from a value to the address it leads to, which ends in `=VALUE`.
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
    """Floats in six significant digits, unless the caller configures the column."""
    if isinstance(title, str) and of in ("DOUBLE", "FLOAT"):
        return st.column_config.NumberColumn(title, format="%.6g")
    return title


def individuals(shown: Table, key: str, filters: Filters) -> None:
    """A table whose column `id` links to the individual's page."""
    table(shown, key, labels={"id": "individual"}, links={"id": individual_link(filters)})


def individual_link(filters: Filters) -> Callable[[Any], str]:
    """A function from an individual's id to the address of its page, with the same filters."""
    return lambda individual: filters.link("individual", id=individual)


def picked_individuals(filters: Filters, picked: Sequence[int], key: str) -> None:
    """A table of the individuals that were clicked or selected in a figure, if any."""
    if picked:
        st.markdown(f"**{number(len(picked))} selected**")
        individuals(source().ask(filters.run, front.picked, tuple(picked)), key, filters)


def link(view: str, label: str, filters: Filters, **more: int | str) -> None:
    """A link to a view, with the same filters."""
    st.page_link(f"views/{view}.py", label=plain(label), query_params=filters.parameters(**more))


def tells(stretch: Stretch) -> str:
    """A stretch in words; empty for the whole run."""
    parts = [f"island {stretch.island}"] if stretch.island is not None else []
    parts += [f"from tell {number(stretch.first)}"] if stretch.first else []
    parts += [f"to tell {number(stretch.last)}"] if stretch.last is not None else []
    return ", ".join(parts)
