"""The programs under the module names that they have in BLISS 1.11."""
