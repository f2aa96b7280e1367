"""Operations that are no element-by-element expression.

``scan.py``: a recurrence, each step of which is computed by expressions.
``extern.py``: an operation whose meaning is statements, written with the builder of ``builder.py``.
"""
