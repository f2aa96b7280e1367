"""From groups of a graph to kernels, and from kernels to a program.

``kernel.py`` is the road of one group: schedule, lower (``launches.py``), emit, facts; the result
is a ``CompiledGroup`` (``compiled.py``), which ``cache.py`` keeps. ``program.py`` and ``calls.py``
make the program of a whole graph, ``build.py`` that of one te schedule, ``link.py`` its code
objects. ``roofline.py`` judges what was measured.
"""
