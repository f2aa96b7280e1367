"""Pages that are devices: what their clients hear when something happens to them."""

import gc
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from support.browsers import Browser
from support.hubs import FREE, HubProcess, X, build, fails, keys, right, soon
from support.places import need
from weft.runtime.errors import RPCError
from weft.runtime.executor import Executable
from weft.runtime.rpc.client import connect
from weft.runtime.rpc.ends import End

pytestmark = pytest.mark.timeout(240)
PLACES = ("webgl", "webgpu", "wasm")


@pytest.fixture(scope="module")
def browser():
    need("webgl")
    with Browser() as made:
        yield made


@pytest.fixture(scope="module")
def kernels():
    """A kernel for each kind of target."""
    need("wasm")
    return {place: build(place) for place in PLACES}


@pytest.fixture(scope="module")
def endless(kernels):
    return build("wasm", endless=True)


@contextmanager
def page(hub, browser, key: str):
    """A tab that is a device, until it is closed."""
    tab = browser.open(f"{hub.link}?key={key}")
    try:
        soon(lambda: key in keys(hub), 60)
        yield tab
    finally:
        tab.close()
        soon(lambda: key not in keys(hub))


@pytest.fixture(scope="module")
def tab(hub, browser):
    with page(hub, browser, "chrome") as made:
        yield made


@pytest.fixture
def away(hub, tab):
    with connect(hub.link, key="chrome", wait=60) as remote:
        yield remote


def meanwhile(do) -> threading.Timer:
    timer = threading.Timer(1.0, do)
    timer.start()
    return timer


# -- who serves -------------------------------------------------------------------------------


def test_the_page_says_what_it_is_and_what_it_does(hub, tab, kernels, endless):
    assert tab.text("#state") == "ready, as 'chrome'"
    assert "Headless Chrome" in tab.text("#name")
    assert all(place in tab.text("#targets") for place in PLACES)
    seen = []

    def look():
        seen.extend([tab.text("#state"), tab.text("#doing"), tab.evaluate("document.title")])

    with connect(hub.link, key="chrome", timeout=4) as remote:
        for place in PLACES:
            right(remote.load(kernels[place]))
        running = remote.load(endless)
        timer = meanwhile(look)
        with fails("timeout", "Headless Chrome .* did not answer within 4 s"):
            running(X, X.copy())
        timer.join()
    assert seen[0].startswith("working for ") and seen[1] == "run main" and "▶" in seen[2]
    with connect(hub.link, key="chrome", wait=FREE) as remote:
        right(remote.load(kernels["wasm"]))
    soon(lambda: tab.text("#state") == "ready, as 'chrome'")
    assert "calls" in tab.text("#log")


def test_clients_come_one_after_the_other_and_leave_nothing(hub, browser, tab, kernels):
    def workers() -> int:
        found = browser.ask("Target.getTargets", filter=[{"type": "worker"}])
        return len(found["targetInfos"])

    def ends() -> int:
        gc.collect()
        return sum(issubclass(type(x), End) for x in gc.get_objects())

    before = ends()
    for k in range(30):
        with connect(hub.link, key="chrome") as remote:
            assert set(remote.state().values()) == {0}
            right(remote.load(kernels[PLACES[k % 3]]))
            a = remote.array(X)
            assert a.numpy().tolist() == X.tolist()
            assert remote.state()["arrays"] == 1
    soon(lambda: not hub.hub.sessions)
    soon(lambda: ends() <= before)  # of tests before this one there may have been some
    soon(lambda: workers() == 2)  # the clock, and the one for the next session


def test_two_tabs_are_two_devices(hub, browser, tab, kernels):
    second = browser.open(f"{hub.link}?key=chrome")
    try:
        soon(lambda: keys(hub).count("chrome") == 2, 60)
        with connect(hub.link, key="chrome") as a, connect(hub.link, key="chrome", wait=30) as b:
            kernel = a.load(kernels["wasm"])
            right(b.load(kernels["webgl"]))
            right(kernel)
    finally:
        second.close()
        soon(lambda: keys(hub).count("chrome") == 1)


# -- what fails -------------------------------------------------------------------------------


def test_a_tab_that_is_closed_in_the_middle_of_a_run(hub, browser, endless):
    with page(hub, browser, "closed") as tab, connect(hub.link, key="closed") as remote:
        running = remote.load(endless)
        timer = meanwhile(tab.close)
        with fails("peer gone", r"Headless Chrome \d+ .* is gone"):
            running(X, X.copy())
        timer.join()


def test_the_stop_button(hub, browser, kernels, endless):
    with page(hub, browser, "stops") as tab, connect(hub.link, key="stops") as remote:
        running = remote.load(endless)
        timer = meanwhile(lambda: tab.click("#stop"))
        with fails("peer gone", "Headless Chrome .* was stopped at its page"):
            running(X, X.copy())
        timer.join()
        soon(lambda: "stops" not in keys(hub))
        assert tab.text("#state") == "stopped: no programs run here"
        assert tab.text("#stop") == "Start"
        tab.click("#stop")
        right(remote.load(kernels["wasm"]))  # as soon as it is there again


@pytest.mark.parametrize(
    ("place", "broken", "words"),
    [
        ("webgl", b"#version 300 es\nvoid main() {\n  nonsense;\n}\n",
         r"ERROR: 0:\d+(.|\n)*nonsense(.|\n)*\d+.*nonsense;"),
        ("webgpu", b"@compute @workgroup_size(1)\nfn main() {\n  nonsense;\n}\n",
         r"refused: expected(.|\n)*3: nonsense;"),
    ],
)  # fmt: skip
def test_a_shader_that_does_not_compile(away, kernels, place, broken, words):
    """Comes home with the driver's log and the numbered source; the session goes on."""
    exe = kernels[place].executable
    codes = dict.fromkeys(exe.codes, broken)
    with fails("compile", words):
        away.load(Executable(exe.program, codes, exe.params))
    right(away.load(kernels[place]))


LOSE = """
(() => {
  const proto = WebGL2RenderingContext.prototype;
  const plain = proto.drawArrays;
  proto.drawArrays = function (...a) {
    globalThis.used = this;
    if (globalThis.armed) {
      globalThis.armed = false;
      this.getExtension('WEBGL_lose_context').loseContext();
    }
    return plain.apply(this, a);
  };
})()
"""


def test_a_context_that_is_lost(away, tab, kernels):
    """In the middle of a run it is an error of that run; the next has a new one."""
    kernel, other = away.load(kernels["webgl"]), away.load(kernels["wasm"])
    right(kernel)
    tab.in_workers(LOSE)
    right(kernel)
    for _ in range(2):
        assert tab.in_workers("globalThis.armed = Boolean(globalThis.used)").count(True) == 1
        with fails("run", "took the WebGL context away"):
            right(kernel)
        right(kernel)
        right(other)
    tab.in_workers("globalThis.used?.getExtension('WEBGL_lose_context').loseContext()")
    right(kernel)  # nothing ran then: nothing is said


def test_a_graphics_process_that_crashes(away, browser, kernels):
    loaded = [away.load(kernels[place]) for place in ("webgl", "webgpu")]
    for kernel in loaded:
        right(kernel)
    browser.ask("Browser.crashGpuProcess")

    def works(kernel) -> bool:
        try:
            right(kernel)
        except RPCError as e:
            assert e.step == "run" and "took the" in str(e)
            return False
        return True

    for kernel in loaded:
        soon(lambda k=kernel: works(k))


def test_a_worker_that_fails(hub, away, tab, kernels):
    kernel, a = away.load(kernels["wasm"]), away.array(X)
    tab.in_workers("void setTimeout(() => { throw new Error('out of luck'); })")
    soon(lambda: any("worker failed: Uncaught Error: out" in w for _, w in hub.hub.fates.values()))
    with fails("peer gone", "connection that it was made in"):
        a.numpy()
    right(kernel)  # in another


SMALL = """
globalThis.Uint8Array = class extends Uint8Array {
  constructor(...a) {
    if (a[0] > 1e6) throw new RangeError('Array buffer allocation failed');
    super(...a);
  }
};
0
"""


def test_a_page_whose_memory_is_used_up(away, tab, kernels):
    right(away.load(kernels["wasm"]))
    tab.in_workers(SMALL)
    with fails("peer gone", "cannot be taken: RangeError: Array buffer allocation failed"):
        away.array(np.zeros(4 << 20, np.uint8))


# -- who comes back ---------------------------------------------------------------------------


def test_a_page_in_the_background_works_and_comes_back(browser, kernels):
    """When its hub does."""
    hub = HubProcess()
    tab = browser.open(f"{hub.link}?key=back")
    front = browser.open(f"{hub.link}status")
    try:
        front.front()
        soon(lambda: tab.evaluate("document.hidden"))
        soon(lambda: hub.listing()["devices"], 60)
        with connect(hub.link, key="back", wait=60) as remote:
            kernel = remote.load(kernels["wasm"])
            right(kernel)
            right(remote.load(kernels["webgl"]))
            soon(lambda: "1 device, 1 busy; 0 clients waiting" in front.text("#state"))
            for _ in range(2):
                hub.kill()
                soon(lambda: "the hub is gone" in tab.text("#state"))
                soon(lambda: "does not answer" in front.text("#state"))
                hub.start()
                right(kernel)
            hub.kill()
        assert tab.evaluate("document.hidden")
        hub.token = "another"
        hub.start()
        soon(lambda: "another link" in tab.text("#state"))
    finally:
        hub.kill()
        tab.close()
        front.close()
