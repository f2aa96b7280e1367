"""Caffe2: a net that computes, ``predict_net.pb``, and one that fills its weights,
``init_net.pb``.

``files.py`` finds the other file of a pair, ``schema.py`` declares their protocol buffers,
``fills.py`` computes weights and ``nets.py`` reads the graph; ``context.py`` reads arguments, and
``ops_*.py`` have the converters that ``converters.py`` lists; ``importer.py`` puts them together.
"""
