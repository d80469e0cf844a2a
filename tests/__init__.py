"""Laws, contracts and end-to-end tests."""
