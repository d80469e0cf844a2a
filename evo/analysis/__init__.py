"""Analysis: what runs teach, and how methods compare."""
