"""Fragment shaders: GLSL 3.30 for desktops, GLSL ES 3.00 for browsers."""
