"""What may happen to clients and devices of a hub: nothing hangs, and errors say who and why."""

import asyncio
import hmac
import os
import signal
import subprocess
import threading

import aiohttp
import numpy as np
import pytest
from support.hubs import (
    FREE,
    FakeDevice,
    HubProcess,
    Server,
    X,
    announcement,
    awaited,
    build,
    fails,
    gone,
    keys,
    python,
    right,
    soon,
    status,
)
from weft.runtime.errors import InputError, RPCError
from weft.runtime.rpc import hub as hub_module
from weft.runtime.rpc import protocol
from weft.runtime.rpc.client import connect
from weft.runtime.rpc.host import HubServer
from weft.runtime.rpc.stream import Address, StreamLink, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def server(hub):
    with Server(hub.link, "cpu") as made:
        soon(lambda: hub.hub.listing()["devices"])
        yield made


@pytest.fixture
def away(hub, server):
    """A connection to the device server."""
    with connect(hub.link, key="cpu", timeout=60, wait=60) as remote:
        yield remote


def freed(hub, key: str = "cpu") -> bool:
    """Whether another client gets the device within the time that it may take."""
    with connect(hub.link, key=key, wait=FREE) as remote:
        return remote.state()["programs"] == 0


# -- devices that fail ------------------------------------------------------------------------


def test_a_kernel_that_never_ends_is_a_timeout_and_the_device_is_free_again(hub, server):
    with connect(hub.link, key="cpu", timeout=2) as remote:
        kernel = remote.load(build("llvm", endless=True))
        with fails("timeout", r"did not answer within 2 s"):
            kernel(X, X.copy())
        assert freed(hub)


CLIENT = """
import sys
from weft.runtime.rpc.client import connect
from support.hubs import X, build
with connect(sys.argv[1], key="cpu") as remote:
    kernel = remote.load(build("llvm", endless=True))
    print("running", flush=True)
    kernel(X, X.copy())
"""


def test_a_client_that_is_killed_in_the_middle_of_a_run_frees_its_device(hub, server):
    client = python(CLIENT, hub.link, stdout=subprocess.PIPE, cwd="tests")
    assert client.stdout.readline() == "running\n"
    client.kill()
    client.communicate()
    assert freed(hub)


def test_a_kernel_that_crashes_its_process_is_told_with_its_signal(hub, server, away):
    kernel = away.load(build("llvm", endless=True))
    (session,) = server.sessions()
    timer = threading.Timer(0.3, os.kill, (session, signal.SIGSEGV))
    timer.start()
    with fails("peer gone", r"signal 11 \(SIGSEGV\)"):
        kernel(X, X.copy())
    timer.join()
    right(away.load(build("llvm")))  # in a new session


@pytest.mark.parametrize(
    ("how", "words"), [(signal.SIGKILL, "is gone"), (signal.SIGINT, "was stopped")]
)
def test_a_server_that_ends_leaves_no_kernel_that_runs(hub, how, words):
    with Server(hub.link, "killed") as server:
        soon(lambda: any(d["key"] == "killed" for d in hub.hub.listing()["devices"]))
        with connect(hub.link, key="killed") as remote:
            kernel = remote.load(build("llvm", endless=True))
            (session,) = server.sessions()
            timer = threading.Timer(0.3, server.child.send_signal, (how,))
            timer.start()
            with fails("peer gone", words):
                kernel(X, X.copy())
            timer.join()
        soon(lambda: not os.path.exists(f"/proc/{session}"))


@pytest.mark.parametrize("frees", [True, False])
def test_a_device_that_never_answers(hub, frees):
    with FakeDevice(hub.link, "silent") as device:
        answering = threading.Thread(target=lambda: device.welcome(device.begin()[1]))
        answering.start()
        with connect(hub.link, key="silent", timeout=1) as remote:
            answering.join()
            with fails("timeout", "fake silent .*did not answer within 1 s"):
                remote.state()
        said = device.hear()
        assert said["kind"] == "end"
        if frees:
            device.tell("free", session=said["session"], why="")
            soon(lambda: idle(hub, "silent"), FREE)
        else:
            soon(lambda: "silent" not in keys(hub), FREE)
            assert gone(device.control)
    soon(lambda: "silent" not in keys(hub))


def idle(hub, key: str) -> bool:
    """Whether all devices of a key are free."""
    return all(d.session is None for d in hub.hub.devices.values() if d.key == key)


def test_a_device_that_never_begins(hub, monkeypatch):
    monkeypatch.setattr(hub_module, "_JOIN_WITHIN", 0.3)
    slow = r"fake idle did not begin within 0\.3 s"
    with FakeDevice(hub.link, "idle"), fails("peer gone", slow):
        connect(hub.link, key="idle")


# -- the hub itself ---------------------------------------------------------------------------


def test_a_hub_that_is_killed_and_started_again():
    hub = HubProcess()
    try:
        with Server(hub.link, "cpu"):
            soon(lambda: hub.listing()["devices"])
            with connect(hub.link, key="cpu", wait=60) as remote:
                kernel, array = remote.load(build("llvm")), remote.array(X)
                endless = remote.load(build("llvm", endless=True))
                right(kernel)
                timer = threading.Timer(0.3, hub.kill)
                timer.start()
                with fails("peer gone", "the hub is gone"):
                    endless(X, X.copy())
                timer.join()
                with fails("connect", "cannot be reached(.|\n)*weft rpc hub"):
                    right(kernel)
                hub.start()
                right(kernel)  # as soon as the device is there again
                with fails("peer gone", "connection that it was made in"):
                    array.numpy()
    finally:
        hub.kill()


# -- who may come in --------------------------------------------------------------------------


def test_a_hundred_wrong_tokens(hub, server, away, monkeypatch):
    """Each compared in constant time, while others are served."""
    compared = []
    monkeypatch.setattr(
        hub_module.hmac,
        "compare_digest",
        lambda a, b: compared.append(a) or hmac_compare(a, b),
    )
    origin = hub.link.rpartition(f"/{hub.token}/")[0]
    wrong = [hub.token[:k] + "x" * (len(hub.token) - k) for k in range(len(hub.token))]
    wrong = [t for t in [*wrong, "", hub.token + "x", "é"] if t != hub.token]
    wrong = (wrong * 100)[:100]

    async def ask() -> list[int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one(token: str) -> int:
                async with session.get(f"{origin}/{token}/client") as answer:
                    assert hub.token not in await answer.text()
                    return answer.status

            asking = asyncio.gather(*map(one, wrong))
            served = 0
            while not asking.done():
                await asyncio.to_thread(away.state)
                served += 1
            assert served
            return await asking

    before = hub.hub.refusals
    assert awaited(ask()) == [403] * 100
    assert hub.hub.refusals == before + 100
    assert len(compared) >= 100 and all(isinstance(a, bytes) for a in compared)


hmac_compare = hmac.compare_digest


@pytest.mark.parametrize("path", ["", "status", "list", "device", "client", "session/x", "fate/x"])
def test_pages_of_elsewhere_and_names_that_are_not_the_hubs_are_refused(hub, path, monkeypatch):
    monkeypatch.setattr(hub_module, "_SLOW_DOWN", 0.01)
    url = f"{hub.link}{path}"
    origin, port = hub.link.rpartition(f"/{hub.token}/")[0], Address.parse(hub.link).port

    def ask(**headers: str) -> int:
        return awaited(status(url, **headers))

    assert ask(Origin=origin) == ask(Host=f"localhost:{port}") != 403
    for other in ("http://example.org", "null", "https://" + origin[7:], origin + "0"):
        assert ask(Origin=other) == 403
    for name in (f"rebound.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", ""):
        assert ask(Host=name) == 403


def test_a_wrong_token_is_told_as_such(hub):
    with fails("refused", r"the token is wrong(.|\n)*weft rpc hub"):
        connect(hub.url, token="wrong")


def test_beyond_loopback_only_on_purpose():
    with pytest.raises(RPCError, match=r"every device of the hub(.|\n)*--public"):
        HubServer("0.0.0.0", 0)
    HubServer("0.0.0.0", 0, public=True)._listener.close()


# -- messages that are none -------------------------------------------------------------------


def test_two_gibibytes_are_refused_when_a_client_announces_them(hub, server, away):
    x = away.array(X)
    with fails("refused", "a message of 21474[0-9]* bytes was announced"):
        away.array(np.zeros(2 << 30, np.uint8))
    with fails("peer gone", "connection that it was made in"):
        x.numpy()
    assert away.array(X).numpy().tolist() == X.tolist()  # in a new session


def test_two_gibibytes_are_refused_when_a_device_announces_them(hub):
    def lie() -> None:
        _, data = device.begin()
        device.welcome(data)
        data.hear(until(30))
        data.send([announcement(2 << 30)], until(30))
        assert gone(data)

    with FakeDevice(hub.link, "liar") as device:
        lying = threading.Thread(target=lie)
        lying.start()
        with connect(hub.link, key="liar") as remote:
            with fails("refused", "a message of 21474[0-9]* bytes was announced"):
                remote.state()
            lying.join()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([b"GET / HTTP/1.1\r\n\r\n"], "no message of weft"),
        ([announcement(2 << 30)], "a message of 21474"),
        ([announcement(2 << 20)], "no message of the hub's"),
        ([announcement(0)], "cannot be read"),
        (protocol.encode("state", 1, {}), "'state' is no message to the hub"),
        (protocol.encode("joined", 1, {"number": 1}), "'want' was expected"),
        (protocol.encode("want", 1, {"version": 99, "key": "", "client": ""}), "version 99"),
        (protocol.encode("want", 1, {"version": 2, "key": [], "client": ""}), "'key' of"),
    ],
)
def test_what_is_no_message_is_refused_in_words(hub, said, why):
    link = StreamLink(Address.parse(hub.link), "client")
    link.send(said, until(30))
    answer, _ = link.hear(until(30))
    assert answer["kind"] == "refused" and why in answer["message"]
    assert gone(link)


def test_who_says_nothing_is_sent_away(hub, monkeypatch):
    monkeypatch.setattr(hub_module, "_SPEAK_WITHIN", 0.2)
    link = StreamLink(Address.parse(hub.link), "device")
    answer, _ = link.hear(until(30))
    assert "nothing was said in 0.2 seconds" in answer["message"]
    assert gone(link)


# -- turns ------------------------------------------------------------------------------------


def test_clients_wait_for_their_turn_and_hear_their_place(hub, server):
    places: dict[str, list[tuple[int, int]]] = {"second": [], "third": []}
    order, first = [], connect(hub.link, key="cpu")

    def wait(name: str) -> None:
        told = places[name]
        with connect(hub.link, key="cpu", on_queue=lambda *place: told.append(place)) as remote:
            order.append(name)
            right(remote.load(build("llvm")))

    threads = []
    for name, ahead in (("second", 0), ("third", 1)):
        threads.append(threading.Thread(target=wait, args=(name,)))
        threads[-1].start()
        soon(lambda n=name, a=ahead: (a, 1) in places[n])
    right(first.load(build("llvm")))
    first.close()
    for thread in threads:
        thread.join()
    assert order == ["second", "third"]
    assert places == {"second": [(0, 1)], "third": [(1, 1), (0, 1)]}


def test_a_client_that_goes_leaves_the_queue(hub, server, away):
    for _ in range(3):
        with fails("queue", "devices with this key: 1, clients before this one: 0"):
            connect(hub.link, key="cpu", wait=0.2)
    soon(lambda: not hub.hub.listing()["waiting"])
    with fails("queue", "there is none with this key") as e:
        connect(hub.link, key="nobody", wait=0.2)
    assert "weft rpc list" in str(e.value)


def test_who_waits_hears_of_devices_that_come_and_go(hub):
    told: list[tuple[int, int]] = []

    def wait() -> None:
        with fails("peer gone", "fake rare is gone"):
            connect(hub.link, key="rare", on_queue=lambda *place: told.append(place))

    waiting = threading.Thread(target=wait)
    waiting.start()
    soon(lambda: told == [(0, 0)])
    with FakeDevice(hub.link, "rare") as device:
        device.hear()
    waiting.join()
    with FakeDevice(hub.link, "rare") as busy:
        serving = threading.Thread(target=lambda: busy.welcome(busy.begin()[1]))
        serving.start()
        with connect(hub.link, key="rare"):
            serving.join()
            told.clear()
            waiting = threading.Thread(target=wait)
            waiting.start()
            soon(lambda: told == [(0, 1)])
            with FakeDevice(hub.link, "rare"):
                waiting_has_it = soon(lambda: not hub.hub.listing()["waiting"])
            assert waiting_has_it
            waiting.join()


def test_a_handle_of_anothers_session_is_unknown(hub, server, away):
    with Server(hub.link, "other"), connect(hub.link, key="other", wait=60) as other:
        mine, kernel = away.array(X), other.load(build("llvm"))
        with fails("peer gone", "connection that it was made in"):
            kernel(mine, X.copy())
        with other.peer.session("test") as session:
            for handle in range(50):
                with pytest.raises(InputError, match="there is no array"):
                    session.ask("get", {"handle": handle})
        assert mine.numpy().tolist() == X.tolist()


# -- who does not read ------------------------------------------------------------------------

UPLOAD = """
import sys
import numpy as np
from weft.runtime.rpc.client import connect
with connect(sys.argv[1], key="slow") as remote:
    print("uploading", flush=True)
    remote.array(np.zeros(256 << 20, np.uint8))
"""


def test_an_upload_to_who_does_not_read_waits_in_the_client(hub):
    """The hub keeps some MiB of 256; and a client that is killed then is noticed, although nobody
    reads what it says."""
    client = python(UPLOAD, hub.link, stdout=subprocess.PIPE)
    with FakeDevice(hub.link, "slow") as device:
        try:
            _, data = device.begin()
            device.welcome(data)
            assert client.stdout.readline() == "uploading\n"
            (session,) = (s for s in hub.hub.sessions.values() if s.device.key == "slow")
            most = 0
            for _ in range(100):
                soon(lambda: session.data.full)
                most = max(most, session.queued)
                data.receive(memoryview(bytearray(100_000)), until(30))
            assert 4 << 20 < most <= 8 << 20
            soon(lambda: session.data.full)
        finally:
            client.kill()
            client.communicate()
        soon(session.over.is_set, FREE)
        assert device.hear()["kind"] == "end"
        data.end()
