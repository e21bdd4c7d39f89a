"""The compiled model in the cache is a pickle, which runs what its writer wants: others may not have written it."""

import os
import pickle

import pytest

from model_server.models.speedy import program


@pytest.fixture
def kept(tmp_path):
    """A file as a process leaves it, in a folder as it makes it."""
    path = tmp_path / "cache" / "speedy.pickle"
    program._write(path, {"lat": 1})
    return path


def test_what_a_process_keeps_is_its_users_alone_and_read_again(kept):
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert program._read(kept) == {"lat": 1}


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("of_the_folder", [False, True])
def test_where_others_may_write_nothing_is_run(kept, mode, of_the_folder, caplog):
    (kept.parent if of_the_folder else kept).chmod(mode | 0o100)
    assert program._read(kept) is None
    assert "can be written by others, who could put any program there: it is made again; chmod go-w both" in caplog.text


def test_what_is_another_users_is_not_run(kept, monkeypatch, caplog):
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert program._read(kept) is None and "can be written by others" in caplog.text


def test_a_link_to_anothers_file_is_anothers(kept, tmp_path):
    real = kept.rename(tmp_path / "elsewhere.pickle")
    real.chmod(0o666)
    kept.symlink_to(real)
    assert program._read(kept) is None


def test_a_damaged_file_is_made_again(kept, caplog):
    kept.write_bytes(pickle.dumps({"lat": 1})[:-3])
    assert program._read(kept) is None and "cannot be read" in caplog.text
