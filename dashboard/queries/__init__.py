"""The views' queries: functions from a reader to a result of bounded size, without Streamlit; aggregates are in SQL."""

# The limit of points in a chart: the browser draws them, and the server sends them again with each update.
MOST_POINTS = 5000
