"""The fuzzers' driver: every way in which a case may end is seen, and its case is kept."""

import math
import time

import pytest

from fuzz.child import DIFFERS, ERROR, MEMORY, REFUSED, RIGHT, SKIPPED, WRONG
from fuzz.driver import Driver, replay
from fuzz.report import EXAMPLES, Report
from fuzz.table import fuzzers
from fuzz.toys import WAYS
from fuzz.worker import CRASH, HANG, Worker

MODULES = ("toys",)
ENDS = {
    "right": RIGHT, "refused": REFUSED, "skipped": SKIPPED, "differs": DIFFERS, "wrong": WRONG,
    "error": ERROR, "refused-for-memory": MEMORY, "abort": CRASH, "exit": CRASH, "hang": HANG,
    "sleep": HANG, "memory": MEMORY, "peer": SKIPPED,
}  # fmt: skip


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    made = Worker("cpu", tmp_path_factory.mktemp("fuzz"), MODULES)
    yield made
    made.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_case_ends(worker, way):
    outcome = worker.ask(fuzzers(MODULES)[f"toy-{way}"], {"seed": 3})
    assert outcome.kind == ENDS[way], outcome.text
    assert len(outcome.data) == 20


def test_a_finding_says_where(worker):
    outcome = worker.ask(fuzzers(MODULES)["toy-abort"], {"seed": 0})
    assert "SIGABRT" in outcome.mark and "toys.py" in outcome.text
    outcome = worker.ask(fuzzers(MODULES)["toy-hang"], {"seed": 0})
    assert "_hang" in outcome.text


def run(tmp_path, *names, cases=40, jobs=1):
    chosen = {n: fuzzers(MODULES)[n] for n in names}
    report = Report(chosen, tmp_path / "findings")
    driver = Driver(list(chosen.values()), tmp_path / "scratch", report, 7, MODULES)
    driver.run(math.inf, cases, jobs)
    return report


def test_a_run_counts_keeps_and_shrinks(tmp_path):
    report = run(tmp_path, "toy-letter", "toy-right", "toy-missing", jobs=2)
    tally = report.tallies["toy-letter"]
    assert tally.cases == 40 and 20 < tally.findings < 40
    assert report.tallies["toy-right"].counts == {RIGHT: 40}
    assert "toy-missing" in str(report) and "there is no toy" in str(report)
    assert report.failed and f"error × {tally.findings}: TypeError" in str(report)
    kept = sorted((tmp_path / "findings").glob("*.txt"))
    smaller = [p for p in kept if ".smaller" in p.name]
    assert len(smaller) == EXAMPLES and all(p.read_bytes() == b"a" for p in smaller)


def test_the_same_seed_is_the_same_case(tmp_path, worker):
    run(tmp_path, "toy-letter", cases=1)
    (path,) = (p for p in (tmp_path / "findings").iterdir() if p.name.endswith("seed-7.txt"))
    letter = fuzzers(MODULES)["toy-letter"]
    assert worker.ask(letter, {"seed": 7}).data == path.read_bytes()
    assert replay(worker, letter, path).kind == ERROR


def test_the_time_ends_a_case_that_is_nobodys_fault(tmp_path):
    chosen = {"toy-sleep": fuzzers(MODULES)["toy-sleep"]}
    report = Report(chosen, tmp_path / "findings")
    driver = Driver(list(chosen.values()), tmp_path / "scratch", report, 0, MODULES)
    driver.run(time.monotonic(), math.inf)
    assert not report.failed
