"""The engine: what runs a search, from a configuration to a finished run."""
