"""Programs of OpenCL kernels written by hand: memory, types, limits, drivers, packages."""

import os

import numpy as np
import pytest
from support import compute_checks as checks
from support import handmade_compute as handmade
from weft.runtime.devices.opencl import cl
from weft.runtime.devices.opencl.build import join
from weft.runtime.errors import DeviceError

TARGET = "opencl"


@pytest.fixture(scope="module", autouse=True)
def device():
    try:
        return cl.shared()
    except DeviceError as e:
        pytest.skip(str(e))


def test_everything():
    checks.everything(TARGET)


def test_inputs_of_any_kind():
    checks.inputs_of_any_kind(TARGET)


def test_integers():
    checks.integers(TARGET)


def test_integers_have_64_bits():
    np.testing.assert_array_equal(checks.wide_integers(TARGET), [1, 2**31 + 1])


def test_small_floats_keep_their_bits():
    import ml_dtypes

    b = handmade.Builder(TARGET)
    x, y = b.slot("x", "input", "bfloat16", [7]), b.slot("y", "output", "bfloat16", [7])
    v, w = b.slot("v", "input", "float16", [7]), b.slot("w", "output", "float32", [7])
    b.step({"x": x}, y, "x[6 - i]")
    b.step({"v": v}, w, "vload_half(i, v)")
    one = np.linspace(-3, 5, 7, dtype=np.float32)
    got = b.executable().run({"x": one.astype(ml_dtypes.bfloat16), "v": one.astype(np.float16)})
    assert got["y"].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(got["y"], one.astype(ml_dtypes.bfloat16)[::-1])
    np.testing.assert_array_equal(got["w"], one.astype(np.float16).astype(np.float32))


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
    checks.inside_a_call(*handmade.everything(TARGET))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_is_told():
    checks.forked(TARGET)


def test_profile():
    checks.profile(TARGET)


def test_too_many_threads():
    checks.launch_limit(
        TARGET,
        {"threadIdx.x": 1 << 20},
        r"kernel k0: .* allows \d+ threads in a workgroup; 1048576",
    )


def test_too_much_local_memory(device):
    count = device.limits["shared_bytes"] // 4 + 64
    text = (
        "__kernel __attribute__((reqd_work_group_size(64, 1, 1)))\n"
        "void NAME(__global const float* restrict x, __global float* restrict y) {\n"
        f"  __local float t[{count}]; int i = get_local_id(0);\n"
        f"  t[i + {count - 64}] = x[i & 7]; barrier(CLK_LOCAL_MEM_FENCE);\n"
        f"  if (i < 8) y[i] = t[{count - 1} - i];\n}}\n"
    )
    checks.refused(TARGET, text, r"kernel k1: .* allows \d+ bytes of local memory; \d+ are needed")


def test_local_memory_is_judged_before_a_driver_builds_the_kernel(device):
    limit = device.limits["shared_bytes"]
    checks.shared_limit(
        TARGET, limit + 4, rf"kernel k0: .* allows {limit} bytes of local memory; {limit + 4}"
    )


def test_a_buffer_that_is_too_large(device):
    count = device.limits["max_allocation"] // 4 + 1
    b = handmade.Builder(TARGET)
    x, h = b.slot("x", "input", "float32", [1]), b.slot("h", "arena", "float32", [count])
    b.step({"x": x}, h, "x[0]")
    exe = b.executable()
    with pytest.raises(DeviceError, match=r"allows \d+ bytes in one buffer; \d+ are needed"):
        exe.prepare()


def test_broken_text_names_the_kernel():
    checks.refused(
        TARGET, "__kernel void NAME() { nonsense; }", r"(?s)kernel k1: .* refused .*nonsense"
    )


def test_text_without_the_kernel():
    checks.refused(TARGET, "__kernel void other() {}", r"kernel k1: the kernel is not in its code")


def test_text_with_other_parameters():
    checks.refused(TARGET, "__kernel void NAME(int a) {}", r"kernel k1: .* takes 1 arguments there")


def test_what_kernels_share_stands_once():
    helper = "float twice(float v) {\n  return 2.0f * v;\n}"
    first = f"#define N 4\n{helper}\n__kernel void a() {{ }}\n"
    second = f"#define N 8\n{helper}\n__kernel void b() {{ }}\n#define N 4\n"
    text = join([first, second])
    assert text == f"#define N 4\n{helper}\n__kernel void a() {{ }}\n#define N 8\n" + (
        "__kernel void b() { }\n#define N 4\n"
    )


def test_kernels_that_use_one_name_for_two_things():
    b = handmade.Builder(TARGET)
    x, y, z = (b.slot(n, k, "float32", [8]) for n, k in zip("xyz", ("input", "output", "output")))
    b.step({"x": x}, y, "f(x[i])", "float f(float v) { return v + 1.0f; }")
    b.step({"x": x}, z, "f(x[i])", "float f(float v) { return v * 3.0f; }")
    one = handmade.floats(8)
    checks.agree(b.executable().run({"x": one}), {"y": one + 1, "z": one * np.float32(3)})


def test_a_machine_without_drivers(tmp_path):
    said = checks.in_a_process(
        "from weft.runtime.devices.probe import probe; print(probe('opencl'))",
        {"OCL_ICD_VENDORS": str(tmp_path)},
    )
    assert "ok=False" in said and "there is no OpenCL device" in said
    assert "pocl-opencl-icd" in said


def test_a_machine_without_pyopencl():
    said = checks.in_a_process(
        "import sys; sys.modules['pyopencl'] = None\n"
        "from weft.runtime.devices.probe import probe; print(probe('opencl'))",
        {},
    )
    assert "ok=False" in said and "pip install 'weft[opencl]'" in said


def test_the_cache_is_where_the_knobs_say(tmp_path):
    script = (
        "import sys; sys.path.insert(0, {tests!r})\n"
        "from support import handmade_compute as h; e, f, w = h.everything('opencl'); e.run(f)"
    ).format(tests=str(__import__("pathlib").Path(handmade.__file__).parents[1]))
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    places = {"HOME": str(home), "XDG_CACHE_HOME": "", "WEFT_CACHE_DIR": str(cache)}
    checks.in_a_process(script, {**places, "WEFT_CACHE": "0"})
    assert not cache.exists() and not list(home.rglob("*pocl*"))
    checks.in_a_process(script, places)
    assert any(p.is_file() for p in cache.rglob("*"))
    assert not list(home.rglob("*pocl*"))


def test_a_device_is_chosen(device, monkeypatch):
    name = device.device.platform.name
    assert cl.choose([device.device], name[:4].upper()) == device.device
    assert cl.choose([device.device], "0:0") == device.device
    with pytest.raises(DeviceError, match=r"there is no OpenCL device '0:7'"):
        cl.choose([device.device], "0:7")
    monkeypatch.setenv("WEFT_OPENCL_DEVICE", "no such device")
    with pytest.raises(DeviceError, match=r"no such device.*\n.*hint: devices: "):
        cl.shared()
