"""A whole front-end from outside of weft: a text file with one multiplication."""

from pathlib import Path

import numpy as np
from weft.compiler.frontends.table import FrontEnd
from weft.compiler.graph.builder import GraphBuilder
from weft.runtime.errors import ModelError

MARK = b"toy 1\n"


def load(source, shapes=None, constants=None):
    text = source if isinstance(source, bytes) else Path(source).read_bytes()
    facts = dict(line.split(" ", 1) for line in text.decode().splitlines()[1:])
    if set(facts) != {"scale", "shape"}:
        raise ModelError("a toy model has a scale and a shape.")
    b = GraphBuilder("toy")
    x = b.input("x", "float32", tuple(map(int, facts["shape"].split())))
    scale = b.constant(np.float32(facts["scale"]), "scale")
    return b.finish(list(b.add("mul", [x, scale])))


ROW = FrontEnd("toy", load, lambda source, head: head.startswith(MARK))
