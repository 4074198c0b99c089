"""Commands: the faces that a shell sees."""
