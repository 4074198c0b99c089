"""Bluesky documents, told as the events of scans."""
