"""Public test kit: embedded Redis, simulated BLISS session, conformance gate."""
