"""MXNet: a symbol as JSON, ``PREFIX-symbol.json``, and its arrays, ``PREFIX-0000.params``.

``files.py`` finds the other file of a pair, ``params.py`` reads arrays and ``symbol.py`` the graph;
``context.py`` reads attributes, which are text in every version, and ``ops_*.py`` have the
converters that ``converters.py`` lists; ``importer.py`` puts them together.
"""
