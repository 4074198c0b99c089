"""Questions about files and disks."""
