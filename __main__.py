"""``python -m weft`` is ``weft``."""

from .compiler.cli import main

raise SystemExit(main())
