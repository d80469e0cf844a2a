"""Where it runs: executors and the sandbox."""
