"""What TensorFlow and Keras say: ``tools/judge.sh tensorflow [part …]``.

Each part is a module beside this one, ``tensorflow_PART.py``, with a function ``main``.
"""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = sorted(p.stem.removeprefix("tensorflow_") for p in HERE.glob("tensorflow_*.py"))

if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)  # not HERE, where this file has the name of a package
    for part in sys.argv[1:] or PARTS:
        print(f"==> {part}", flush=True)
        importlib.import_module(f"judges.tensorflow_{part}").main()
