"""Configuration: what every key means, and how a file, a problem and a command line make a configuration."""
