"""The sandbox: runs candidates in processes that can reach nothing. Imports no Ray, and nothing else of `cluster`."""
