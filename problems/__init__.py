"""Built-in problems: what a search optimises."""
