"""The conformance grid: every case of every operator on every target, against numpy.

``columns.py`` is the one table of targets and of how each runs a batch of cases; ``test_grid.py``
judges them; ``table.py`` writes ``docs/OPERATORS.md``.
"""
