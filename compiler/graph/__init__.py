"""The graph of a model: operator calls as nodes, typed tensors as edges.

``graph.py`` is the graph, ``builder.py`` makes one, ``group.py`` is what becomes one kernel.
``evaluate.py`` computes a graph by its operators' references, ``folding.py`` does so at compile
time. Passes over it are in ``compiler/passes``.
"""
