"""PyTorch's answers for tests/frontends/test_torch_*.py: tools/judge.sh pytorch [group …]

For each group of operators it writes what torch.export.save makes of a small module,
``GROUP.pt2`` (as traced) and ``GROUP.core.pt2`` (decomposed to core ATen), and ``GROUP.npz``:
inputs and outputs. ``schemas`` in the place of groups writes the arguments of the overloads that
are listed on the standard input; ``script FILE`` writes TorchScript, and what silero_vad.jit
answers.
"""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import pytorch_cases

OUT = Path(__file__).parents[1] / "frontends/answers/pytorch"


def flat(value) -> list[np.ndarray]:
    """All tensors and numbers of a result, in order."""
    if value is None:
        return []
    if isinstance(value, torch.Tensor):
        return [value.detach().numpy()]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [a for v in value for a in flat(v)]
    return [np.asarray(value)]


def saved(program, path: Path) -> None:
    """As PyTorch saves it, its members compressed: most of it is where a node comes from."""
    file = io.BytesIO()
    torch.export.save(program, file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, 9) as new:
        for info in old.infolist():
            new.writestr(zipfile.ZipInfo(info.filename), old.read(info), zipfile.ZIP_DEFLATED, 9)


def write(name: str, module: torch.nn.Module, inputs, dynamic=None) -> None:
    with torch.no_grad():
        answers = flat(module(*[i.clone() for i in inputs]))
        program = torch.export.export(module, tuple(inputs), dynamic_shapes=dynamic)
        saved(program, OUT / f"{name}.pt2")
        saved(program.run_decompositions(), OUT / f"{name}.core.pt2")
    arrays = {f"in{k}": i.numpy() for k, i in enumerate(inputs)}
    np.savez_compressed(
        OUT / f"{name}.npz", **arrays, **{f"out{k}": a for k, a in enumerate(answers)}
    )


def old(name: str) -> None:
    """``GROUP`` as PyTorch before 2.8 archived it, and its weights alone as a state dict, now and
    before 1.6."""
    from torch._export.serde.serialize import serialize

    program = torch.export.load(str(OUT / f"{name}.pt2"))
    parts = serialize(program)
    with zipfile.ZipFile(OUT / f"{name}.old.pt2", "w", zipfile.ZIP_DEFLATED, 9) as z:
        z.writestr("version", "7.0")
        z.writestr("serialized_exported_program.json", parts.exported_program)
        z.writestr("serialized_state_dict.pt", parts.state_dict)
        z.writestr("serialized_constants.pt", parts.constants)
    torch.save(program.state_dict, OUT / f"{name}.state.pth")
    torch.save(program.state_dict, OUT / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)


def script() -> None:
    """A module as TorchScript, and the detector of speech of the package silero-vad, which
    ``weft.benchmarks.zoo.packages`` has."""
    torch.manual_seed(0)
    module = torch.jit.script(pytorch_cases.Scripted().eval())
    module.save(str(OUT / "script.jit"))
    x = torch.randn(3, 4)
    with torch.no_grad():
        np.savez_compressed(OUT / "script.jit.npz", in0=x.numpy(),
                            **{f"out{k}": a for k, a in enumerate(flat(module(x, 2)))})  # fmt: skip
    speech = torch.jit.load(sys.argv[2]).eval()
    rng, t = np.random.default_rng(0), np.arange(2560) / 16000
    voice = 0.4 * np.sin(2 * np.pi * 160 * t * (1 + 0.05 * np.sin(2 * np.pi * 3 * t)))
    x = torch.from_numpy((voice + 0.02 * rng.standard_normal(len(t))).astype(np.float32)[None])
    state = torch.from_numpy(0.3 * rng.standard_normal((2, 1, 128)).astype(np.float32))
    found = {"in0": x.numpy(), "in1": state.numpy()}
    with torch.no_grad():
        found["out0"] = speech.audio_forward(x, 16000).numpy()
        for k, (part, count) in enumerate((("_model", 576), ("_model_8k", 288))):
            got = getattr(speech, part)(x[:, 400 : 400 + count], state)
            found |= {f"out{2 * k + 1 + j}": g.numpy() for j, g in enumerate(got)}
    np.savez_compressed(OUT / "silero.jit.npz", **found)


def schemas() -> None:
    """``NAME argument …``, by lines, of the overloads that the standard input lists."""
    lines = []
    for name in sorted(sys.stdin.read().split()):
        packet, _, overload = name.partition(".")
        op = getattr(getattr(torch.ops.aten, packet, None), overload, None)
        if op is None:
            print("no overload", name, file=sys.stderr)
            continue
        lines.append(" ".join([name, *(a.name for a in op._schema.arguments)]))
    (OUT / "schemas.txt").write_text("\n".join(lines) + "\n")


def main() -> None:
    wanted = sys.argv[1:]
    if wanted == ["schemas"]:
        schemas()
        return
    OUT.mkdir(parents=True, exist_ok=True)
    if wanted[:1] == ["script"]:
        script()
        return
    for name, make in pytorch_cases.CASES.items():
        if wanted and name not in wanted:
            continue
        torch.manual_seed(len(name))
        module, inputs, *dynamic = make()
        try:
            write(name, module.eval(), inputs, *dynamic)
            if name == "quiet":
                old(name)
            print(name)
        except Exception as e:
            print("FAILED", name, type(e).__name__, str(e).splitlines()[:3])


if __name__ == "__main__":
    main()
