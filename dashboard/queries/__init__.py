"""What the views ask of a run: functions from a reader to something bounded, without Streamlit; aggregates in SQL."""

# At most so many points a chart: the browser draws them, and the server sends them again with each update.
MOST_POINTS = 5000
