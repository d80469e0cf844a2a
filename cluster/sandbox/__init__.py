"""The sandbox: all that holds a candidate. No Ray here."""
