"""The only code that touches HDF5: builds trees, appends points, commits, recovers."""
