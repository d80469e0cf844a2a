"""A page each. Streamlit runs the file from top to bottom whenever something changes."""
