"""Is it right? ``weft.check`` compares every tensor of a target with a reference's.

``check.py`` is the comparison, ``judges.py`` are the references, ``report.py`` is what is shown,
``tolerances.py`` the one table of what may differ by how much.
"""
