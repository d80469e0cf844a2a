"""The journal: the append-only record of a run, and how a search is rebuilt from it."""
