"""``python -m formats`` writes ``docs/FORMATS.md``."""

from formats.table import main

main()
