"""``te.hybrid``: a Python function whose source becomes statements.

``script.py`` is the decorator and what runs the function as plain Python, ``parser.py`` goes over
the syntax tree.
"""
