"""Policies: which cases of a problem a candidate is scored on. Pure."""
