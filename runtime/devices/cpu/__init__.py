"""This machine's processor: machine code in the process, run by a pool of threads."""
