"""Where evaluations run: the executors, the sandbox, and runs that are submitted to a cluster."""
