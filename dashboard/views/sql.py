"""A read-only SQL console on a run's lineage, with limits."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from dashboard import saved, shell
from dashboard.charts import result as charts
from dashboard.filters import Filters
from dashboard.queries import schema
from dashboard.words import number, plain
from evo.errors import EvoError
from evo.lineage import Table
from evo.lineage.console import QueryLimits, Reply

START = "FROM best"
KINDS: Sequence[charts.Kind] = ("line", "points", "bars")
TALL = 640


def show() -> None:
    """The page."""
    filters = shell.filters()
    st.header(f"SQL on {plain(filters.run)}", anchor=False)
    left, right = st.columns([5, 3], gap="medium")
    with right:
        shell.guarded(lambda: _schema(filters))
    with left:
        _saved()
        _console(filters)


def _saved() -> None:
    """Example queries and saved queries."""
    path = saved.place(shell.source().places)
    try:
        own = saved.read(path)
    except EvoError as error:
        st.warning(plain(error))
        own = {}
    known = {**own, **{name: sql for name, sql in saved.EXAMPLES.items() if name not in own}}

    def take() -> None:
        if st.session_state.saved:
            st.session_state.sql = known[st.session_state.saved]

    st.selectbox("Saved queries", list(known), index=None, key="saved", on_change=take, placeholder="choose a query")


def _console(filters: Filters) -> None:
    if "sql" not in st.session_state and not st.query_params.get("sql"):
        st.session_state.sql = START
    query = st.text_area("Query", key="sql", bind="query-params", height=180)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button("Run", type="primary", icon=":material/play_arrow:"):
            _run(filters, query)
        _keeping(query)
    limits = QueryLimits()
    st.caption(
        f"Read-only, no file or network; at most {limits.seconds:g} s, {number(limits.rows)} rows and "
        f"{limits.memory_bytes >> 20} MiB. `evo sql` has no limits."
    )
    ran = st.session_state.get("ran")
    if ran and ran[0] == filters.run:
        if isinstance(ran[2], str):
            st.error(plain(ran[2]), icon=":material/error:")
        else:
            _answer(ran[2])


def _run(filters: Filters, query: str) -> None:
    """Run the query and keep its answer until the next. A link shows a query without running it."""
    answer: Reply | str
    try:
        with st.spinner("running the query"):
            answer = shell.source().query(filters.run, query)
    except EvoError as error:
        answer = str(error)
    st.session_state.ran = (filters.run, query, answer)


def _keeping(query: str) -> None:
    with st.popover("Save", icon=":material/bookmark:"):
        path = saved.place(shell.source().places)
        name = st.text_input("Name", key="name_of_query", max_chars=100)
        st.caption(f"In {plain(path.name)}, in the folder of the runs.")
        if st.button("Save the query", disabled=not name):
            try:
                saved.save(path, name, query)
                st.toast(f"Saved as {plain(name)}")
            except EvoError as error:
                st.error(plain(error))


def _answer(reply: Reply) -> None:
    found = reply.table
    more = "; there are more" if reply.cut else ""
    st.caption(f"{number(len(found.rows))} rows in {reply.seconds:.2f} s{more}")
    if not found.rows:
        shell.empty("No row.", "The query is valid; no row of the run matches it.")
        return
    shell.table(found, "result")
    _exports(found)
    _chart(found)


def _exports(found: Table) -> None:
    """Downloads, each made when its button is clicked."""
    with st.container(horizontal=True):
        for name, mime, written in (
            ("csv", "text/csv", _csv),
            ("parquet", "application/vnd.apache.parquet", _parquet),
            ("json", "application/json", _json),
        ):
            st.download_button(
                name, _later(written, found), f"answer.{name}", mime, icon=":material/download:", on_click="ignore"
            )


def _later(written: Callable[[Table], bytes], found: Table) -> Callable[[], bytes]:
    return lambda: written(found)


def _csv(found: Table) -> bytes:
    text: str = found.to_pandas().to_csv(index=False)
    return text.encode()


def _parquet(found: Table) -> bytes:
    from pyarrow import parquet

    into = io.BytesIO()
    parquet.write_table(found.to_arrow(), into)
    return into.getvalue()


def _json(found: Table) -> bytes:
    text: str = found.to_pandas().to_json(orient="records", date_format="iso", force_ascii=False, indent=1)
    return text.encode()


def _chart(found: Table) -> None:
    numbers = charts.numeric(found)
    if not numbers or len(found.rows) < 2:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control("Chart", KINDS, key="kind", bind="query-params")
        across = st.selectbox("Horizontal", found.columns, key="across", width=180)
        rest = [name for name in numbers if name != across] or numbers
        upwards = st.multiselect("Vertical", rest, default=rest[:1], key="upwards")
    if kind and upwards:
        shell.chart(charts.result(found, kind, across, upwards), "result-chart")


def _schema(filters: Filters) -> None:
    """The tables, views and macros, as the database describes itself."""
    source = shell.source()
    columns: Mapping[str, list[tuple[str, str, str]]] = defaultdict(list)
    for table, name, of, comment in source.ask(filters.run, schema.columns).rows:
        columns[table].append((name, of, comment or ""))
    st.markdown("**Tables, views and macros**")
    with st.container(height=TALL, border=True):
        for kind, name, comment in source.ask(filters.run, schema.tables).rows:
            with st.expander(f"{plain(name)} :gray[{kind}]"):
                st.caption(plain(comment or ""))
                lines = [
                    f"- **{plain(column)}** :gray[{plain(of)}] {plain(said)}" for column, of, said in columns[name]
                ]
                st.markdown("\n".join(lines) or "Call it with its arguments in parentheses.")


show()
