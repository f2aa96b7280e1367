"""Tensor expressions, schedules and loop nests: what a kernel computes, how, and its lowering.

``te.py`` is what a user imports; ``lower.py`` holds the pipeline from a schedule to a loop nest.
"""
