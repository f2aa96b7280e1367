"""MXNet's answers: tools/judge.sh mxnet [full FOLDER]

Without arguments it writes, below tests/frontends/answers/mxnet, a symbol and its outputs for each
case of mxnet_cases.py (``ops.json``, ``ops.npz``) and each network (``nets.zip``, ``nets.npz``).
Inputs and weights come from tests/support/mxnet_files.py, by names. With ``full`` it writes the
networks with their weights and outputs at their full size into a folder, for a look at parity.
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("MXNET_MKLDNN_ENABLED", "0")  # oneDNN fails on a few operators
os.environ["MXNET_STORAGE_FALLBACK_LOG_VERBOSE"] = "0"

import mxnet as mx
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
import mxnet_cases  # noqa: E402
import mxnet_files  # noqa: E402
import mxnet_nets  # noqa: E402

ONEDNN = "rnn_"  # cases that have no other kernels
ANSWERS = HERE.parent / "frontends" / "answers" / "mxnet"


def compact(symbol) -> str:
    """A symbol as the file that ``save`` writes, without what nobody reads."""
    graph = json.loads(symbol.tojson(remove_amp_cast=False))
    return json.dumps(graph, separators=(",", ":"))


def answers(symbol, given: dict) -> tuple:
    """Shapes of the variables that are not given, and the outputs of a symbol."""
    shapes = {k: v.shape for k, v in given.items()}
    arguments, _, states = symbol.infer_shape(**shapes)
    args = dict(zip(symbol.list_arguments(), arguments))
    aux = dict(zip(symbol.list_auxiliary_states(), states))
    rest = {k: tuple(s) for k, s in {**args, **aux}.items() if k not in given}
    arrays = {k: mx.nd.array(v, dtype=v.dtype) for k, v in given.items()}
    arrays |= {k: mx.nd.array(mxnet_files.parameter(k, s)) for k, s in rest.items()}
    bound = symbol.bind(
        mx.cpu(), {k: arrays[k] for k in args}, aux_states={k: arrays[k] for k in aux}
    )
    return rest, [o.asnumpy() for o in bound.forward(is_train=False)]


def operators() -> None:
    """One small symbol for each case."""
    listed, stored = [], {}
    for name, make, specs in mxnet_cases.cases(mx.sym):
        with mx.name.NameManager():
            symbol = make()
        given = {k: mxnet_cases.value(f"{name}.{k}", spec) for k, spec in specs.items()}
        rest, outputs = by_onednn(name) if name.startswith(ONEDNN) else answers(symbol, given)
        listed.append(
            {"name": name, "inputs": specs, "params": rest, "symbol": json.loads(compact(symbol))}
        )
        stored |= {f"{name}:{k}": o for k, o in enumerate(outputs)}
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in listed)
    (ANSWERS / "ops.json").write_text(f"[\n{lines}\n]\n")
    np.savez_compressed(ANSWERS / "ops.npz", **stored)
    names = sorted({n["op"] for one in listed for n in one["symbol"]["nodes"]} - {"null"})
    print(len(listed), "cases of", len(names), "operators")


def by_onednn(name: str) -> tuple:
    """The answers of a case by oneDNN, which only another process can choose."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.npz"
        command = [sys.executable, "-P", __file__, "one", name, str(path)]
        subprocess.run(command, check=True, env={**os.environ, "MXNET_MKLDNN_ENABLED": "1"})
        found = np.load(path)
        return json.loads(str(found["params"])), [found[f"arr_{k}"] for k in range(len(found) - 1)]


def one(name: str, path: str) -> None:
    """Write the answers of one case."""
    _, make, specs = next(c for c in mxnet_cases.cases(mx.sym) if c[0] == name)
    given = {k: mxnet_cases.value(f"{name}.{k}", spec) for k, spec in specs.items()}
    with mx.name.NameManager():
        rest, outputs = answers(make(), given)
    np.savez(path, *outputs, params=json.dumps(rest))


def networks(folder: Path | None) -> None:
    """The networks: for CI at a small size of images, or whole into ``folder``."""
    stored, symbols = {}, {}
    for name, net, small, full in mxnet_nets.networks(mx):
        shape = full if folder else small
        if shape is None:
            continue
        x = mxnet_files.seeded("data", shape)
        net.initialize()
        symbol = net(mx.sym.var("data"))
        rest, outputs = answers(symbol, {"data": x})
        if folder:
            aux = symbol.list_auxiliary_states()
            arrays = {
                ("aux:" if k in aux else "arg:") + k: mxnet_files.parameter(k, s)
                for k, s in rest.items()
            }
            symbol.save(str(folder / f"{name}-symbol.json"))
            (folder / f"{name}-0000.params").write_bytes(mxnet_files.list_bytes(arrays))
            np.savez(folder / f"{name}.npz", data=x, answer=outputs[0])
        symbols[f"{name}.json"] = json.dumps(
            {"shape": shape, "params": rest, "symbol": json.loads(compact(symbol))},
            separators=(",", ":"),
        )
        stored[name] = outputs[0]
        print(name, shape, len(rest), "parameters")
    if folder is None:
        with zipfile.ZipFile(ANSWERS / "nets.zip", "w") as z:
            for name, text in symbols.items():
                info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
                z.writestr(info, text, zipfile.ZIP_DEFLATED, 9)
        np.savez_compressed(ANSWERS / "nets.npz", **stored)


if __name__ == "__main__":
    ANSWERS.mkdir(parents=True, exist_ok=True)
    if sys.argv[1:2] == ["full"]:
        target = Path(sys.argv[2])
        target.mkdir(parents=True, exist_ok=True)
        networks(target)
    elif sys.argv[1:2] == ["one"]:
        one(*sys.argv[2:])
    else:
        networks(None)
        operators()
