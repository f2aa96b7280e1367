"""Programs of WGSL kernels written by hand: memory, types, limits, drivers, packages."""

import os

import numpy as np
import pytest
from support import compute_checks as checks
from support import handmade_compute as handmade
from weft.runtime.devices.webgpu import adapter
from weft.runtime.errors import DeviceError

TARGET = "webgpu -fallback=none"


@pytest.fixture(scope="module", autouse=True)
def device():
    try:
        return adapter.shared()
    except DeviceError as e:
        pytest.skip(str(e))


def test_everything():
    checks.everything(TARGET)


def test_inputs_of_any_kind():
    checks.inputs_of_any_kind(TARGET)


def test_integers():
    checks.integers(TARGET)


def test_wide_integers_are_refused():
    checks.narrowed(TARGET)


@pytest.mark.parametrize("option", ["", " -has_float16"])
def test_small_floats(device, option):
    if option and not device.limits["has_float16"]:
        pytest.skip("the adapter has no 16-bit floats")
    b = handmade.Builder(TARGET + option)
    x, y = b.slot("x", "input", "float16", [7]), b.slot("y", "output", "float16", [7])
    b.step({"x": x}, y, "x[6 - i] * {T}(0.5)")
    one = np.linspace(-3, 5, 7).astype(np.float16)
    got = b.executable()(one)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, one[::-1] / 2)


def test_memory_is_shared():
    checks.memory_is_shared(TARGET)


def test_close_gives_back():
    checks.close_gives_back(TARGET)


def test_several_threads():
    checks.several_threads(TARGET)


def test_package_round_trip(tmp_path):
    checks.package_round_trip(TARGET, tmp_path)


def test_loading_imports_no_compiler(tmp_path):
    checks.loading_imports_no_compiler(TARGET, tmp_path)


def test_a_call_inside_of_a_call_is_refused():
    checks.inside_a_call(*handmade.everything(TARGET), handmade.everything(TARGET)[0].prepare())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_is_told():
    checks.forked(TARGET)


def test_profile():
    checks.profile(TARGET)


def test_profile_without_timestamps(monkeypatch):
    monkeypatch.setattr(adapter.WebGPU, "has_timestamps", False)
    checks.profile(TARGET)


def test_profile_of_more_kernels_than_a_query_set_takes(monkeypatch):
    monkeypatch.setattr("weft.runtime.devices.webgpu.program._QUERIES", 32)
    exe, _x, _y = handmade.chain(TARGET, 40)
    assert len(exe.profile(repeat=1).rows) == 41


def test_too_many_threads():
    checks.launch_limit(
        TARGET,
        {"threadIdx.x": 1 << 20},
        r"kernel k0: .* allows \d+ threads in a workgroup; 1048576",
    )


def test_too_many_workgroups():
    checks.launch_limit(
        TARGET, {"blockIdx.y": 1 << 20}, r"kernel k0: .* allows \d+ workgroups along y; 1048576"
    )


def test_too_much_workgroup_memory(device):
    """wgpu does not compare it with the device's limit: the kernel says it."""
    limit = device.limits["shared_bytes"]
    checks.shared_limit(
        TARGET, limit + 16, rf"kernel k0: .* allows {limit} bytes of workgroup memory; {limit + 16}"
    )


def test_a_buffer_that_is_too_large(device):
    count = device.limits["max_allocation"] // 4 + 1
    b = handmade.Builder(TARGET)
    x, h = b.slot("x", "input", "float32", [1]), b.slot("h", "arena", "float32", [count])
    b.step({"x": x}, h, "x[0]")
    b.kernels[0] = type(b.kernels[0])("k0", b.kernels[0].params, "k0", {})
    with pytest.raises(DeviceError, match=r"allows \d+ bytes in one buffer; \d+ are needed"):
        b.executable().prepare()


def test_more_buffers_than_the_standard_promises(device):
    """The adapter's own limits are asked for; beyond them is an error."""
    most = device.limits["max_buffers"]

    def exe(count):
        b = handmade.Builder(TARGET)
        reads = {f"x{k}": b.slot(f"x{k}", "input", "float32", [8]) for k in range(count - 1)}
        y = b.slot("y", "output", "float32", [8])
        b.step(reads, y, " + ".join(f"{name}[i]" for name in reads))
        return b.executable()

    if most > 8:
        ones = [np.ones(8, np.float32)] * 8
        np.testing.assert_array_equal(exe(9)(*ones), np.full(8, 8, np.float32))
    with pytest.raises(DeviceError, match=rf"allows {most} storage buffers; {most + 1} are"):
        exe(most + 1).prepare()


def test_64_bit_floats_are_refused():
    checks.refused(TARGET, "fn nothing() {}", r"WebGPU has no 64-bit floats", "float64")


def test_broken_text_names_the_kernel():
    text = "@compute @workgroup_size(1) fn NAME() { nonsense(); }"
    checks.refused(TARGET, text, r"(?s)kernel k1: .* refused .*nonsense")


def test_text_without_the_kernel():
    text = "@compute @workgroup_size(1) fn other() { }"
    checks.refused(TARGET, text, r"(?s)kernel k1: .* refused .*k1")


def test_steps_on_another_device_are_refused():
    b = handmade.Builder("webgpu")
    x, y = b.slot("x", "input", "float32", [8]), b.slot("y", "output", "float32", [8])
    b.step({"x": x}, y, "x[i]")
    step = b.steps[0]
    b.steps[0] = type(step)(step.kernel, step.args, step.label, "wasm")
    with pytest.raises(DeviceError, match=r"k0 runs on wasm.*\n.*webgpu -fallback=none"):
        b.executable().prepare()


def test_a_lost_device_is_replaced():
    """What a reset of the driver does: this call fails, the next takes a new device."""
    (exe, x, y), (other, u, v) = handmade.chain(TARGET), handmade.chain(TARGET, 3)
    exe(x), other(u)
    adapter.shared().device.destroy()
    for e, array in ((exe, x), (other, u)):
        with pytest.raises(DeviceError, match=r"(?s)the WebGPU device was lost.*hint: the next"):
            e(array)
    np.testing.assert_allclose(exe(x), y, rtol=1e-5)
    np.testing.assert_allclose(other(u), v, rtol=1e-5)
    assert exe.runner.gpu is other.runner.gpu is adapter.shared()


def test_a_machine_without_wgpu():
    said = checks.in_a_process(
        "import sys; sys.modules['wgpu'] = None\n"
        "from weft.runtime.devices.probe import probe; print(probe('webgpu'))",
        {},
    )
    assert "ok=False" in said and "pip install 'weft[webgpu]'" in said


def test_a_machine_without_drivers(tmp_path):
    said = checks.in_a_process(
        "from weft.runtime.devices.probe import probe; print(probe('webgpu'))",
        {
            "VK_ICD_FILENAMES": str(tmp_path / "none.json"),
            "VK_DRIVER_FILES": str(tmp_path / "none.json"),
            "__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path),
        },
    )
    assert "ok=False" in said and "there is no WebGPU adapter" in said
    assert "mesa-vulkan-drivers" in said


def test_an_adapter_is_chosen(device, monkeypatch):
    backend = device.adapter.info["backend_type"]
    assert adapter.choose([device.adapter], backend.lower()) is device.adapter
    monkeypatch.setenv("WEFT_WEBGPU_ADAPTER", "no such adapter")
    with pytest.raises(DeviceError, match=r"no such adapter.*\n.*hint: adapters: "):
        adapter.shared()


def test_vulkan_before_opengl():
    class Fake:
        def __init__(self, kind, backend):
            self.info = {"adapter_type": kind, "backend_type": backend, "device": "d"}

    found = [
        Fake("CPU", "Vulkan"), Fake("DiscreteGPU", "OpenGL"), Fake("IntegratedGPU", "Vulkan"),
        Fake("DiscreteGPU", "Vulkan"), Fake("Unknown", "OpenGL"),
    ]  # fmt: skip
    order = sorted(found, key=adapter.rank)
    assert [(a.info["adapter_type"], a.info["backend_type"]) for a in order] == [
        ("DiscreteGPU", "Vulkan"), ("DiscreteGPU", "OpenGL"), ("IntegratedGPU", "Vulkan"),
        ("Unknown", "OpenGL"), ("CPU", "Vulkan"),
    ]  # fmt: skip
