"""The dashboard's entry: `evo dashboard` runs it with Streamlit, the runs to show as arguments."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import shell

# From a file: Streamlit would fetch an icon of its own from the internet.
ICON = Path(__file__).with_name("icon.svg")
# Without this, Streamlit's sign of being at work would flicker with every update of a live view.
STYLE = '<style>[data-testid="stStatusWidget"] { display: none; } .stMainBlockContainer { padding-top: 4rem; }</style>'
VIEWS = (
    ("overview", "Overview", ":material/monitoring:"),
    ("front", "Front", ":material/scatter_plot:"),
    ("lineage", "Lineage", ":material/account_tree:"),
    ("individual", "Individual", ":material/genetics:"),
    ("operators", "Operators and models", ":material/tune:"),
    ("islands", "Islands and niches", ":material/grid_on:"),
    ("failures", "Failures", ":material/error:"),
    ("workers", "Workers", ":material/lan:"),
    ("compare", "Compare", ":material/compare_arrows:"),
    ("sql", "SQL", ":material/database:"),
)


def main() -> None:
    """A page for each view, and beside it the filters that all views share."""
    st.set_page_config(page_title="evo", page_icon=ICON, layout="wide")
    st.html(STYLE)
    pages = [
        st.Page(f"views/{name}.py", title=title, icon=icon, url_path=name, default=not at)
        for at, (name, title, icon) in enumerate(VIEWS)
    ]
    page = st.navigation(pages)
    with st.sidebar:
        shell.sidebar()
    page.run()


main()
