"""OpenGL without a window: fragment shaders on textures."""
