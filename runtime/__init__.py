"""Runs compiled programs: data types, packages, devices, the executor.

Imports nothing else of weft, so that a machine that only runs models needs only this folder (and
numpy, ml_dtypes, llvmlite). ``weft.runtime.load("m.weft")`` is the entry.
"""
