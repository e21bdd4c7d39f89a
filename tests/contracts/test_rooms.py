"""A file that several fill has the numbers, checksums and marks of one that one writes."""

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contracts import created, field, paths, rooms, state
from contracts.created import NewDataset
from contracts.errors import ContractError, UserError
from contracts.state import StateSpace
from tests import builders
from tests.letkf_mpi.case import numbers_in

SPACE = builders.space(7, 11)
BLOCK = 2048  # bytes that HDF5 takes at once for descriptions, of which some stay free


@pytest.fixture(params=[4 * 7 * 11, 4 * 2 * 7 * 11, 4 * 3 * 11, 2**22])
def chunks(request, monkeypatch):
    """Of a level, of two of three, of three of seven latitudes, of all."""
    monkeypatch.setattr(created, "_MOST_OF_A_CHUNK", request.param)
    monkeypatch.setattr(created, "_MOST_BESIDE", 1)


def fill(path, where, cuts, data, disk):
    """By parts, the last one first."""
    for first, last in reversed(list(zip(cuts, cuts[1:], strict=False))):
        rooms.fill(path, where, first, data[first:last], disk)


@pytest.mark.parametrize("whose", [{"member": 3}, {"statistic": "spread"}])
def test_a_state_that_several_write_is_the_file_of_one(tmp_path, chunks, whose):
    whole, one, several = builders.random_state(SPACE), tmp_path / "one.nc", tmp_path / "several.nc"
    state.write(one, whole, experiment="twin", **whose)
    with paths.withheld() as kept:
        where = state.lay_down(several, SPACE, whole.time, experiment="twin", disk=kept, **whose)
        with paths.side_by_side() as disk:
            fill(several, where, state.cuts(SPACE), whole.data, disk)
        assert not several.exists()
    assert 0 <= several.stat().st_size - one.stat().st_size < BLOCK
    assert numbers_in(several) == numbers_in(one)
    with netCDF4.Dataset(one) as expected, netCDF4.Dataset(several) as found:
        for name, variable in expected.variables.items():
            assert {key: str(found[name].getncattr(key)) for key in variable.ncattrs()} == {
                key: str(variable.getncattr(key)) for key in variable.ncattrs()}
            assert found[name].chunking() == variable.chunking() and found[name].filters() == variable.filters()
    np.testing.assert_array_equal(state.read(several, SPACE, whole.time).data, whole.data)


def test_a_field_that_several_write_is_the_file_of_one(tmp_path, chunks):
    levels = np.array([50_000.0, 85_000.0, 100_000.0])
    data = np.random.default_rng(0).normal(size=(3, *SPACE.grid.shape))
    written = field.Field("inflation", "1", SPACE.grid, levels, data, builders.TIME)
    field.write(tmp_path / "one.nc", written)
    with paths.withheld() as kept:
        where = field.lay_down(tmp_path / "several.nc", "inflation", "1", SPACE.grid, levels, builders.TIME, disk=kept)
        with paths.side_by_side() as disk:
            fill(tmp_path / "several.nc", where, field.cuts(SPACE.grid, levels), data, disk)
    assert numbers_in(tmp_path / "several.nc") == numbers_in(tmp_path / "one.nc")


def test_a_flipped_bit_in_what_several_wrote_is_refused(tmp_path):
    whole, path = builders.random_state(SPACE), tmp_path / "several.nc"
    with paths.withheld() as kept, paths.side_by_side() as disk:
        fill(path, state.lay_down(path, SPACE, whole.time, disk=kept), state.cuts(SPACE), whole.data, disk)
    damaged, pattern = bytearray(path.read_bytes()), whole.data[0, -1].tobytes()
    damaged[damaged.index(pattern) + 5] ^= 4
    path.write_bytes(bytes(damaged))
    with pytest.raises(ContractError, match="is damaged"):
        state.read(path, SPACE)


def test_parts_are_cut_where_chunks_begin(tmp_path, chunks):
    cuts = state.cuts(SPACE)
    assert cuts[0] == 0 and cuts[-1] == len(SPACE.channels) and sorted(set(cuts)) == cuts
    with paths.withheld() as kept:
        where = state.lay_down(tmp_path / "m.nc", SPACE, builders.TIME, disk=kept)
    assert sorted(set(where[:, 0])) == cuts[:-1]


def test_a_state_whose_variables_lie_between_one_another_is_not_cut():
    mixed = StateSpace(SPACE.grid, (*SPACE.channels[:2], *SPACE.channels[3:], SPACE.channels[2]))
    assert state.cuts(mixed) == [0, len(SPACE.channels)]


def test_a_disk_that_refuses_a_part_is_named_and_nothing_stays(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    whole, path = builders.random_state(SPACE), tmp_path / "m.nc"
    monkeypatch.setattr(rooms.os, "pwrite", full)
    with pytest.raises(UserError, match="m.nc: could not be written .No space left on device."), \
            paths.withheld() as kept, paths.side_by_side() as disk:
        fill(path, state.lay_down(path, SPACE, whole.time, disk=kept), state.cuts(SPACE), whole.data, disk)
    assert not list(tmp_path.iterdir())


@given(hnp.arrays(np.uint8, st.integers(1, 3000).map(lambda half: 2 * half)))
def test_the_checksum_is_that_of_hdf5(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("checksum") / "file.nc"
    with NewDataset(path) as file:
        file.add_dimension("x", data.size // 2)
        found = file.add_parts("field", np.dtype("<i2"), ("x",), (data.size // 2,), {})
        found[...] = data.view("<i2")
        file.finish()
        stored = found.id.read_direct_chunk((0,))[1]
    assert stored[:-4] == data.tobytes()
    assert int.from_bytes(stored[-4:], "little") == rooms.checksum(data)


def test_checksums_of_nothing_but_zeros_and_of_ones():
    """A sum that is a multiple of 65535 is not 0 but for zeros alone."""
    assert rooms.checksum(np.zeros(600, np.uint8)) == 0
    assert rooms.checksum(np.full(600, 255, np.uint8)) == 0xFFFFFFFF
