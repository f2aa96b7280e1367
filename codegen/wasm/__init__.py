"""WebAssembly: kernels through the LLVM emitter, linked by Emscripten with ``templates/host.c``."""
