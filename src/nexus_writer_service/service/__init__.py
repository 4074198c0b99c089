"""Lifecycle: what runs, in which thread, until when."""
