"""TensorFlow: graph models of TensorFlow.js, SavedModels and GraphDefs, by the same converters.

``tfjs.py``, ``saved.py`` (with ``bundle.py``) and ``graphdef.py`` read files; ``nodes.py`` makes a
model of what they find, ``flow.py`` loops and branches of TensorFlow 1's Switch and Merge;
``ops_*.py`` and ``lists.py`` convert.
"""
