"""Commands run in a folder of their own."""

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WEFT_RECORDS", str(tmp_path / "records.sqlite"))
    monkeypatch.chdir(tmp_path)
