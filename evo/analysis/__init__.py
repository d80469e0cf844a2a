"""Analysis: what finished runs teach."""
