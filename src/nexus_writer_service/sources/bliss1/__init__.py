"""BLISS 1 in Redis: the tree of nodes of blissdata 0.3, read without it."""
