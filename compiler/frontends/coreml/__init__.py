"""Core ML: neural networks and ML programs, as ``.mlmodel`` files and ``.mlpackage`` folders.

``package`` finds the files, ``proto`` and ``layers`` declare the messages, ``features`` reads the
description, ``importer`` makes graphs. ``program`` makes a :class:`FileModel` of an ML program,
whose values ``values`` reads; ``mil_*`` convert its operations. ``network`` makes one of a neural
network, with ``weights``; ``nn_*`` convert its layers.
"""
