"""Figures: functions from the result of a query to a plotly figure, without Streamlit."""
