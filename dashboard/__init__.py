"""What a person sees: Streamlit pages over the lineages of runs."""
