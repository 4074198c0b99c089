"""What BLISS 2.3 and later ask about the file of a scan."""
