"""Bundles in a real Chromium: a page whose every request and every complaint is looked at."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from web.site_server import Site
from weft.benchmarks.browser import playwright
from weft.compiler.web.serve import serving
from weft.runtime.devices.pages import FLAGS
from weft.runtime.devices.pages import chromium as chromium_path
from weft.runtime.errors import DeviceError

RUNTIME = Path(__file__).parents[2] / "runtime_js"


class Visit:
    """One page and what was heard of it."""

    def __init__(self, page):
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda r: self.requests.append(r.url))
        page.on("pageerror", lambda e: self.complaints.append(f"pageerror: {e}"))
        page.on("console", self._console)
        page.add_init_script(
            """document.addEventListener('securitypolicyviolation', (e) =>
                 console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`));
               for (const name of ['ready', 'result', 'error']) {
                 document.addEventListener(`weft:${name}`, (e) => {
                   (globalThis.heard ??= []).push([name, e.detail]);
                 });
               }"""
        )

    def _console(self, message):
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self, address: str, state: str = "ready", timeout: float = 120) -> None:
        """Open a bundle and wait until the page is ``state``."""
        self.page.goto(address)
        self.wait(state, timeout)

    def wait(self, state: str, timeout: float = 120) -> None:
        ends = f'html[data-state="{state}"], html[data-state="error"]'
        self.page.wait_for_selector(ends, timeout=timeout * 1000, state="attached")
        now = self.page.get_attribute("html", "data-state")
        assert now == state, self.page.inner_text("#error") or self.complaints

    def heard(self, *names: str) -> int:
        """How many events of these names the page sent."""
        # Playwright's wait_for_function evaluates text in the page, which the policy forbids.
        count = "names => (globalThis.heard ?? []).filter(([n]) => names.includes(n)).length"
        return self.page.evaluate(count, list(names))

    def last(self, expression: str):
        """``expression`` of ``detail``, what the last event said."""
        return self.page.evaluate(
            f"() => {{ const detail = heard.at(-1)[1]; return {expression}; }}"
        )

    def show(self, file, timeout: float = 120) -> None:
        """Give the page an image and wait for its answer (or its error)."""
        before, end = self.heard("result", "error"), time.monotonic() + timeout
        self.page.set_input_files("#file", file)
        while self.heard("result", "error") == before:
            assert time.monotonic() < end, "the page gave no answer"
            time.sleep(0.02)

    def hosts(self) -> set[str]:
        """The hosts of all requests that went over a network."""
        return {urlsplit(u).netloc for u in self.requests if urlsplit(u).scheme.startswith("http")}


@pytest.fixture(scope="session")
def launch():
    """Starts a Chromium with given flags. There can be one Playwright in a process."""
    try:
        sync_api, executable = playwright(), chromium_path()
    except DeviceError as e:
        pytest.skip(str(e))
    with sync_api.sync_playwright() as p:
        yield lambda *flags: p.chromium.launch(executable_path=executable, args=flags)


@pytest.fixture(scope="module")
def chromium(launch):
    """A browser for each module: what tests do to it (lost devices, busy workers) ends there."""
    browser = launch(*FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def visit(chromium):
    context = chromium.new_context(viewport={"width": 1100, "height": 1000})
    yield Visit(context.new_page())
    context.close()


@pytest.fixture
def served():
    """Serve folders for one test: ``served(folder)`` returns the address."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda folder: stack.enter_context(serving(Path(folder)))


@pytest.fixture
def page(chromium):
    """An empty page without history or cache; an error that nobody catches fails the test."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda e: errors.append(str(e)))
    yield page
    context.close()
    assert not errors, errors


@pytest.fixture
def site():
    """A server that has the runtime's modules at ``/runtime_js`` and an empty ``/blank.html``."""
    site = Site({"/runtime_js": RUNTIME})
    yield site
    site.close()
