"""Bluesky: documents of runs, live and recorded."""
