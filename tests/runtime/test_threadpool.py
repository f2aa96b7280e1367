"""The shipped LLVM IR of the thread pool: from which source, for which processors."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import llvmlite.binding as llvm
import pytest
import weft
from weft.runtime.devices.cpu import cpu
from weft.runtime.devices.cpu.pool import pool_source

ROOT = Path(weft.__file__).parent
FOLDER = Path(cpu.__file__).parent
SHIPPED = (FOLDER / "threadpool.ll").read_text(encoding="utf-8")
MAKE = ROOT / "tools" / "make_pool.sh"


def test_the_text_is_of_the_source_beside_it():
    source = b"".join((FOLDER / f"threadpool.{end}").read_bytes() for end in "hc")
    assert hashlib.sha256(source).hexdigest() in SHIPPED.split("\n\n")[0], "run tools/make_pool.sh"


def test_the_script_gives_the_shipped_text(tmp_path):
    made = re.search(r"with clang ([\d.]+)", SHIPPED)
    assert made
    clang = shutil.which(f"clang-{made[1].split('.')[0]}")
    if clang is None:
        pytest.skip(f"clang {made[1]}, which made the text, is not installed")
    have = subprocess.run([clang, "-dumpversion"], capture_output=True, text=True, check=True)
    if have.stdout.strip() != made[1]:
        pytest.skip(f"clang {made[1]} made the text, {have.stdout.strip()} is installed")
    out = tmp_path / "threadpool.ll"
    subprocess.run([str(MAKE), str(out)], check=True, timeout=120)
    assert out.read_text(encoding="utf-8") == SHIPPED


@pytest.mark.parametrize(
    "triple, machine",
    [("x86_64-linux-gnu", 62), ("aarch64-linux-gnu", 183), ("riscv64-linux-gnu", 243)],
)
def test_it_compiles_for_every_processor(triple, machine, monkeypatch):
    """The same text: only what cpu.py adds differs."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    monkeypatch.setattr(cpu.llvm, "get_process_triple", lambda: triple)
    monkeypatch.setattr(cpu.platform, "machine", lambda: triple.split("-")[0])
    module = llvm.parse_assembly(pool_source(llvm.get_process_triple()))
    module.verify()
    target = llvm.Target.from_triple(triple).create_target_machine(reloc="pic")
    code = target.emit_object(module)
    assert code[:4] == b"\x7fELF" and int.from_bytes(code[18:20], "little") == machine


@pytest.mark.parametrize("word", ["target", "attributes", "metadata !", "x86", "llvm.lifetime"])
def test_nothing_ties_it_to_a_machine(word):
    code = "\n".join(line.split(";")[0] for line in SHIPPED.splitlines())
    assert not re.search(rf"\b{re.escape(word)}", code)


def test_objects_of_pthreads_are_initialised_before_workers_start():
    """Zeros are a mutex on Linux, but not on macOS, where waiting on them fails at once."""
    resize = SHIPPED[SHIPPED.index("@weft_pool_resize(") :]
    resize = resize[: resize.index("\n}")]
    begun = resize.index("@pthread_create(")
    assert resize.count("@pthread_mutex_init(") == 1
    assert resize.count("@pthread_cond_init(") == 2
    assert max(resize.rindex("@pthread_mutex_init("), resize.rindex("@pthread_cond_init(")) < begun
