"""Functions such as exp, written out where a target lacks them or is inaccurate.

``math.py`` is the pass; ``float32.py``, ``float64.py`` and ``basic.py`` are the expansions, each
with its source and its largest error, made of what ``forms.py`` has for every width.
"""
