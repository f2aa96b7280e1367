"""The version of weft: in packages, records, bundles and the keys of the kernel cache."""

__version__ = "0.1.0"
