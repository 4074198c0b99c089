"""The writer of ``SCAN_SAVING.writer = "hdf5"``."""
