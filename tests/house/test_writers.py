"""One module writes files for the user: who else writes, writes for itself, and is listed here."""

import ast

from .test_structure import modules

# Rooms that write files of their own, and where those lie.
OWN = {
    "weft.runtime.files": "it is the one",
    "weft.runtime.package": "parts of an archive",
    "weft.runtime.private": "the kernel cache and what else nobody but the user may write",
    "weft.compiler.kernels.export.link": "a temporary folder",
    "weft.codegen.wasm.emscripten": "a temporary folder",
    "weft.runtime.devices.opencl.cl": "a temporary folder",
    "weft.runtime.rpc.chrome": "a temporary folder",
}
WRITES = {
    "write_text", "write_bytes", "fdopen", "mkstemp", "NamedTemporaryFile", "copyfile", "copy2",
    "copytree", "rmtree", "savetxt", "savez_compressed", "tofile", "symlink_to", "hardlink_to",
}  # fmt: skip


def writes(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    if name == "open":
        modes = (*node.args[:2], *(k.value for k in node.keywords if k.arg == "mode"))
        texts = [a.value for a in modes if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        return any(set(t) <= set("rwxabt+U") and set(t) & set("wxa+") for t in texts)
    return name in WRITES


def test_only_one_module_writes_for_the_user():
    found = {
        name
        for name, path in modules().items()
        if any(writes(n) for n in ast.walk(ast.parse(path.read_text("utf-8"))))
    }
    assert found == set(OWN), "a file for the user is written by weft.runtime.files"
