"""The cases of all faults that fuzzers, or people, have found: none comes back."""

from pathlib import Path

import pytest

from fuzz.child import MISSING, REFUSED, RIGHT, SKIPPED
from fuzz.driver import replay
from fuzz.table import fuzzers
from fuzz.worker import Worker

CORPUS = Path(__file__).parent / "corpus"
CASES = sorted(p for p in CORPUS.glob("*/*") if p.is_file())


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    made: dict[str, Worker] = {}

    def of(home: str) -> Worker:
        return made.setdefault(home, Worker(home, tmp_path_factory.mktemp(home)))

    yield of
    for w in made.values():
        w.close()


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_case(path, workers):
    fuzzer = fuzzers()[path.parent.name]
    outcome = replay(workers(fuzzer.home), fuzzer, path)
    if outcome.kind == MISSING:
        pytest.skip(outcome.text)
    assert outcome.kind in (RIGHT, REFUSED, SKIPPED), f"{outcome.mark}\n{outcome.text}"


def test_the_corpus_is_small():
    assert CASES
    assert all(p.stat().st_size < 100_000 for p in CASES)
    assert {p.parent.name for p in CASES} <= set(fuzzers())
