"""From tables to plotly figures, without Streamlit: one palette, axes with units, foreign text escaped."""
