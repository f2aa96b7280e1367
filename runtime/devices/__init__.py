"""One file per kind of device; each is imported only when a program asks for it."""
