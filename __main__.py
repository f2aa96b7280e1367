"""``python -m weft`` is ``weft``."""

from .compiler.cli.main import main

raise SystemExit(main())
