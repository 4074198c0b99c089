"""Value types that every layer shares: what a scan is, what happens to it, what a file looks like.

Nothing here does input or output, reads a clock, or knows a thread.
"""
