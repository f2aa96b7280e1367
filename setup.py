"""The packages of weft: the repository itself is ``weft``, its folders are below it.

``packages.find`` in pyproject.toml cannot name a package after anything but its folder.
"""

from setuptools import find_packages, setup

LAYERS = ("compiler", "codegen", "ir", "runtime", "runtime_js")
found = find_packages(include=[p for layer in LAYERS for p in (layer, f"{layer}.*")])
setup(packages=["weft", *(f"weft.{p}" for p in found)])
