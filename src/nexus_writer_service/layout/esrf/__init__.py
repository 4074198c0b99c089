"""The classic ESRF layout: one NXentry ``<scan number>.<i>`` for each top master of a scan."""
