"""Runs on a Ray cluster elsewhere, through the HTTP port of its head: submit, look, stop, fetch, go on.

Imports nothing by itself: `entrypoint` has to begin in whatever Python a head has on its path.
"""
