"""``docs/FORMATS.md``: what of each format is converted, and how near real files come."""
