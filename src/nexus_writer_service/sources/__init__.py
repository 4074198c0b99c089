"""Adapters in: foreign protocols become scan events."""
