"""What BLISS 2.2 asks about the file of a scan."""
