"""One lowering pass per file; ``ir/lower.py`` puts them in order."""
