"""A Chromium that opens pages and is told what to do, by its debugging protocol over a pipe."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from typing import Any

from weft.runtime.devices.pages import FLAGS, chromium

_WAIT = 60.0  # seconds
_COMMAND = 'exec 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null; exec "$@"'


class Ended(Exception):
    """What was asked is no more."""


class Browser:
    """One without a window. It throttles what is in the background, as those with one do."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="weft-test-browser-")
        words = [chromium(), *FLAGS, "--headless=new", "--remote-debugging-pipe",
                 f"--user-data-dir={self._profile}", "about:blank"]  # fmt: skip
        self._child = subprocess.Popen(
            ["sh", "-c", _COMMAND, "sh", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._number, self._rest = 0, b""
        self._workers: dict[str, str] = {}  # sessions of workers, and of their pages

    def ask(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """The answer to a command, of a page or worker if ``session`` is one."""
        self._number += 1
        said: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            said["sessionId"] = session
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(said).encode() + b"\0")
        self._child.stdin.flush()
        while True:
            heard = self._next()
            if heard.get("id") == self._number:
                if "error" in heard:
                    raise Ended(heard["error"])
                return heard["result"]
            if heard.get("method") == "Target.attachedToTarget":
                made = heard["params"]
                if made["targetInfo"]["type"] == "worker":
                    self._workers[made["sessionId"]] = heard.get("sessionId", "")
            elif heard.get("method") == "Target.detachedFromTarget":
                ended = heard["params"]["sessionId"]
                self._workers.pop(ended, None)
                if ended == session:
                    raise Ended(session)

    def _next(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        end = time.monotonic() + _WAIT
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._child.stdout], [], [], end - time.monotonic())
            got = os.read(self._child.stdout.fileno(), 1 << 20) if ready else b""
            assert got, "Chromium does not answer"
            self._rest += got
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def open(self, url: str) -> Tab:
        """A tab with a page."""
        target = self.ask("Target.createTarget", url=url)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, target, session)

    def workers(self, session: str) -> list[str]:
        """The sessions of a page's workers, in the order in which they were seen."""
        self.ask(
            "Target.setAutoAttach", session,
            autoAttach=True, waitForDebuggerOnStart=False, flatten=True,
        )  # fmt: skip
        return [worker for worker, page in self._workers.items() if page == session]

    def evaluate(self, session: str, script: str) -> Any:
        """The value of an expression there; promises are awaited."""
        answer = self.ask(
            "Runtime.evaluate", session,
            expression=script, awaitPromise=True, returnByValue=True,
        )  # fmt: skip
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def close(self) -> None:
        """End it."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(10)
        self._child.stdout.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Tab:
    """A page."""

    def __init__(self, browser: Browser, target: str, session: str):
        self._browser, self._target, self._session = browser, target, session

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self._browser.evaluate(self._session, script)

    def text(self, selector: str) -> str:
        """What an element shows."""
        return self.evaluate(f"document.querySelector({selector!r})?.textContent ?? ''")

    def click(self, selector: str) -> None:
        """Press a button."""
        self.evaluate(f"document.querySelector({selector!r}).click()")

    def in_workers(self, script: str) -> list[Any]:
        """The values of an expression in each of its workers that is there."""
        found = []
        for session in self._browser.workers(self._session):
            with suppress(Ended):
                found.append(self._browser.evaluate(session, script))
        return found

    def front(self) -> None:
        """Bring it to the front: others are in the background then."""
        self._browser.ask("Target.activateTarget", targetId=self._target)

    def close(self) -> None:
        """Close the tab; once more does nothing."""
        with suppress(Ended):
            self._browser.ask("Target.closeTarget", targetId=self._target)
