"""Members in one file are those of a file each: the same bits read, whatever happened while they were written."""

import shutil

import netCDF4
import numpy as np
import pytest

from contracts import ensemble, members, netcdf, state
from contracts.errors import ContractError
from contracts.members import Form
from contracts.paths import EnsembleFolder, side_by_side
from contracts.state import StateSpace
from tests import builders
from tests.builders import TIME

SPACE, COUNT = builders.space(4, 8), 7
EVERY = range(1, COUNT + 1)
STATES = {number: builders.random_state(SPACE, number).data for number in EVERY}
COURSES = {number: None if number == 3 else np.linspace(5.0, 1.0, number + 1) for number in EVERY}
ONE_EACH, TOGETHER = Form(SPACE, TIME, "twin"), Form(SPACE, TIME, "twin", COUNT)
PARTS = [[(1, 2, 3), (4, 5, 6), (7,)], [(1, 3, 5, 7), (2, 4, 6)], [(7,), (6, 2), (1, 3, 4, 5)]]


@pytest.fixture
def folder(tmp_path) -> EnsembleFolder:
    return EnsembleFolder(tmp_path)


def write(folder: EnsembleFolder, numbers, form: Form, shift: float = 0.0) -> None:
    with side_by_side() as disk:
        members.write(folder, numbers, [STATES[number] + np.float32(shift) for number in numbers], form, disk,
                      [COURSES[number] for number in numbers])


def values(folder: EnsembleFolder, numbers=EVERY) -> list[bytes]:
    return [one.data.tobytes() for one in members.read(folder, numbers, SPACE, TIME)]


def names(folder: EnsembleFolder) -> list[str]:
    return sorted(path.name for path in folder.folder.iterdir())


@pytest.fixture
def expected(tmp_path) -> list[bytes]:
    return [STATES[number].tobytes() for number in EVERY]


def test_a_file_each_and_one_of_all_have_the_same_members(folder, expected):
    other = EnsembleFolder(folder.folder / "other")
    write(folder, EVERY, ONE_EACH)
    write(other, EVERY, TOGETHER)
    assert names(other) == ["members.nc"] and names(folder) == [f"m{n:04d}.nc" for n in EVERY] + ["other"]
    assert values(folder) == values(other) == expected
    for where in (folder, other):
        assert values(where, (5, 2, 2, 7)) == [expected[number - 1] for number in (5, 2, 2, 7)]
        for found, course in zip(members.courses(where, EVERY), COURSES.values(), strict=True):
            np.testing.assert_array_equal(found, course)
        few = StateSpace(SPACE.grid, SPACE.channels[4:9])
        stacked = ensemble.read_members(where, (6, 0), few, TIME, slice(1, 3)).reshape(2, 2, *SPACE.grid.shape)
        np.testing.assert_array_equal(stacked, [STATES[7][5:7], STATES[1][5:7]])
        assert members.there(where, COUNT) == set(EVERY)


@pytest.mark.parametrize("parts", PARTS)
def test_parts_are_read_as_they_lie_and_put_together_once_all_are_there(folder, expected, parts):
    for numbers in parts:
        with pytest.raises(ContractError, match=r"m000\d.nc: no such file"):
            members.settle(folder, TOGETHER) if folder.parts() else values(folder)
        assert not folder.together.exists() and not folder.is_complete(COUNT)
        write(folder, numbers, TOGETHER)
        assert set(numbers) <= members.there(folder, COUNT)
    assert len(names(folder)) == len(parts) and values(folder) == expected
    members.settle(folder, TOGETHER)
    assert names(folder) == ["members.nc"] and values(folder) == expected
    whole = EnsembleFolder(folder.folder / "whole")
    write(whole, EVERY, TOGETHER)
    with netCDF4.Dataset(folder.together) as found, netCDF4.Dataset(whole.together) as at_once:
        assert list(found.variables) == list(at_once.variables)
        assert all(found[name][...].tobytes() == at_once[name][...].tobytes() for name in at_once.variables)


def test_what_is_newer_than_the_whole_counts_until_it_is_put_in(folder, expected):
    """A kill after the whole appeared and before its parts went; or an analysis made again."""
    write(folder, EVERY, TOGETHER, shift=1.0)
    write(folder, (1, 2, 3), TOGETHER, shift=1.0)
    write(folder, (1, 2, 3), TOGETHER)
    assert values(folder, (1, 2, 3)) == expected[:3] and values(folder, (4,)) != expected[3:4]
    write(folder, (4, 5, 6, 7), TOGETHER)
    members.settle(folder, TOGETHER)
    assert names(folder) == ["members.nc"] and values(folder) == expected


def test_killed_while_it_puts_them_together_nothing_is_lost(folder, expected, monkeypatch):
    for numbers in PARTS[0]:
        write(folder, numbers, TOGETHER)

    def dying(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(state, "in_file", dying)
        with pytest.raises(KeyboardInterrupt):
            members.settle(folder, TOGETHER)
    assert len(names(folder)) == 3
    members.settle(folder, TOGETHER)
    assert names(folder) == ["members.nc"] and values(folder) == expected


def test_put_together_it_takes_one_open_file_after_the_other(folder, monkeypatch):
    """However many ranks wrote a part each: members alternate between parts, files do not."""
    for numbers in PARTS[1]:
        write(folder, numbers, TOGETHER)
    opened, plain = [], netcdf.open_to_read

    def counting(path, contract):
        opened.append(path)
        return plain(path, contract)

    monkeypatch.setattr(netcdf, "open_to_read", counting)
    members.settle(folder, TOGETHER)
    assert len(opened) <= 5 * len(PARTS[1]) < 2 * COUNT


def test_where_each_has_its_own_there_is_nothing_to_put_together(folder):
    write(folder, EVERY, ONE_EACH)
    members.settle(folder, ONE_EACH)
    assert names(folder) == [f"m{n:04d}.nc" for n in EVERY]


def test_with_its_statistics_it_is_complete(folder):
    write(folder, EVERY, TOGETHER)
    assert not folder.is_complete(COUNT)
    ensemble.write_statistics(folder, ensemble.stored(folder, COUNT, SPACE, TIME), SPACE, TIME, "twin")
    assert folder.is_complete(COUNT)
    ensemble.refuse_missing(folder, COUNT, "it")
    assert folder.files(COUNT) == [folder.together, folder.mean, folder.spread]
    folder.together.unlink()
    assert not folder.is_complete(COUNT)
    with pytest.raises(ContractError, match="m0001.nc: no such file; expected it of 7 members, 7 missing"):
        ensemble.refuse_missing(folder, COUNT, "it")


def test_one_file_is_as_large_as_all_files_and_no_larger(folder):
    other = EnsembleFolder(folder.folder / "other")
    write(folder, EVERY, ONE_EACH)
    write(other, EVERY, TOGETHER)
    assert other.together.stat().st_size < sum(path.stat().st_size for path in folder.members(COUNT))


def test_what_does_not_fit_is_told_by_its_name(folder):
    write(folder, EVERY, TOGETHER)
    grid = builders.space(8, 16)
    for numbers, space, time, words in (
            ((1,), grid, TIME, "members.nc: expected the 8 x 16"),
            ((1,), SPACE, TIME.replace(hour=18), "members.nc: expected the state of 1989010118, got 1989010106"),
            ((8,), SPACE, TIME, "m0008.nc: no such file")):
        with pytest.raises(ContractError, match=words):
            list(members.read(folder, numbers, space, time))
    with pytest.raises(ContractError, match="members.nc: expected a file of contract 'state/1', got 'ensemble/1'"):
        state.read(folder.together, SPACE)
    whole = folder.together.read_bytes()
    place = whole.index(STATES[5].tobytes()[:64])
    folder.together.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert values(folder, (4, 6)) == [STATES[number].tobytes() for number in (4, 6)]
    with pytest.raises(ContractError, match="members.nc: is damaged"):
        values(folder)
    shutil.copy(folder.together, folder.part((1, 2)))
    folder.together.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ContractError, match="members.nc: is no readable NetCDF file"):
        values(folder)
