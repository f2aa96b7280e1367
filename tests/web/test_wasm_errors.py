"""Wrong code for the wasm device: a named error that says what to do."""

import json
import subprocess
from pathlib import Path

import pytest
import weft
from web.wasm_node import NodeRunner, need_tools
from weft.benchmarks import zoo

SCRIPT = Path(__file__).parent / "wasm_errors.mjs"
EXPECTED = {
    "missing": ("BundleError", "'kernels.wasm' is missing"),
    "html": ("BundleError", "'kernels.wasm' is not WebAssembly"),
    "empty": ("BundleError", "'kernels.wasm' is not WebAssembly"),
    "truncated": ("DeviceError", "'kernels.wasm' cannot be compiled"),
    "broken": ("DeviceError", "'kernels.wasm' cannot be compiled"),
    "strange": (
        "BundleError",
        "'kernels.wasm' does not behave as one of weft's: it has no function",
    ),
    "foreign": ("BundleError", "has no kernel 'another'"),
    "huge": ("DeviceError", "there is no memory for 4294967296 bytes"),
    "disposed": ("DisposedError", "the device was disposed of"),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    need_tools()
    folder = tmp_path_factory.mktemp("wasm")
    model = zoo.random_model("mnist_cnn")
    runner = NodeRunner(folder)
    runner.add_executable(weft.compile(model, "wasm", shapes=zoo.shapes(model)), {})
    (folder / "jobs.json").write_text(json.dumps(runner.jobs))
    done = subprocess.run(
        ["node", str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("check", EXPECTED)
def test_error(said, check):
    name, text = EXPECTED[check]
    assert said[check][0] == name, said[check]
    assert text in said[check][1]


def test_a_second_init_takes_the_place_of_the_first(said):
    """What was stopped half-way is begun anew by the same device, and must leave nothing behind."""
    first, second = said["blocks"]
    assert first == second > 0
