"""OpenCL C 1.2."""
