"""Schedule rules per kind of computation; they ask the target for capabilities, not names."""
