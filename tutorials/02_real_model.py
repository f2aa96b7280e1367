"""A trained model: load, look, compile, run, profile, save, run again without the compiler.

Run it with ``python tutorials/02_real_model.py`` from a checkout where weft is installed (``make
demo`` does that, in ``.venv``). The model and the photograph come from packages of the Python index
(see ``benchmarks/zoo``) and are kept in ``build/models``.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import weft
from weft.benchmarks.zoo import judge, real

# ---- 1. Load ----------------------------------------------------------------------------------
#
# weft.load takes a path, bytes or an onnx.ModelProto. This model has a symbolic batch size N, so
# that what we get has a signature and waits for the size.

model = real.efficientnet_lite0()  # an onnx.ModelProto
graph = weft.load(model)
print(graph)

# ---- 2. Compile -------------------------------------------------------------------------------
#
# Now N gets its value. Compiled kernels are cached on disk: the second time is quick.


def progress(stage, done, total):
    print(f"\r{stage:<10} {done}/{total}   ", end="", flush=True)


exe = weft.compile(graph, target="llvm", shapes={"N": 1}, progress=progress)
print()
print(exe)

# ---- 3. Run -----------------------------------------------------------------------------------
#
# Arrays by position or by name. One output: an array; several: a tuple.

image = real.pixels(real.photo("coffee.png"))  # float32 [1, 3, 224, 224]
logits = exe(image)
assert np.array_equal(logits, exe(image=image))
assert np.array_equal(logits, exe.run({"image": image})["logits"])

names, p = real.class_names(), real.softmax(logits)[0]
for k in np.argsort(-p)[:3]:
    print(f"{p[k]:6.1%}  {names[k]}")
assert names[int(p.argmax())] == "espresso"

theirs = judge.reference(model, {"image": image})["logits"]
print(f"largest relative error against ONNX Runtime: {judge.relative_error(logits, theirs):.1e}")
assert judge.relative_error(logits, theirs) <= 1e-4

# A wrong call says what was expected.
try:
    exe(image[:, :, :100])
except weft.WeftError as e:
    print(f"\n{type(e).__name__}: {e}\n")

# ---- 4. Where does the time go? ---------------------------------------------------------------

print("\n".join(str(exe.profile(image, repeat=3)).splitlines()[:8]))

# ---- 5. Save; run without the compiler --------------------------------------------------------

ALONE = """
import sys, numpy as np, weft
exe = weft.runtime.load(sys.argv[1])
logits = exe(np.load(sys.argv[2]))
assert "onnx" not in sys.modules and "weft.compiler" not in sys.modules
print("best class without the compiler:", int(logits.argmax()))
"""

with tempfile.TemporaryDirectory() as folder:
    package, array = Path(folder) / "lite0.weft", Path(folder) / "image.npy"
    exe.save(package)
    np.save(array, image)
    print(f"\n{package.name}: {package.stat().st_size / 2**20:.1f} MiB")
    subprocess.run([sys.executable, "-c", ALONE, package, array], check=True)
