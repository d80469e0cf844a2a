"""Runs on a Ray cluster elsewhere, through the HTTP port of its head: submit, list, stop, fetch, resume.

Imports nothing by itself: `entrypoint` has to start in whatever Python a head has on its path.
"""
