"""WMO BUFR through ecCodes: the values are those of an independent decoder, the rest follows NCEP's habits."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from pybufrkit.decoder import Decoder, generate_bufr_message

from contracts import config
from contracts.errors import UserError
from contracts.variables import Flag, Quantity
from obsproc import atmosphere, convert, pipeline, prepbufr, wmo, writer
from obsproc.bufr.files import read_file
from obsproc.config import Settings
from tests import builders
from tests.obsproc.wmo_case import CLOCK, PLACE, SYNOP, bufr, of, table

TEMP = datetime(2008, 12, 8, 12, tzinfo=UTC)
HIGH_RESOLUTION = datetime(2025, 2, 23, 12, tzinfo=UTC)
AMDAR = datetime(2009, 1, 23, 12, tzinfo=UTC)
SAMPLES = [("temp_small.bufr", TEMP), ("temp_hires.bufr", HIGH_RESOLUTION), ("syn_new.bufr", SYNOP),
           ("aircraft_small.bufr", AMDAR)]
PRESSURE, TEMPERATURE, SPEED = (7004, 10004), (12001, 12101), (11002,)


def by_pybufrkit(path, wanted) -> np.ndarray:
    """All values of some elements in a file."""
    found = []
    for message in generate_bufr_message(Decoder(), path.read_bytes()):
        template = message.template_data.value
        for descriptors, values in zip(template.decoded_descriptors_all_subsets, template.decoded_values_all_subsets,
                                       strict=True):
            found += [value for descriptor, value in zip(descriptors, values, strict=True) if value is not None
                      and descriptor.id in wanted and type(descriptor).__name__ == "ElementDescriptor"]
    return np.array(found, dtype=float)


@pytest.mark.parametrize(("name", "cycle"), [SAMPLES[0], SAMPLES[1], SAMPLES[3]])
def test_every_temperature_is_that_of_pybufrkit(samples, name, cycle):
    path = samples / "wmo" / name
    ours = of(table(path, cycle), Quantity.temperature, Quantity.temperature_2m).value
    np.testing.assert_allclose(np.sort(ours), np.sort(by_pybufrkit(path, TEMPERATURE)), atol=1e-6)


@pytest.mark.parametrize(("name", "cycle"), [SAMPLES[0], SAMPLES[3]])
def test_every_wind_speed_is_that_of_pybufrkit(samples, name, cycle):
    path = samples / "wmo" / name
    found = table(path, cycle)
    u = of(found, Quantity.u_component_of_wind, Quantity.u_component_of_wind_10m).value
    v = of(found, Quantity.v_component_of_wind, Quantity.v_component_of_wind_10m).value
    np.testing.assert_allclose(np.sort(np.hypot(u, v)), np.sort(by_pybufrkit(path, SPEED)), atol=1e-6)


def test_a_sounding_is_placed_by_its_drift_and_stands_on_its_station(samples):
    found = table(samples / "wmo/temp_hires.bufr", HIGH_RESOLUTION)
    assert set(found.station) == {b"10954"} and set(found.type) == {120, 220}
    assert (found.elevation == 761).all()  # of the barometer
    surface = of(found, Quantity.surface_pressure)
    assert (surface.value[0], surface.lat[0], surface.lon[0]) == pytest.approx((94_051.0, 47.8341, 10.8667))
    aloft = of(found, Quantity.temperature)
    assert len(np.unique(aloft.lat)) > 100 and aloft.time.max() - aloft.time.min() > 600
    rising = aloft.select(np.argsort(aloft.time))
    assert (np.diff(rising.pressure) < 0).mean() > 0.95
    height = of(found, Quantity.geopotential_height)
    column = height.select(np.argsort(height.pressure))
    assert (np.diff(column.value) <= 0).all() and column.value.max() < 30_000


def test_geopotential_becomes_height(samples):
    """The 500 hPa level of seven stations lies between 4.8 and 6 km, in metres and not in m2 s-2."""
    found = of(table(samples / "wmo/temp_small.bufr", TEMP), Quantity.geopotential_height)
    at_500 = found.value[found.pressure == 50_000]
    assert len(at_500) >= 6 and ((at_500 > 4800) & (at_500 < 6000)).all()


def test_synops_are_two_metres_ten_metres_and_station_pressure(samples):
    found = table(samples / "wmo/syn_new.bufr", SYNOP)
    assert set(found.message_type) == {b"ADPSFC"} and (found.flag == Flag.passed).all()
    mangareva = found.select(found.station == b"91948")
    values = {Quantity(int(q)).name: v for q, v in zip(mangareva.quantity, mangareva.value, strict=True)}
    assert values["surface_pressure"] == pytest.approx(100_310)
    assert values["temperature_2m"] == pytest.approx(300.45)
    vapour = convert.saturation_vapour_pressure(np.array(295.15))
    assert values["specific_humidity_2m"] == pytest.approx(0.62198 * vapour / (100_310 - 0.37802 * vapour))
    assert (mangareva.elevation == 89).all() and mangareva.lon[0] == pytest.approx(360 - 134.96533)


def test_aircraft_stand_at_their_pressure(samples):
    path = samples / "wmo/aircraft_small.bufr"
    found = of(table(path, AMDAR), Quantity.temperature)
    np.testing.assert_allclose(np.sort(found.pressure), np.sort(by_pybufrkit(path, PRESSURE)))
    assert set(found.type) == {131} and set(found.message_type) == {b"AIRCFT"}


@pytest.mark.parametrize(("altitude", "pressure"), [(0, 101_325), (5000, 54_019.9), (11_000, 22_632.1),
                                                    (20_000, 5474.9)])
def test_flight_levels_are_those_of_the_standard_atmosphere(altitude, pressure):
    """ICAO Doc 7488, table of the standard atmosphere."""
    assert atmosphere.standard_pressure(np.array(float(altitude))) == pytest.approx(pressure, rel=2e-4)


@pytest.mark.parametrize("compressed", [0, 1])
def test_several_reports_in_one_message_are_all_read(tmp_path, compressed):
    """Station, temperature and wind of each, on land and at sea; relative humidity where no dew point is."""
    path = tmp_path / "several.bufr"
    path.write_bytes(b"".join(bufr(
        category, [*PLACE, 10004, 12101, 13003, 11001, 11002], 3, compressed, **CLOCK, blockNumber=10, longitude=5.0,
        stationNumber=[1, 2, 3], latitude=[50.0, 51.0, 52.0], nonCoordinatePressure=[100_000.0, 99_000.0, 98_000.0],
        airTemperature=[280.0, 281.0, 282.0], relativeHumidity=[50, 60, 100], windDirection=[0, 90, 270],
        windSpeed=[0.0, 5.0, 7.0]) for category in (0, 1)))
    found = table(path, SYNOP)
    assert len(found) == 2 * 3 * 5 and set(found.type) == {181, 281, 180, 280}
    land = found.select(found.message_type == b"ADPSFC")
    assert of(land, Quantity.temperature_2m).value.round(2).tolist() == [280, 281, 282]
    assert of(land, Quantity.temperature_2m).station.tolist() == [b"10001", b"10002", b"10003"]
    np.testing.assert_allclose(of(land, Quantity.u_component_of_wind_10m).value, [0, -5, 7], atol=1e-12)
    np.testing.assert_allclose(of(land, Quantity.v_component_of_wind_10m).value, 0, atol=1e-12)
    assert (land.time == int(datetime(2020, 3, 15, 1, 30, tzinfo=UTC).timestamp())).all()
    humidity = of(land, Quantity.specific_humidity_2m).value[2]
    assert humidity == pytest.approx(convert.saturation_humidity(np.array(282.0), np.array(98_000.0)), rel=1e-6)
    at_sea = found.select(found.message_type == b"SFCSHP")
    assert (at_sea.elevation == 0).all() and (at_sea.flag == Flag.passed).all()


def test_what_is_not_understood_is_counted(tmp_path, caplog):
    path = tmp_path / "other.bufr"
    path.write_bytes(bufr(12, [*PLACE, 12101], 1, 0, **CLOCK, airTemperature=280.0)
                     + bufr(0, [*PLACE, 12101, 12103], 1, 0, **CLOCK, airTemperature=280.0, dewpointTemperature=270.0))
    found = wmo.read_file(path, SYNOP).reports
    assert list(found) == ["ADPSFC"] and found["ADPSFC"].header["TYP"].tolist() == [183]
    assert "1 reports of data category 12 skipped" in caplog.text
    assert "1 humidities skipped, no pressure or temperature beside them" in caplog.text


def test_a_damaged_file_is_refused_or_read_as_far_as_it_goes(samples, tmp_path):
    whole = (samples / "wmo/temp_small.bufr").read_bytes()
    path = tmp_path / "cut.bufr"
    path.write_bytes(whole[:-300])
    with pytest.raises(UserError, match=r"cut.bufr, message 7: ecCodes cannot read it"):
        wmo.read_file(path, TEMP)
    accepted, tolerated = wmo.read_file(path, TEMP, accept_truncated=True), wmo.read_file(path, TEMP, tolerant=True)
    assert accepted.reports["ADPUPA"].messages == tolerated.reports["ADPUPA"].messages == 6
    assert not accepted.refused and len(tolerated.refused) == 1 and "message 7" in str(tolerated.refused[0])
    path.write_bytes(b"no messages here")
    with pytest.raises(UserError, match="there is no BUFR message in this file"):
        wmo.read_file(path, TEMP)


def test_it_is_a_source_of_the_program(samples, tmp_path):
    shutil.copy(samples / "wmo/temp_small.bufr", tmp_path / "obs2008120812.bufr")
    settings = config.decode(f"""{builders.experiment("test", TEMP)}
        [observations]
        source = "wmo"
        files = ["{tmp_path}/obs%Y%m%d%H.bufr"]""", Settings, "test")
    found, source = pipeline.observe(settings, TEMP)
    assert source.files == ("obs2008120812.bufr",)
    passed = found.select(found.flag == Flag.passed)
    assert len(passed) > 850 and np.isfinite(passed.error).all()


def test_wmo_becomes_prepbufr(samples, tmp_path):
    """Two formats, one table: written as PREPBUFR a sounding is the same to the format's precision."""
    found, path = table(samples / "wmo/temp_small.bufr", TEMP), tmp_path / "temp.prepbufr"
    writer.write(path, found, TEMP)
    again = prepbufr.candidates(read_file(path, prepbufr.WANTED).reports["ADPUPA"], TEMP).table
    assert len(again) == len(found)
    for quantity, half in ((Quantity.temperature, 0.05), (Quantity.u_component_of_wind, 0.05),
                           (Quantity.specific_humidity, 5e-7), (Quantity.geopotential_height, 0.5)):
        ours, theirs = (np.sort(of(rows, quantity).value) for rows in (found, again))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=half * (1 + 1e-9))
