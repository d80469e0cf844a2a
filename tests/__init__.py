"""Laws of each module, end-to-end tests and benchmarks."""
