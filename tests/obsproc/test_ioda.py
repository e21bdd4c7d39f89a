"""The IODA layout: what goes out comes in to the last bit, and the file is what its convention says."""

from dataclasses import fields

import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import observations
from contracts.errors import UserError
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import ioda, ioda_export
from obsproc.__main__ import main
from tests import builders
from tests.obsproc.ioda_case import CYCLE, SOURCE


def ordered(table: Observations) -> Observations:
    """Rows in an order that depends on the rows only."""
    columns = [getattr(table, field.name) for field in fields(table)]
    return table.select(np.lexsort([c if c.dtype.kind == "S" else np.nan_to_num(c, nan=-9.0) for c in columns]))


def same(ours: Observations, theirs: Observations) -> None:
    ours, theirs = ordered(ours), ordered(theirs)
    assert len(ours) == len(theirs)
    for field in fields(ours):
        np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name), err_msg=field.name)


@st.composite
def tables(draw) -> Observations:
    n = draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))

    def some(values, missing):
        return np.where(random.uniform(size=n) < 0.2, missing, values)

    return builders.observations(
        random.normal(0, 10.0 ** random.integers(-6, 6, n)), random.choice([code.value for code in Quantity], n),
        lat=some(random.uniform(-90, 90, n), np.nan), lon=random.uniform(0, 360, n),
        pressure=some(random.choice([85_000.0, 50_000.123], n), np.nan), error=some(random.uniform(0, 9, n), np.nan),
        elevation=some(random.uniform(0, 99, n), np.nan), quality=random.integers(-1, 16, n),
        flag=random.choice([flag.value for flag in Flag], n), type=random.choice([120, 220], n),
        station=random.choice([b"A", b" B", b"12345678", b""], n), report=random.integers(0, 3, n),
        message_type=random.choice([b"ADPUPA", b"ADPSFC"], n), file_background=some(random.normal(size=n), np.nan),
        count=random.integers(1, 5, n))


@given(tables())
@settings(max_examples=20)
def test_export_and_import_lose_nothing(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("ioda") / "out.nc"
    ioda_export.export_file(path, table, SOURCE)
    found, source = ioda.import_file(path)
    same(table, found)
    assert source == SOURCE


def test_a_real_cycle_survives(real):
    table, path, _ = real
    same(table, ioda.import_file(path)[0])


def test_the_layout_is_that_of_the_convention(real):
    """Groups, dimension, types, units and fill values; no NaN anywhere; a value per Location."""
    table, path, locations = real
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        assert (file._ioda_layout, file._ioda_layout_version) == ("ObsGroup", 3)
        assert file.datetimeReference == "2020-11-01T12:00:00Z"
        assert len(file.dimensions["Location"]) == locations == len(file["Location"])
        assert {"MetaData", "ObsValue", "ObsError", "QualityMarker", "ObsType", "HofX"} <= set(file.groups)
        assert file["MetaData/dateTime"].units == "seconds since 1970-01-01T00:00:00Z"
        assert file["MetaData/dateTime"].dtype == np.int64 and file["MetaData/latitude"].units == "degree_north"
        for name, units in (("airTemperature", "K"), ("specificHumidity", "kg kg-1"), ("windEastward", "m s-1"),
                            ("stationPressure", "Pa"), ("geopotentialHeight", "m"), ("airTemperatureAt2M", "K")):
            variable = file[f"ObsValue/{name}"]
            assert (variable.units, variable.dtype, variable.dimensions) == (units, np.float32, ("Location",))
            assert variable._FillValue == pytest.approx(-3.3688e38, rel=1e-4)
            assert file[f"QualityMarker/{name}"].dtype == np.int32
            assert file[f"QualityMarker/{name}"]._FillValue == -2147483643
        for group in file.groups.values():
            for variable in group.variables.values():
                if variable.dtype != str and variable.dtype.kind == "f":
                    assert np.isfinite(variable[:]).all(), variable.name
        temperature = file["ObsValue/airTemperature"][:]
        there = temperature > 0
        rows = table.select(table.quantity == Quantity.temperature)
        assert there.sum() == len(rows)
        np.testing.assert_array_equal(np.sort(temperature[there]), np.sort(rows.value.astype(np.float32)))
        # A Location's pressure is that of its temperature.
        by_value = np.lexsort((file["MetaData/pressure"][:][there], temperature[there]))
        ours = np.lexsort((rows.pressure, rows.value.astype(np.float32)))
        np.testing.assert_array_equal(file["MetaData/pressure"][:][there][by_value],
                                      rows.pressure[ours].astype(np.float32))


def foreign(path, drop=(), **attributes):
    """What another program might write: fewer groups, longitudes west of Greenwich, PreQC, an unknown variable."""
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts({"datetimeReference": "2020-11-01T12:00:00Z"} | attributes)
        file.createDimension("Location", 3)
        for name, kind, units, values in (
                ("MetaData/latitude", "f4", "degree_north", [10, 20, 30]),
                ("MetaData/longitude", "f4", "", [-10, 0, 10]),
                ("MetaData/dateTime", "i8", "seconds since 2020-11-01T00:00:00Z", [43200, 43260, 43320]),
                ("MetaData/pressure", "f4", "Pa", [85000, 85000, 50000]),
                ("ObsValue/airTemperature", "f4", "K", [280, 281, 9.96921e36]),
                ("PreQC/airTemperature", "i4", "", [2, -2147483643, 2]),
                ("hofx/airTemperature", "f4", "K", [279, 280, 281]),
                ("ObsValue/seaIceFraction", "f4", "1", [0, 0, 1])):
            if name not in drop:
                fill = np.int32(-2147483643) if kind == "i4" else None
                file.createVariable(name, kind, ("Location",), fill_value=fill)[:] = values
                if units:
                    file[name].units = units


def test_files_of_others_are_read(tmp_path, caplog):
    foreign(tmp_path / "foreign.nc")
    found, source = ioda.import_file(tmp_path / "foreign.nc")
    assert source.time == CYCLE and found.value.tolist() == [280, 281] and found.lon.tolist() == [350, 0]
    assert found.quality.tolist() == [2, -1] and found.file_background.tolist() == [279, 280]
    assert (found.time - int(CYCLE.timestamp())).tolist() == [0, 60] and np.isnan(found.error).all()
    assert "no quantity of ours corresponds to ObsValue seaIceFraction" in caplog.text


@pytest.mark.parametrize(("change", "sentence"), [
    (dict(drop=("MetaData/dateTime",)), "has no MetaData/dateTime"),
    (dict(datetimeReference="yesterday"), "'yesterday' is not a time"),
])
def test_files_that_cannot_serve_are_refused(tmp_path, change, sentence):
    foreign(tmp_path / "foreign.nc", **change)
    with pytest.raises(UserError, match=sentence):
        ioda.import_file(tmp_path / "foreign.nc")


def test_what_is_no_such_file_is_refused(tmp_path):
    observations.write(tmp_path / "ours.nc", observations.empty(), SOURCE)
    with pytest.raises(UserError, match="has no group MetaData"):
        ioda.import_file(tmp_path / "ours.nc")
    (tmp_path / "text").write_text("text")
    with pytest.raises(UserError, match="is no readable IODA file"):
        ioda.import_file(tmp_path / "text")


def test_the_program_exports_and_imports(real, tmp_path):
    table, _, _ = real
    first, out, again = (tmp_path / name for name in ("first.nc", "out.nc", "again.nc"))
    observations.write(first, table, SOURCE)
    main(["ioda", "export", str(first), str(out)])
    main(["ioda", "import", str(out), str(again)])
    found, source = observations.read(again)
    same(table, found)
    assert source == SOURCE
