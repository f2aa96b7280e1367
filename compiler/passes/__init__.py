"""Graph passes: plain functions ``Graph -> Graph``, one idea per file."""
