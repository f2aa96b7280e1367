"""What the IR means, as programs: the oracle of every pass, schedule and code generator.

``interp.py`` runs loop nests, ``evaluate.py`` tensor expressions; ``semantics.py`` is the meaning
of each scalar operation, which both share.
"""
