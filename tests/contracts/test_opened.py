"""A file of ours opened by HDF5's own names says what NetCDF's library says of it."""

from contextlib import suppress

import h5py
import netCDF4
import numpy as np
import pytest
from h5py import h5d, h5s, h5t

from contracts import check, created, netcdf, observations, state
from contracts.errors import ContractError
from contracts.opened import Dataset
from tests import builders, doors


@pytest.fixture(params=["state", "ensemble", "table", "texts"])
def path(request, tmp_path):
    path = tmp_path / "file.nc"
    if request.param == "state":
        state.write(path, builders.random_state(builders.space(7, 11)), 3, "an experiment", start=builders.TIME)
    elif request.param == "ensemble":
        doors.made_ensemble(path)
    elif request.param == "table":
        doors.made_table(path)
    else:
        with netCDF4.Dataset(path, "w") as file:  # as tools of others write
            file.setncatts({"many": np.arange(3), "one": 2.5, "none": "", "umlaut": "Lüftung", "complete": "yes"})
            file.createDimension("name", 2)
            file.createDimension("place", 2)
            file.createVariable("name", str, ("name",))[:] = np.array(["Ä", "long text"], object)
            file.createVariable("place", "i4", ("name",))[:] = [1, 2]  # no coordinate, though of a dimension's name
            file.createVariable("alone", "f8", ())[...] = 4.5
            file.createVariable("table", "f8", ("name", "place"))[:] = np.arange(4.0).reshape(2, 2)
            file["table"].units = "m"
    return path


def test_variables_dimensions_attributes_and_values_are_those_of_netcdf(path):
    with netCDF4.Dataset(path) as ours, netcdf.open_to_read(path, None) as found:
        ours.set_auto_mask(False)
        ours.set_auto_chartostring(False)  # characters stay characters
        assert list(found.variables) == list(ours.variables)
        for item, other in [(found, ours), *((found[name], ours[name]) for name in ours.variables)]:
            for name in other.ncattrs():
                expected = other.getncattr(name)
                np.testing.assert_array_equal(getattr(item, name), expected)
                assert type(getattr(item, name)) is type(expected)
            with pytest.raises(AttributeError):
                item.nothing_of_this_name  # noqa: B018
        for name, other in ours.variables.items():
            assert found[name].dimensions == other.dimensions and found[name].shape == other.shape
            values = found[name][...]
            np.testing.assert_array_equal(values, other[...])
            assert values.dtype == other[...].dtype and values.dtype.isnative
            if values.ndim and values.dtype.kind in "fi":
                for number, row in enumerate(values):
                    np.testing.assert_array_equal(found[name].part(number), row)
                    part = (number, *(slice(size // 3, size - size // 4) for size in row.shape))
                    np.testing.assert_array_equal(found[name].part(*part), values[part])


@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">f8", "<i8", ">i2", "u1"])
def test_values_come_in_the_byte_order_of_this_computer(tmp_path, dtype):
    path, values = tmp_path / "file.nc", np.array([1, 2, 250], dtype)
    with h5py.File(path, "w") as file:
        file["x"] = values
        file["x"].attrs["y"] = values[:1]
    with Dataset(path) as found:
        np.testing.assert_array_equal(found["x"][...], values)
        assert found["x"][...].dtype == values.dtype.newbyteorder("=") and found["x"].y == 1


def test_numbers_of_fewer_bits_than_bytes_are_those_numbers(tmp_path):
    kind = h5t.STD_I32LE.copy()
    kind.set_precision(12)
    kind.set_offset(8)
    with h5py.File(tmp_path / "file.nc", "w") as file:
        item = h5d.create(file.id, b"x", kind, h5s.create_simple((3,)))
        item.write(h5s.ALL, h5s.ALL, np.array([-5, 0, 7], np.int32))
    with Dataset(tmp_path / "file.nc") as found:
        np.testing.assert_array_equal(found["x"][...], [-5, 0, 7])


def test_a_file_of_another_format_is_told(tmp_path):
    path = tmp_path / "m0001.nc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        file.complete = "yes"
    with pytest.raises(ContractError, match="m0001.nc: is no readable NetCDF file .*; remove it and make it again"):
        observations.read(path)


def test_of_the_levels_of_a_state_those_asked_for_are_read_alone(tmp_path, monkeypatch):
    """The checksum of another one is not looked at."""
    monkeypatch.setattr(created, "_MOST_OF_A_CHUNK", 4 * 7 * 11)
    space, path = builders.space(7, 11), tmp_path / "member.nc"
    whole = builders.random_state(space)
    state.write(path, whole)
    damaged = 1
    spoilt = path.read_bytes().replace(whole.data[damaged].tobytes(), whole.data[damaged + 1].tobytes(), 1)
    path.write_bytes(spoilt)
    for channels in (slice(0, 1), slice(2, None)):
        few = state.StateSpace(space.grid, space.channels[channels])
        np.testing.assert_array_equal(state.read(path, few).data, whole.data[channels])
    with pytest.raises(ContractError, match="is damaged"):
        state.read(path, state.StateSpace(space.grid, space.channels[:3]))


def as_netcdf_reads(path):
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        return [(name, str({each: item.getncattr(each) for each in item.ncattrs()}),
                 *((item.dimensions, item[...].tobytes()) if item is not file else ()))
                for name, item in [("", file), *file.variables.items()]]


def test_a_flipped_bit_is_told_or_changes_nothing(tmp_path):
    """Also where HDF5 itself keeps no checksum: in indices of chunks, in heaps that only NetCDF's library reads."""
    space, path, rng = builders.space(7, 11), tmp_path / "m0001.nc", np.random.default_rng(1)
    before = builders.random_state(space)
    state.write(path, before, member=1)
    check.read_whole(path)
    expected, whole = as_netcdf_reads(path), path.read_bytes()
    described = np.frombuffer(whole.replace(before.data.tobytes(), b"\0" * before.data.nbytes), np.uint8).nonzero()[0]
    refused = 0
    for place in rng.choice(described, 200, replace=False):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        with suppress(ContractError):
            np.testing.assert_array_equal(state.read(path, space, before.time).data, before.data)
        try:
            check.read_whole(path)
        except ContractError:
            refused += 1
        else:
            assert as_netcdf_reads(path) == expected, f"byte {place}"
    assert refused > 50
