"""LLVM IR through llvmlite, and object code of any processor that LLVM knows.

``generator.py`` is the target; ``kernel.py`` writes a function, ``memory.py`` its loads and stores,
``expressions.py`` and ``values.py`` what it computes, ``ranges.py`` what is known of its integers.
"""
