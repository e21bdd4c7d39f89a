"""A file written by HDF5's own names is to NetCDF's library what that library would have written."""

import errno

import h5netcdf
import netCDF4
import numpy as np
import pytest
import xarray

from contracts import created, netcdf, state
from contracts.created import NewDataset, chunks_of
from contracts.errors import UserError
from tests import builders

DIMENSIONS = {"time": 0, "level": 3, "lat": 4, "text": 2, "level_text": 2}
ATTRIBUTES = {"title": "a file", "none": "", "umlaut": "Lüftung", "one": 2.5, "number": np.int32(3),
              "many": np.arange(3), "nothing": np.empty(0), "names": ["Ä", "long text"], "lines": "a\nb"}
VARIABLES = {
    "level": (("level", "level_text"), np.array([[b"a", b"b"], [b"c", b""], [b"d", b"e"]])),
    "time": (("time",), np.empty(0, np.int64)),
    "lat": (("lat",), np.arange(4.0)),
    "alone": ((), np.array(3, np.int16)),
    "text": (("lat",), np.array([1, 2, 3, 4], np.int8)),  # no coordinate, though of a dimension's name
    "field": (("level", "lat"), np.arange(24, dtype=np.float32).reshape(3, 8)[:, ::2]),
    "empty": (("time", "lat"), np.empty((0, 4), np.float32)),
    "turned": (("lat", "level"), np.arange(12.0).reshape(3, 4).T),
    "big": (("lat",), np.arange(4, dtype=">f8")),
    "words": (("lat",), np.array(["", "Ä", "two words", "b"])),
    "unsigned": (("level",), np.array([1, 2, 2**64 - 1], np.uint64)),
}


@pytest.fixture
def path(tmp_path):
    with NewDataset(tmp_path / "ours.nc") as file:
        file.describe(ATTRIBUTES)
        for name, size in DIMENSIONS.items():
            file.add_dimension(name, size)
        for name, (dimensions, values) in VARIABLES.items():
            file.add(name, dimensions, values, {"units": "m", "of": np.float32(2.5)})
        file.finish()
    return tmp_path / "ours.nc"


@pytest.fixture
def by_netcdf(tmp_path):
    with netCDF4.Dataset(tmp_path / "theirs.nc", "w") as file:
        file.setncatts(ATTRIBUTES)
        for name, size in DIMENSIONS.items():
            file.createDimension(name, size)
        for name, (dimensions, values) in VARIABLES.items():
            kind = str if values.dtype.kind == "U" else values.dtype.newbyteorder("=")
            checked = bool(dimensions) and kind is not str and values.size > 0
            made = file.createVariable(name, kind, dimensions, fill_value=False, fletcher32=checked)
            made.set_auto_chartostring(False)
            made.setncatts({"units": "m", "of": np.float32(2.5)})
            if values.size:
                made[...] = values.astype(object) if kind is str else values
    return tmp_path / "theirs.nc"


def test_netcdf_reads_what_it_would_have_written(path, by_netcdf):
    with netCDF4.Dataset(path) as ours, netCDF4.Dataset(by_netcdf) as theirs:
        for file in (ours, theirs):
            file.set_auto_mask(False)
            file.set_auto_chartostring(False)
        assert {n: (d.size, d.isunlimited()) for n, d in ours.dimensions.items()} == \
               {n: (d.size, d.isunlimited()) for n, d in theirs.dimensions.items()}
        assert list(ours.variables) == list(theirs.variables)
        for item, other in [(ours, theirs), *((ours[name], theirs[name]) for name in ours.variables)]:
            assert item.ncattrs() == other.ncattrs()
            for name in other.ncattrs():
                found, expected = item.getncattr(name), other.getncattr(name)
                np.testing.assert_array_equal(found, expected)
                assert type(found) is type(expected) and np.asarray(found).dtype == np.asarray(expected).dtype
        for name, other in theirs.variables.items():
            item = ours[name]
            assert item.dimensions == other.dimensions and item.dtype == other.dtype and item.endian() == other.endian()
            assert not item.filters() or item.filters()["fletcher32"] == other.filters()["fletcher32"]
            np.testing.assert_array_equal(item[...], other[...])


def test_netcdf_goes_on_with_it(path):
    with netCDF4.Dataset(path, "a") as file:
        file["field"][1, 1] = 7.0
        file["field"].units = "a longer unit"
        file.createVariable("new", "f4", ("lat",))[:] = 1.0
        file["time"][:] = [1, 2]
    with netCDF4.Dataset(path) as file:
        assert file["field"][1, 1] == 7.0 and file["field"].units == "a longer unit" and file["new"][3] == 1.0
        assert file["empty"].shape == (2, 4)


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_xarray_finds_the_coordinates(path, engine):
    with xarray.open_dataset(path, engine=engine, decode_times=False) as found:
        assert found["field"].dims == ("level", "lat")
        np.testing.assert_array_equal(found["field"].sel(lat=2.0), VARIABLES["field"][1][:, 2])


def test_every_dimension_is_a_scale_that_knows_its_variables(path):
    with h5netcdf.File(path) as file:  # by the references that HDF5 keeps
        assert file["turned"].dimensions == ("lat", "level") and file["alone"].dimensions == ()
        scale = file["lat"]._h5ds
        assert scale.is_scale and len(scale.attrs["REFERENCE_LIST"]) == 6


def test_parts_are_laid_where_they_belong(tmp_path):
    with NewDataset(tmp_path / "parts.nc") as file:
        for name, size in (("time", 2), ("lat", 3)):
            file.add_dimension(name, size)
        made = file.add_parts("field", np.dtype("f4"), ("time", "lat"), (1, 3), {"units": "K"})
        made[1], made[0] = [1, 2, 3], [4, 5, 6]
        file.finish()
    with netCDF4.Dataset(tmp_path / "parts.nc") as file:
        np.testing.assert_array_equal(file["field"][:], [[4, 5, 6], [1, 2, 3]])
        assert file["field"].chunking() == [1, 3] and file["field"].filters()["fletcher32"]


@pytest.mark.parametrize(("values", "error"), [(np.zeros(3), ValueError), (np.zeros((4, 1)), ValueError),
                                               (np.zeros(4, bool), TypeError), (np.zeros(4, complex), TypeError)])
def test_what_does_not_fit_is_refused(tmp_path, values, error):
    with NewDataset(tmp_path / "file.nc") as file:
        file.add_dimension("lat", 4)
        with pytest.raises(error):
            netcdf.add(file, "field", ("lat",), values)


@pytest.mark.parametrize(("shape", "expected"), [((2, 3), (2, 3)), ((0, 8), (1, 8)), ((10**7,), (500_000,)),
                                                 ((1, 7, 128, 256), (1, 7, 128, 256)),
                                                 ((1, 37, 128, 256), (1, 1, 128, 256)),
                                                 ((1, 13, 721, 1440), (1, 1, 361, 1440))])
def test_large_arrays_are_cut_where_little_stands_beside_them(shape, expected):
    assert chunks_of(shape, 8) == expected


def write_failing(path, monkeypatch, number, error):
    """From the call with that number on the disk fails with an error."""
    calls, tried = iter(range(1, 10**6)), created._Patient._tried

    def failing(self, step, *arguments):
        def fail(*_):
            raise error

        return tried(self, fail if next(calls) >= number else step, *arguments)

    monkeypatch.setattr(created._Patient, "_tried", failing)
    state.write(path, builders.random_state(builders.space()))


@pytest.mark.parametrize("number", [*range(1, 80, 11), 85])  # that is the last one
def test_a_disk_that_refuses_any_call_costs_a_sentence_and_leaves_nothing(tmp_path, monkeypatch, number):
    """HDF5 by itself dies of some of them."""
    with pytest.raises(UserError, match=r"m0001.nc: could not be written \(No space left on device\)"):
        write_failing(tmp_path / "m0001.nc", monkeypatch, number, OSError(errno.ENOSPC, "No space left on device"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [1, 40, 80])
def test_ctrl_c_in_a_call_of_hdf5_is_no_fault_of_the_disk(tmp_path, monkeypatch, number):
    with pytest.raises(KeyboardInterrupt):
        write_failing(tmp_path / "m0001.nc", monkeypatch, number, KeyboardInterrupt())
    assert not list(tmp_path.iterdir())
