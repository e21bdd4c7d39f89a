"""What a model keeps on a machine: read again as it was, made again where damaged or where others may write."""

import os

import pytest

from model_server import cache
from model_server.models.speedy import program

CONTENT = b"a program"


@pytest.fixture
def kept(tmp_path):
    """A file as a process leaves it, in a folder as it makes it."""
    path = tmp_path / "cache" / "speedy.pickle"
    cache.write(path, CONTENT)
    return path


def test_what_a_process_keeps_is_its_users_alone_and_read_again(kept):
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert cache.read(kept) == CONTENT and cache.read(kept.with_name("other")) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("of_the_folder", [False, True])
def test_where_others_may_write_nothing_is_run(kept, mode, of_the_folder, caplog):
    (kept.parent if of_the_folder else kept).chmod(mode | 0o100)
    assert cache.read(kept) is None
    assert "can be written by others, who could put any program there: it is made again; chmod go-w both" in caplog.text


def test_what_is_another_users_is_not_run(kept, monkeypatch, caplog):
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert cache.read(kept) is None and "can be written by others" in caplog.text


def test_a_link_to_anothers_file_is_anothers(kept, tmp_path):
    real = kept.rename(tmp_path / "elsewhere.pickle")
    real.chmod(0o666)
    kept.symlink_to(real)
    assert cache.read(kept) is None


@pytest.mark.parametrize("damage", [lambda kept: kept[:-3], lambda kept: kept[:-1] + b"x", lambda kept: b""])
def test_a_damaged_file_is_made_again(kept, caplog, damage):
    kept.write_bytes(damage(kept.read_bytes()))
    assert cache.read(kept) is None and "damaged" in caplog.text


def test_a_pickle_that_is_none_is_made_again(kept, caplog):
    assert program._read(kept) is None and "cannot be read" in caplog.text


def test_a_name_follows_from_all_parts_and_where_one_ends(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    names = [cache.path("x", ".y", parts) for parts in ([b"ab", "c"], ["a", "bc"], ["abc"], ["ab", "c", ""])]
    assert len(set(names)) == 4 and cache.path("x", ".y", ["ab", b"c"]) == names[0]
    assert names[0].parent == tmp_path / "model_server" and names[0].name.startswith("x-")
