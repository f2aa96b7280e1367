"""Forks, as servers and loaders of data do them: no child waits for a lock that nobody holds."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import forking
from weft.runtime import forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.mark.parametrize("scene", [s.__name__ for s in forking.SCENES])
def test_children_can_do_what_their_parent_can(scene, tmp_path):
    """In a process of its own, which may hang: that is then a failure, too."""
    env = {**os.environ, "WEFT_CACHE_DIR": str(tmp_path), "WEFT_RECORDS": "0"}
    command = [sys.executable, str(Path(forking.__file__)), scene]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=10 * forking.PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


def forked(do) -> None:
    """Do something in a fork, which may be stuck, and see that it ends well."""
    forking.wait(forking.child(do))


class _Owner:
    def __init__(self):
        self.lock = forks.renewed(self, "lock")
        self.known: list[str] = []


def held_elsewhere(lock, release: threading.Event) -> threading.Thread:
    """A thread that holds a lock until ``release``; it has it when this returns."""
    has = threading.Event()

    def hold():
        with lock:
            has.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    has.wait()
    return thread


def test_a_renewed_lock_is_free_in_the_child():
    owner, release = _Owner(), threading.Event()
    thread = held_elsewhere(owner.lock, release)

    def do():
        with owner.lock, owner.lock:  # re-entrant
            pass

    forked(do)
    release.set()
    thread.join()


def test_who_forks_inside_of_a_renewed_lock_gives_back_the_old_one():
    owner = _Owner()

    def do():
        thread = held_elsewhere(owner.lock, release := threading.Event())
        release.set()
        thread.join()

    with owner.lock:
        forked(do)


def test_a_fork_waits_for_awaited_locks_whatever_their_order():
    """The other thread takes the second inside of the first, and forks meet it there."""
    first, second = forks.awaited(), forks.awaited()
    state, counts = {"inside": False}, []

    def work():
        for outer, inner in ((first, second), (second, first)):
            with outer, inner:
                state["inside"] = True
                counts.append(len(counts))
                state["inside"] = False

    def do():
        assert not state["inside"]
        assert first.acquire(blocking=False) and second.acquire(blocking=False)
        first.release(), second.release()

    with forking.meanwhile(work):
        for _ in range(20):
            forked(do)
    with first, second:  # the parent's are free again, too
        pass


def test_hooks_are_called_and_are_weak():
    owner = _Owner()
    forks.before(owner, lambda o: o.known.append("before"))
    forks.in_child(owner, lambda o: o.known.append("child"))
    calls = owner.known

    def do():
        assert calls == ["before", "child"]

    forked(do)
    assert calls == ["before"]
    del owner
    forked(lambda: None)
    assert calls == ["before"]


def test_a_fork_does_not_happen_in_the_middle_of_an_import():
    release = threading.Event()
    thread = held_elsewhere(forks.imports, release)
    threading.Timer(0.05, release.set).start()

    def do():
        assert release.is_set()

    forked(do)
    thread.join()
