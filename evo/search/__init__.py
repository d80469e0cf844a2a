"""The search: a pure state machine of asks and tells, and what it is made of."""
