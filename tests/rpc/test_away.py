"""What may happen to the process that runs programs for us; what runs right is in
``tests/compiler/test_te_everywhere.py``."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import weft
from support import forking
from support.hubs import awaited
from support.places import need
from weft import te
from weft.runtime.devices.table import BROWSER, NODE
from weft.runtime.errors import DeviceError
from weft.runtime.rpc import node as node_module
from weft.runtime.rpc.peer import PEERS, Peer

X = np.arange(5, dtype=np.float32)


def build(target: str, steps: int = 0):
    """A kernel that adds one; with ``steps``, which never ends."""
    a = te.placeholder((5,), name="A")
    if steps:
        k = te.reduce_axis(steps, "k")
        b = te.compute((5,), lambda i: te.sum(te.sin(a[i] + te.cast(k, "float32")), k), name="B")
    else:
        b = te.compute((5,), lambda i: a[i] + 1, name="B")
    return weft.build(te.create_schedule(b), [a, b], target)


@pytest.fixture(scope="module")
def kernel():
    need("wasm")
    return build("wasm")


@pytest.fixture(scope="module")
def endless():
    need("wasm")
    made = build("wasm", 2_000_000_000)
    made.executable.prepare()
    return made


def right(kernel) -> None:
    out = np.zeros(5, np.float32)
    kernel(X, out)
    assert out.tolist() == [1, 2, 3, 4, 5]


def pid(place: str) -> int:
    link = PEERS[place]._link
    return link._child.pid


def later(seconds: float, do) -> threading.Timer:
    timer = threading.Timer(seconds, do)
    timer.start()
    return timer


def test_one_that_dies_in_the_middle_of_a_run_is_an_error_and_the_next_call_has_a_new_one(
    kernel, endless
):
    right(kernel)
    first = pid(NODE)
    timer = later(0.3, lambda: os.kill(first, signal.SIGKILL))
    with pytest.raises(DeviceError, match=r"Node 2?\d\.(.|\n)*ended with signal 9") as e:
        endless(X, X.copy())
    timer.join()
    assert e.value.where == "main"
    right(kernel)
    assert pid(NODE) != first


def test_one_that_died_between_calls_is_replaced_without_a_word(kernel):
    right(kernel)
    os.kill(pid(NODE), signal.SIGKILL)
    PEERS[NODE]._link._child.wait()
    right(kernel)


def test_its_last_words_are_told(kernel, monkeypatch, tmp_path):
    script = tmp_path / "dies.mjs"
    script.write_text("console.error('the disk is on fire'); process.exitCode = 3;")
    monkeypatch.setattr(node_module, "_SCRIPT", script)
    PEERS[NODE].end()
    with pytest.raises(DeviceError, match=r"exit code 3(.|\n)*last words:\nthe disk is on fire"):
        right(kernel)
    monkeypatch.undo()
    right(kernel)


def test_one_that_does_not_answer(kernel, endless, monkeypatch):
    monkeypatch.setenv("WEFT_RPC_TIMEOUT", "1")
    with pytest.raises(DeviceError, match=r"not answer within 1 seconds(.|\n)*WEFT_RPC_TIMEOUT"):
        endless(X, X.copy())
    monkeypatch.undo()
    right(kernel)


def test_an_interrupt_ends_the_call(kernel, endless):
    class Interrupt(BaseException):
        pass

    def interrupt(*_):
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        # Again and again: what Python calls by itself (a finaliser) would swallow one.
        signal.setitimer(signal.ITIMER_REAL, 0.5, 2)
        with pytest.raises(Interrupt):
            endless(X, X.copy())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    right(kernel)


def test_a_call_from_inside_of_a_call_is_refused(kernel, endless, monkeypatch):
    said = []

    def inside(*_):
        if said or not PEERS[NODE].started:  # the last test ended it: a new one is on its way
            return
        with pytest.raises(DeviceError, match="in the middle of a call") as e:
            right(kernel)
        said.append(e.value)
        os.kill(pid(NODE), signal.SIGKILL)

    before = signal.signal(signal.SIGALRM, inside)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
        with pytest.raises(DeviceError, match="signal 9"):
            endless(X, X.copy())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(said) == 1
    right(kernel)


def test_closing_frees_the_program_there(kernel):
    right(kernel)
    before = PEERS[NODE].state()
    exe = kernel.executable
    for _ in range(20):
        made = weft.runtime.executor.Executable(exe.program, exe.codes, exe.params)
        made(X)
        del made
    assert PEERS[NODE].state() == before


def test_threads_take_turns(kernel):
    failed = []

    def work():
        try:
            for _ in range(20):
                right(kernel)
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_has_one_of_its_own(kernel):
    right(kernel)
    first = pid(NODE)

    def do():
        assert not PEERS[NODE].started
        right(kernel)
        assert pid(NODE) != first
        PEERS[NODE].end()

    forking.wait(forking.child(do))
    right(kernel)
    assert pid(NODE) == first


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("wasm", r"no Node on the PATH(.|\n)*apt-get install nodejs"),
        ("webgl", r"no Chromium on the PATH(.|\n)*apt-get install chromium"),
    ],
)
def test_what_is_missing_is_told_with_its_package(target, words, monkeypatch, tmp_path):
    need(target)
    exe = build(target).executable
    for peer in PEERS.values():
        peer.end()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=words):
        exe.prepare()
    monkeypatch.undo()
    right(lambda x, out: exe.call([x], [out]))


def test_a_browser_that_does_not_start(monkeypatch, tmp_path):
    need("webgl")
    exe = build("webgl").executable
    PEERS[BROWSER].end()
    (tmp_path / "chromium").write_text("#!/bin/sh\necho no display here >&2; exit 4\n")
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DeviceError, match=r"does not start(.|\n)*no display here"):
        exe.prepare()
    monkeypatch.undo()
    exe.prepare()


def test_a_browser_that_dies_is_replaced():
    need("webgl")
    kernel = build("webgl")
    right(kernel)
    os.killpg(pid(BROWSER), signal.SIGKILL)
    PEERS[BROWSER]._link._child.wait()
    right(kernel)


SCENE = """
import sys
import numpy as np
from weft.runtime.executor import load
from weft.runtime.rpc.peer import PEERS
programs = [load(path) for path in sys.argv[1:]]
assert all(exe(np.arange(5, dtype=np.float32)).tolist() == [1, 2, 3, 4, 5] for exe in programs)
assert not [m for m in sys.modules if m.startswith(("weft.ir", "weft.compiler"))]
print(*(p._link._child.pid for p in PEERS.values() if p.started), flush=True)
sys.stdin.readline()
"""


def group(leader: int) -> list[int]:
    """The processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")
@pytest.mark.parametrize("how", ["end", "kill"])
def test_nothing_is_left_when_python_ends(how, kernel, tmp_path):
    """Of a process that runs packages, with the runtime alone."""
    need("webgl")
    files = [str(tmp_path / "node.weft"), str(tmp_path / "page.weft")]
    for made, file in zip((kernel, build("webgl")), files):
        made.executable.save(file)
    child = subprocess.Popen(
        [sys.executable, "-c", SCENE, *files], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    leaders = [int(p) for p in child.stdout.readline().split()]
    assert len(leaders) == 2 and all(map(group, leaders))
    if how == "kill":
        child.kill()
    child.communicate("\n")
    end = time.monotonic() + 30
    while any(map(group, leaders)):
        assert time.monotonic() < end, [group(p) for p in leaders]
        time.sleep(0.05)


def test_the_page_is_for_whoever_has_the_token_and_comes_from_it():
    from weft.runtime.rpc.server import PageServer

    server = PageServer()

    async def ask(path: str, **headers: str) -> int:
        async with aiohttp.ClientSession() as session:
            origin = server.address.rpartition(f"/{server.token}/")[0]
            async with session.get(f"{origin}/{path}", headers=headers) as answer:
                return answer.status

    def status(path: str, **headers: str) -> int:
        return awaited(ask(path, **headers))

    token = server.token
    try:
        assert status(f"{token}/") == 200
        assert status(f"{token}/runtime/rpc/page.js") == 200
        assert status(f"{token}/runtime/rpc/node.mjs") == 404
        assert status(f"{token}/runtime/..%2f..%2fpyproject.toml") == 404
        assert status("another/") == status(f"{token[:-1]}/") == status("") == 403
        assert status(f"{token}/", Host="example.org") == 403
        assert status(f"{token}/socket", Origin="http://example.org") == 403
    finally:
        server.stop()


def test_two_peers_do_not_meet(kernel):
    """Each has a Node of its own, with handles of its own."""
    from weft.runtime.rpc.node import NodeLink

    other = Peer(NodeLink)
    try:
        assert other.state()["programs"] == 0
        right(kernel)
        assert other.state()["programs"] == 0 and PEERS[NODE].state()["programs"] > 0
    finally:
        other.end()
