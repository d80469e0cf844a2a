"""The engine: genomes, search, survival, journal, lineage, configuration, command line."""
