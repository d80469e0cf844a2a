"""The pages: Streamlit runs a page's file from top to bottom whenever something changes."""
