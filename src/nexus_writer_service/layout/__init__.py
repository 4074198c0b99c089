"""Layouts: pure functions from a scan's description to file trees.

``plan.py`` says what every layout offers; each layout is a subpackage or module of its own.
"""
