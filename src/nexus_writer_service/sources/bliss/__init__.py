"""BLISS: scans published in Redis by blissdata 2."""
