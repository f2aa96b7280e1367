"""WebGPU outside of browsers, through wgpu."""
