"""The device interface, on the one device that every machine has."""

import llvmlite.binding as llvm
import numpy as np
import pytest
from weft.runtime.artifact import Kernel
from weft.runtime.device import Call, Device
from weft.runtime.devices.host import HostDevice
from weft.runtime.dtype import FLOAT32, INT8
from weft.runtime.errors import DeviceError

# out[0] = in[0] + n
_SOURCE = """
define void @plus(ptr %args) {
  %p1 = getelementptr i64, ptr %args, i64 1
  %p2 = getelementptr i64, ptr %args, i64 2
  %a = load ptr, ptr %args
  %b = load ptr, ptr %p1
  %n = load i64, ptr %p2
  %x = load float, ptr %a
  %m = sitofp i64 %n to float
  %y = fadd float %x, %m
  store float %y, ptr %b
  ret void
}
"""


@pytest.fixture(scope="module")
def code():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        reloc="pic", codemodel="default"
    )
    return machine.emit_object(llvm.parse_assembly(f'target triple = "{triple}"\n{_SOURCE}'))


@pytest.fixture
def device():
    return HostDevice()


def test_the_cpu_is_a_device(device):
    assert isinstance(device, Device)
    assert device.limits.alignment == 64 and device.limits.threads >= 1


def test_calls_run_in_order_on_memories_at_offsets(device, code):
    memory = device.allocate(256)
    device.upload(memory, np.array([5], np.float32), 64)
    module = device.load({"code": code})
    plus = Kernel("plus", (), "code")
    calls = [
        Call(plus, ((memory, 64), (memory, 128), 10)),
        Call(plus, ((memory, 128), (memory, 0), -1)),
    ]
    device.launch(module, calls)
    device.synchronize()
    assert device.download(memory, FLOAT32, (1,)).tolist() == [14]
    assert device.download(memory, FLOAT32, (), 128).item() == 15
    seconds = device.time(module, calls)
    assert len(seconds) == 2 and all(s >= 0 for s in seconds)
    device.free(memory)


def test_upload_takes_any_array(device):
    memory = device.allocate(6)
    device.upload(memory, np.arange(12, dtype=np.int8).reshape(3, 4)[:, ::2])
    assert device.download(memory, INT8, (6,)).tolist() == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("offset", [-1, 3, 8])
def test_outside_of_a_memory(device, offset):
    memory = device.allocate(4)
    with pytest.raises(DeviceError, match="outside of a memory of 4"):
        device.upload(memory, np.zeros(2, np.int8), offset)
    with pytest.raises(DeviceError, match="outside of a memory of 4"):
        device.download(memory, INT8, (2,), offset)


def test_more_than_there_is(device):
    with pytest.raises(DeviceError, match="no memory for"):
        device.allocate(1 << 60)
