"""NeXus writer service: live scans of BLISS and Bluesky become NeXus HDF5 files.

Importing the package costs nothing and touches nothing; its layers are in
``docs/architecture.md``.
"""
