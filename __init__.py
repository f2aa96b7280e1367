"""weft: a tensor compiler. One kernel definition, woven into every target."""

__version__ = "0.1.0"
