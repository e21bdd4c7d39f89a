"""What tests of a league begin with."""

from pathlib import Path

import pytest

from tests.verify.leagues import small_league


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WORK", str(tmp_path))
    return small_league(tmp_path)
