"""Compute shaders: WGSL."""
