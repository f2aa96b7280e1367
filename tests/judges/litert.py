"""What LiteRT says: ``tools/judge.sh litert`` writes ``tests/frontends/answers/litert``.

Real models run on seeded noise and on a photograph; of long results every so many elements are
kept. The reference kernels are asked, whose arithmetic is defined; they know no operators from
outside, so MediaPipe's ``Convolution2DTransposeBias`` becomes the ``TRANSPOSE_CONV`` that it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = ROOT / "tests" / "frontends" / "answers" / "litert"
sys.path[:0] = [str(ROOT / "tests" / k) for k in ("judges", "support")]

import lite_models  # noqa: E402
import litert_cases  # noqa: E402
import litert_flow  # noqa: E402
import litert_nn  # noqa: E402
import litert_ops  # noqa: E402
from ai_edge_litert import schema_py_generated as schema  # noqa: E402
from flatbuffers import Builder  # noqa: E402
from PIL import Image  # noqa: E402


def without_custom(data: bytes) -> bytes:
    """The model with builtin operators in place of MediaPipe's own."""
    model = schema.ModelT.InitFromPackedBuf(data)
    codes = model.operatorCodes
    own = [k for k, c in enumerate(codes) if c.customCode == b"Convolution2DTransposeBias"]
    if not own:
        return data
    for code in (codes[k] for k in own):
        code.customCode, code.version = None, 3
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE_CONV
    graph = model.subgraphs[0]
    for op in graph.operators:
        if op.opcodeIndex not in own:
            continue
        padding, across, down = np.frombuffer(bytes(op.customOptions), "<i4", 3)
        x, w, bias = op.inputs
        shape = np.array(graph.tensors[op.outputs[0]].shape, np.int32)
        buffer, size = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(shape.tobytes(), np.uint8)
        size.shape, size.type = [4], schema.TensorType.INT32
        size.buffer, size.name = len(model.buffers), b"size of the result"
        model.buffers.append(buffer)
        graph.tensors.append(size)
        op.inputs = [len(graph.tensors) - 1, w, x, bias]
        options = schema.TransposeConvOptionsT()
        options.padding = {1: schema.Padding.SAME, 2: schema.Padding.VALID}[int(padding)]
        options.strideW, options.strideH = int(across), int(down)
        op.builtinOptionsType = schema.BuiltinOptions.TransposeConvOptions
        op.builtinOptions, op.customOptions = options, None
    builder = Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def answers(data: bytes, make_inputs, reference: bool = True) -> list[np.ndarray]:
    """The results of a model of one input or several."""
    kind = (
        OpResolverType.BUILTIN_REF
        if reference
        else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    judge = Interpreter(model_content=data, experimental_op_resolver_type=kind)
    judge.allocate_tensors()
    for d in judge.get_input_details():
        judge.set_tensor(d["index"], make_inputs(d))
    judge.invoke()
    return [judge.get_tensor(d["index"]) for d in judge.get_output_details()]


def trained() -> None:
    """The answers of the trained models."""
    for case in lite_models.CASES:
        data = without_custom(case.path.read_bytes())
        kept = {}
        asked = {"noise": lambda d: lite_models.noise(d["shape"], d["dtype"])}
        if case.photo:
            pixels = np.asarray(Image.open(lite_models.FETCHED / case.photo).convert("RGB"))
            asked["photo"] = lambda d, c=case, p=pixels: lite_models.picture(
                p, c, d["shape"], d["dtype"]
            )
        for what, make in asked.items():
            for k, result in enumerate(answers(data, make)):
                kept[f"{what}.{k}"] = lite_models.sampled(result)
                kept[f"{what}.{k}.top"] = np.array(np.argmax(result))
        np.savez_compressed(ANSWERS / f"{case.name}.npz", **kept)
        print(case.name, {k: v.shape for k, v in kept.items() if "top" not in k})


def _asked(data: bytes, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The results; of the plain kernels where there is no reference kernel."""
    try:
        return answers(data, lambda d: given[d["name"]])
    except ValueError:
        return answers(data, lambda d: given[d["name"]], reference=False)


def single() -> None:
    """Models of one operator: the file, what it was given, what came out."""
    kept: dict[str, np.ndarray] = {}
    cases = (*litert_cases.CASES, *litert_nn.CASES, *litert_flow.CASES)
    for case in cases:
        given = {f"x{k}": litert_ops.feed(case, k, r) for k, r in enumerate(case.reads)
                 if isinstance(r, litert_ops.X)}  # fmt: skip
        why = None
        for version in range(1, 13):  # the judge knows an operator by its version, too
            data = litert_ops.model(case, version)
            try:
                made = _asked(data, given)
                break
            except (RuntimeError, ValueError) as e:
                if why is None or "version" not in str(e):
                    why = e
        else:
            print(f"{case.name}: refused: {str(why)[:300]}")
            continue
        kept[f"{case.name}/model"] = np.frombuffer(data, np.uint8)
        kept |= {f"{case.name}/{k}": v for k, v in given.items()}
        kept |= {f"{case.name}/y{k}": v for k, v in enumerate(made)}
    lite_models.pack(ANSWERS / "ops.npz", kept)
    print(sum(k.endswith("model") for k in kept), "of", len(cases), "operators")


if __name__ == "__main__":
    ANSWERS.mkdir(parents=True, exist_ok=True)
    if "ops" not in sys.argv:
        trained()
    single()
