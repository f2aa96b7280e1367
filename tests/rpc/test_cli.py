"""What a person types: ``weft rpc …``, and ``--rpc`` of the other commands."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from urllib.request import urlopen

import numpy as np
import pytest
import weft
from support.command_line import failure, out, save, two_inputs
from support.hubs import FREE, PATIENCE, X, build, keys, soon
from support.places import need
from weft.benchmarks.zoo.builder import Net
from weft.compiler.cli import rpc
from weft.compiler.cli.main import main
from weft.runtime.errors import RPCError
from weft.runtime.rpc import protocol
from weft.runtime.rpc.chrome import Chromium
from weft.runtime.rpc.host import HubServer, LocalHub
from weft.runtime.rpc.stream import Address, key_of

pytestmark = pytest.mark.timeout(120)


@contextmanager
def command(*words, **options):
    """``weft …`` in a process of its own, which ends with the test."""
    child = subprocess.Popen(
        [sys.executable, "-m", "weft", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def line_with(stream, words):
    """The next line of a stream that has some words."""
    for line in stream:
        if words in line:
            return line
    raise AssertionError(f"nothing said {words!r}")


def interrupted(child, number=signal.SIGINT):
    """The exit code of a command after a signal, and what it still said."""
    child.send_signal(number)
    said, errors = child.communicate(timeout=PATIENCE)
    return child.returncode, said + errors


@pytest.fixture(scope="module")
def device(hub, tmp_path_factory):
    """``weft rpc serve`` with the token in a file."""
    file = tmp_path_factory.mktemp("hub") / "token"
    file.write_text(f"{hub.token}\n")
    words = ("rpc", "serve", hub.url, "--key", "cpu", "--token-file", file)
    with command(*words) as child:
        soon(lambda: keys(hub) == ["cpu"])
        yield child


@pytest.fixture
def there(hub, device):
    """The options for the device."""
    return ["--rpc", hub.url, "--token", hub.token, "--key", "cpu"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEFT_RPC_TOKEN", raising=False)


def free(hub):
    return soon(lambda: not any(d["client"] for d in hub.hub.listing()["devices"]), FREE)


def mlp():
    n = Net("mlp")
    x = n.input("x", [4, 16])
    w = np.random.default_rng(0).standard_normal((16, 8)).astype(np.float32)
    return n.build(n.op("Softmax", n.op("MatMul", x, n.const(w)), axis=-1), names=["y"])


# ---- run, bench, check --------------------------------------------------------------------------


def test_run_gives_there_what_it_gives_here(hub, there, capsys):
    model = save(two_inputs())
    rng = np.random.default_rng(0)
    np.savez("in.npz", a=rng.standard_normal((3, 2)).astype(np.float32), ids=np.arange(3))
    words = ["run", model, "--input", "in.npz"]
    assert main([*words, "--output", "here.npz"]) == 0
    here = capsys.readouterr()
    assert main([*words, "--output", "there.npz", *there]) == 0
    away = capsys.readouterr()
    assert away.out == here.out and "on " not in here.err
    assert f"on {hub.hub.listing()['devices'][0]['name']}" in away.err.splitlines()
    assert np.array_equal(np.load("here.npz")["sum"], np.load("there.npz")["sum"])
    assert free(hub)


def test_run_takes_packages_and_the_link_with_its_key(hub, device, capsys):
    weft.compile(mlp()).save("m.weft")
    np.save("x.npy", np.zeros((4, 16), np.float32))
    link = f"{hub.link}?key=cpu"
    assert main(["run", "m.weft", "--input", "x.npy", "--rpc", link]) == 0
    assert "least 0.125, greatest 0.125" in out(capsys)


def test_a_package_for_another_machine_is_refused_there_and_not_here(hub, there, capsys):
    weft.compile(mlp(), "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72").save("arm.weft")
    np.save("x.npy", np.zeros((4, 16), np.float32))
    text = failure(capsys, "run", "arm.weft", "--input", "x.npy", *there)
    assert "compile: " in text and "is for another processor" in text
    assert free(hub)


def test_bench_shows_the_time_there_and_from_here(hub, there, capsys):
    assert main(["bench", save(mlp()), "--repeat", "3", *there]) == 0
    text = out(capsys)
    assert text.startswith("mlp for llvm\non ")
    there_ms, here_ms = (
        float(re.search(rf"^  {what} +median ([\d.]+) ms.* of 3 ", text, re.M)[1])
        for what in ("there", "from here")
    )
    assert there_ms > 0 and here_ms > 0
    assert "peak" not in text and "kernel" in text  # of this machine's peaks nothing is said
    assert "all" in text.splitlines()[-1]
    assert free(hub)


def test_check_judges_the_kernels_there(hub, there, capsys):
    words = ["check", save(mlp()), *there]
    assert main(words) == 0
    text = out(capsys)
    assert f"run on {hub.hub.listing()['devices'][0]['name']}" in text
    assert "within the tolerance" in text
    assert main([*words, "--against", "llvm", "--every-node", "--seed", "3"]) == 0
    assert free(hub)


def test_check_sees_what_is_wrong_there(there, capsys, monkeypatch):
    """The numbers that are compared come from there."""
    from weft.runtime.rpc.program import AwayProgram

    run = AwayProgram.run
    monkeypatch.setattr(AwayProgram, "run", lambda *a: [x + 1 for x in run(*a)])
    assert main(["check", save(mlp()), *there]) == 1
    assert "within the tolerance" not in out(capsys)


def test_a_kind_alone_gets_the_limits_of_the_device(hub, there):
    with weft.rpc.connect(hub.link, key="cpu") as remote:
        from weft.compiler.cli.main import parser
        from weft.compiler.cli.remote import target_there

        def meant(target):
            return target_there(parser().parse_args(["run", "m", "--target", target]), remote)

        assert meant("llvm") == remote.target("llvm") and "-mcpu=" in meant("llvm")
        assert meant("llvm -mcpu=haswell") == "llvm -mcpu=haswell"
        with pytest.raises(RPCError, match="does not run webgl"):
            meant("webgl -max_texture_size=4096")


def test_benchmark_and_profile_of_a_remote_executable(hub, device):
    exe = weft.compile(mlp())
    with weft.rpc.connect(hub.link, key="cpu") as remote:
        away = remote.load(exe)
        rows = away.profile(repeat=2).rows
        assert [r.kernel for r in rows] == [s.kernel for s in exe.program.steps]
        assert all(r.ms > 0 for r in rows)
        x = np.ones((4, 16), np.float32)
        for times in (remote.benchmark(away, x, repeat=3, number=2), away.benchmark(x, repeat=3)):
            assert len(times.times) == 3 and times.best_ms > 0
        assert np.array_equal(away(x), exe(x))


def test_in_a_browser(hub, capsys):
    need("webgl")
    need("wasm")
    model = save(mlp())
    with Chromium(f"{hub.link}?key=page"):
        soon(lambda: "page" in keys(hub))
        page = ["--rpc", hub.link, "--key", "page"]
        assert main(["check", model, "--target", "webgl", *page]) == 0
        name = next(d["name"] for d in hub.hub.listing()["devices"] if d["key"] == "page")
        assert f"run on {name}" in out(capsys)
        assert main(["bench", model, "--target", "wasm", "--repeat", "2", *page]) == 0
        assert f"mlp for wasm\non {name}" in out(capsys)
        text = failure(capsys, "run", model, *page)  # for this processor, as by default
        assert "it does not run llvm" in text and "webgl" in text.partition("hint: it runs ")[2]
        assert free(hub)
    soon(lambda: "page" not in keys(hub))


# ---- tokens and errors --------------------------------------------------------------------------


def test_where_a_token_may_come_from(hub, device, capsys, tmp_path, monkeypatch):
    assert "the token of the hub at" in failure(capsys, "rpc", "list", hub.url)
    wrong = failure(capsys, "rpc", "list", hub.url, "--token", "0123456789abcdef")
    assert "refused" in wrong and "the token is wrong" in wrong
    monkeypatch.setenv("WEFT_RPC_TOKEN", hub.token)
    assert main(["rpc", "list", hub.url]) == 0
    monkeypatch.setenv("WEFT_RPC_TOKEN", "0123456789abcdef")  # the least that counts
    (tmp_path / "token").write_text(hub.token)
    for words in ([hub.url, "--token-file", "token"], [hub.url, "--token", hub.token], [hub.link]):
        assert main(["rpc", "list", *words]) == 0
    with pytest.raises(SystemExit):
        main(["rpc", "list", hub.url, "--token-file", "token", "--token", hub.token])


@pytest.mark.parametrize("text", ["", "short", "with a space in the middle", "x" * 5000])
def test_files_that_are_no_tokens(text, tmp_path, capsys):
    (tmp_path / "token").write_text(text)
    assert "token" in failure(capsys, "rpc", "list", "ws://127.0.0.1:1", "--token-file", "token")
    assert "check the path" in failure(
        capsys, "rpc", "list", "ws://127.0.0.1:1", "--token-file", "nowhere"
    )


def test_errors_say_what_to_do(hub, there, capsys):
    model = save(mlp())
    link = ["--rpc", hub.link]
    other = failure(capsys, "run", model, *link, "--key", "phone", "--wait", "1s")
    assert "queue: " in other and "there is none with this key" in other and "'cpu'" in other
    assert "weft rpc list" in other and "--wait" in other
    nobody = failure(capsys, "run", model, "--rpc", "ws://127.0.0.1:1", "--token", "x" * 16)
    assert "connect: " in nobody and "weft rpc hub" in nobody
    assert "hint: it runs llvm" in failure(capsys, "run", model, "--target", "webgl", *there)
    assert "is no address of a hub" in failure(capsys, "run", model, "--rpc", "127.0.0.1:9190")
    text = failure(capsys, "run", model, "--target", "toaster", *there)
    assert "it does not run toaster" in text


def test_keys_of_links():
    assert key_of("http://h:1/t/?key=chrome") == "chrome"
    assert key_of("ws://h:1") == key_of("no address") == protocol.DEFAULT_KEY


# ---- waiting, and Ctrl-C ------------------------------------------------------------------------


def test_who_waits_is_told_how_long_the_queue_is(hub, device):
    model = save(mlp())
    np.save("x.npy", np.zeros((4, 16), np.float32))
    words = ("run", model, "--input", "x.npy", "--rpc", hub.link, "--key", "cpu")
    with weft.rpc.connect(hub.link, key="cpu") as mine, command(*words) as first:
        line = line_with(first.stderr, "waiting")
        assert line == "waiting for a turn: the device is busy, nobody is before you …\n"
        with command(*words) as second:
            assert "one is before you" in line_with(second.stderr, "waiting")
            first.send_signal(signal.SIGINT)
            assert first.wait(PATIENCE) == 130
            assert "nobody is before you" in line_with(second.stderr, "waiting")
            mine.close()
            said, errors = second.communicate(timeout=PATIENCE)
            assert second.returncode == 0 and "greatest 0.125" in said and "on " in errors
    assert free(hub) and not hub.hub.listing()["waiting"]


def test_an_interrupt_of_a_run_frees_the_device(hub, device):
    build("llvm", endless=True).executable.save("endless.weft")
    name = next(iter(weft.runtime.load("endless.weft").inputs))
    np.save("x.npy", X)
    words = ("run", "endless.weft", "--input", f"{name}=x.npy", "--rpc", hub.link, "--key", "cpu")
    with command(*words) as child:
        told = line_with(child.stderr, f"on {hub.hub.listing()['devices'][0]['name']}")
        code, said = interrupted(child)
        # A line is said once more where the interrupt comes just before its writer knows it is out.
        assert code == 130 and said.removeprefix(told) == "interrupted\n"
    assert free(hub)
    assert main(["rpc", "list", hub.link]) == 0


# ---- the hub and its list -----------------------------------------------------------------------


def test_the_hub_prints_a_link_that_works_and_ends_with_ctrl_c(capsys):
    with command("rpc", "hub", "--port", "0") as child:
        link = child.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", link)
        with urlopen(link) as page:
            assert b"device.js" in page.read()
        assert main(["rpc", "list", link]) == 0
        assert "no device is there: open the hub's link" in out(capsys)
        code, said = interrupted(child)
        assert code == 130 and Address.parse(link).token not in said
        assert "This machine alone can reach it" in said and said.endswith("interrupted\n")
    assert "cannot be reached" in failure(capsys, "rpc", "list", link)


def test_a_token_in_a_file_stays_and_sigterm_ends_the_hub_and_a_server(tmp_path):
    tokens = []
    for _ in range(2):
        with command("rpc", "hub", "--port", "0", "--token-file", "token") as child:
            link = child.stdout.readline().strip()
            tokens.append(Address.parse(link).token)
            url = str(Address.parse(link))
            with command("rpc", "serve", url, "--token-file", "token") as server:
                line_with(server.stderr, "ready: device 1")
                assert interrupted(server, signal.SIGTERM)[0] == 0
            assert interrupted(child, signal.SIGTERM)[0] == 0
    assert tokens[0] == tokens[1] == (tmp_path / "token").read_text().strip()
    assert stat.S_IMODE(os.stat("token").st_mode) == 0o600


def test_the_list(hub, device, capsys):
    with weft.rpc.connect(hub.link, key="cpu"):
        assert main(["rpc", "list", hub.link]) == 0
        head, row = out(capsys).splitlines()[:2]
        assert head.split() == ["key", "state", "since", "targets", "device"]
        assert re.match(r"cpu  used by \S+@\S+ +\d+ s +llvm +\S", row)
        main(["rpc", "list", hub.link, "--json"])
        said = json.loads(out(capsys))
        assert said["devices"][0]["targets"].keys() == {"llvm"}
    assert free(hub)
    main(["rpc", "list", hub.link])
    assert re.search(r"^cpu  free +\d+ s", out(capsys), re.M)


def test_what_a_list_shows_of_those_who_wait():
    device = {"key": "k", "name": "a phone", "targets": {}, "client": "", "seconds": 7300.0}
    said = {"devices": [device], "waiting": [{"key": "k", "client": "me@here"}], "refusals": 3}
    text = rpc.table(said)
    assert "2 h" in text and "waiting for 'k': me@here" in text and text.endswith(": 3")


def test_a_hub_beyond_loopback_has_to_be_asked_for(capsys):
    text = failure(capsys, "rpc", "hub", "--host", "0.0.0.0", "--port", "0")
    assert "is reached by other machines" in text and "--public" in text
    text = failure(capsys, "rpc", "hub", "--certificate", "nowhere.pem", "--port", "0")
    assert "nowhere.pem" in text and "PEM" in text


def test_a_public_hub_has_links_that_work_and_says_what_it_exposes():
    with LocalHub(host="0.0.0.0", public=True, names=("lab.example:443",)) as hub:
        *links, named = hub.server.links()
        assert links and named == f"http://lab.example:443/{hub.token}/"
        for link in links:
            assert "0.0.0.0" not in link
            with urlopen(link) as page:
                assert page.status == 200
        told = rpc.exposure(hub.server)
        assert "OTHER MACHINES" in told and "Without --certificate" in told and "WebGPU" in told
        with weft.rpc.LocalHub() as private:
            assert "This machine alone" in rpc.exposure(private.server)


def test_a_port_that_is_taken(hub, capsys):
    port = Address.parse(hub.link).port
    assert "--port 0 takes any that is free" in failure(capsys, "rpc", "hub", "--port", str(port))


def test_the_qr_code_is_one():
    """Its three corners are where they belong, dark on light: a light border is around it."""
    lines = [re.sub(r"\x1b\[[\d;]*m", "", r) for r in rpc.qr_code("http://10.0.0.7:9190/token/")]
    light = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
    image = np.array([[light[c][half] for c in r] for r in lines for half in (0, 1)])[
        : len(lines[0])
    ]
    rows, columns = np.nonzero(image == 0)
    code = 1 - image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    ring = np.ones((7, 7), int)
    ring[1:6, 1:6] = 0
    ring[2:5, 2:5] = 1
    assert code.shape[0] == code.shape[1] and code.shape[0] % 4 == 1
    for corner in (code[:7, :7], code[:7, -7:], code[-7:, :7]):
        assert np.array_equal(corner, ring)
    assert rows.min() >= 2 and columns.min() >= 2


@pytest.mark.parametrize("there_is", [True, False])
def test_the_qr_code_is_drawn_or_what_it_needs_is_told(there_is, monkeypatch, capsys):
    if not there_is:
        monkeypatch.setitem(sys.modules, "segno", None)
    server = HubServer(port=0)
    from weft.compiler.cli.main import parser

    rpc._introduce(server, parser().parse_args(["rpc", "hub", "--qr"]))
    said = capsys.readouterr()
    assert ("█" in said.out) == there_is
    assert ("pip install 'weft[rpc]'" in said.err) != there_is
    assert said.out.split()[0] == server.link()
    server._listener.close()


def test_the_api_loads_no_compiler():
    ask = "import sys, weft; weft.rpc.connect; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "weft.runtime.rpc.client" in loaded
    assert not [m for m in loaded if m.startswith(("weft.compiler", "weft.codegen", "weft.ir"))]
