"""WMO BUFR as it comes: old templates, several levels, odd reports; and files that no library survives."""

import logging
import time as clock
from collections.abc import Mapping

import eccodes
import msgspec
import numpy as np
import pytest

from contracts.errors import UserError
from contracts.observations import Observations
from contracts.variables import Flag, Quantity
from obsproc import atmosphere, convert, pipeline, undivided, wmo, wmo_ready
from tests.obsproc.cases import MODERN, observed, settings
from tests.obsproc.wmo_case import CLOCK, PLACE, SYNOP, bufr, of, table


def test_the_sounding_that_makes_ecCodes_ready_is_read_as_any(tmp_path):
    path = tmp_path / "ours.bufr"
    path.write_bytes(wmo_ready.sounding())
    rows = of(table(path, wmo_ready.WHEN), Quantity.temperature)
    assert rows.value.tolist() == list(wmo_ready.OF_LEVELS["airTemperature"])
    assert rows.pressure.tolist() == list(wmo_ready.OF_LEVELS["pressure"])


@pytest.fixture(scope="module")
def cases(samples):
    return samples / "cases/observations"


def values(rows: Observations) -> Mapping[Quantity, float]:
    return {Quantity(code): value for code, value in zip(rows.quantity, rows.value, strict=True)}


def by_station(rows: Observations, quantity: Quantity) -> dict[bytes, float]:
    rows = of(rows, quantity)
    return dict(zip(rows.station.tolist(), rows.value.round(6).tolist(), strict=True))


@pytest.mark.parametrize("name", ["synop_307005_old_elements.bufr", "ship_308004_old_elements.bufr"])
def test_older_elements_of_a_quantity_are_read(cases, name):
    found = values(table(cases / name, MODERN))
    assert found[Quantity.temperature_2m] == pytest.approx(283.2)
    pressure = found[Quantity.surface_pressure]
    assert found[Quantity.specific_humidity_2m] == pytest.approx(
        convert.saturation_humidity(np.array(280.2), np.array(pressure)))
    assert found[Quantity.u_component_of_wind_10m] == pytest.approx(5.0)
    assert found[Quantity.v_component_of_wind_10m] == pytest.approx(0.0, abs=1e-12)


def test_a_ship_s_pressure_at_sea_level_is_one_at_no_height(cases):
    found = of(table(cases / "ship_308004_old_elements.bufr", MODERN), Quantity.surface_pressure)
    assert (found.value[0], found.elevation[0], found.type[0]) == (101_700, 0, 180)


def test_compressed_messages_are_read_whole(cases):
    ships = table(cases / "v_ship_name.bufr", MODERN)
    assert by_station(ships, Quantity.temperature_2m) == {b"SHIPA": 270, b"SHIPB": 260, b"SHIPC": 240}
    assert by_station(ships, Quantity.u_component_of_wind_10m) == {b"SHIPA": 5, b"SHIPB": 6, b"SHIPC": 7}
    aircraft = table(cases / "amdar_compressed_strings.bufr", MODERN)
    assert by_station(aircraft, Quantity.temperature) == {b"A1": 270, b"B2": 260, b"C3": 240}
    at = of(aircraft, Quantity.temperature)
    np.testing.assert_allclose(np.sort(at.pressure), np.sort(atmosphere.standard_pressure(np.array([3e3, 6e3, 9e3]))))
    assert sorted(at.lat.round(6)) == [50, 51, 52]


def test_all_levels_of_an_aircraft_s_profile_are_read(cases):
    """The first entry holds a mixing ratio and no place, the second what was measured and no height of its own."""
    found = table(cases / "amdar_311010.bufr", MODERN)
    good = found.select(found.flag == Flag.passed)
    assert values(good) == pytest.approx({Quantity.temperature: 223.2, Quantity.u_component_of_wind: 30.0,
                                          Quantity.v_component_of_wind: 0.0}, abs=1e-9)
    assert good.pressure == pytest.approx(np.full(3, atmosphere.standard_pressure(np.array(10_000.0))))
    assert good.lat == pytest.approx(np.full(3, 50.0)) and set(found.station) == {b"EU1234"}
    humidity = of(found, Quantity.specific_humidity)
    assert humidity.flag.tolist() == [Flag.missing_position]
    assert humidity.value == pytest.approx([0.0003 / 1.0003])


def test_a_balloon_in_two_codes_is_used_once(cases):
    found = observed(cases / "temp_tac_and_bufr.bufr", source='"wmo"')
    used = found.select((found.flag == Flag.passed) & (found.quantity == Quantity.temperature))
    assert len(used) == 3 and len(np.unique(used.report)) == 1
    assert (found.flag == Flag.duplicate).sum() > 5


def test_a_sounding_without_a_minute_began_on_the_hour(cases):
    found = table(cases / "temp_nominute.bufr", MODERN)
    assert found.time.min() == int(MODERN.timestamp()) - 3600


def test_a_dropsonde_has_its_types_and_its_lowest_level(cases):
    found = table(cases / "drop_309053.bufr", MODERN)
    assert set(found.type) == {132, 232} and (found.flag == Flag.passed).all()
    lowest = values(found.select(found.pressure == 100_000))
    assert lowest[Quantity.temperature] == pytest.approx(293.2)
    assert lowest[Quantity.u_component_of_wind] == pytest.approx(5.0)


def test_a_synop_without_station_pressure_is_no_metar(cases):
    assert set(table(cases / "synop_pmsl_only.bufr", MODERN).type) == {183, 284}
    metar = table(cases / "metar_307011.bufr", MODERN)
    assert set(metar.type) == {187, 287} and set(metar.station) == {b"EDDB"}


def test_a_metar_s_altimeter_setting_tells_the_pressure_at_its_station(tmp_path):
    path = tmp_path / "metar.bufr"
    path.write_bytes(bufr(0, [1063, *PLACE[2:], 10052, 12101], 1, 0, **CLOCK, icaoLocationIndicator="EDDB",
                          latitude=50.0, longitude=10.0, heightOfStationGroundAboveMeanSeaLevel=500,
                          altimeterSettingQnh=101_300, airTemperature=280.0))
    found = of(table(path, SYNOP), Quantity.surface_pressure)
    assert found.value == pytest.approx(atmosphere.station_pressure(*np.array([101_300.0, 500.0])))
    assert found.type == 187


def test_stations_that_a_nation_numbers_have_a_name(tmp_path):
    path = tmp_path / "national.bufr"
    path.write_bytes(bufr(0, [1101, 1102, *PLACE[2:], 12101], 1, 0, **CLOCK, stateIdentifier=616, latitude=50.0,
                          nationalStationNumber=123_456_789, longitude=10.0, airTemperature=280.0))
    assert set(table(path, SYNOP).station) == {b"23456789"}


def pilot(path, heights, **more):
    handle = eccodes.codes_bufr_new_from_samples("BUFR4")
    for key, value in dict(masterTablesVersionNumber=28, dataCategory=2, numberOfSubsets=1, compressedData=0).items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set_array(handle, "inputDelayedDescriptorReplicationFactor", [len(heights)])
    eccodes.codes_set_array(handle, "unexpandedDescriptors", [*PLACE, 105000, 31001, 7009, 7004, 11001, 11002, 12101])
    plain = CLOCK | dict(blockNumber=10, stationNumber=1, latitude=50.0, longitude=10.0)
    for key, value in plain.items():
        eccodes.codes_set(handle, key, value)
    for number, height in enumerate(heights, start=1):
        for key, value in {"geopotentialHeight": height, "windDirection": 270, "windSpeed": 10.0}.items():
            eccodes.codes_set(handle, f"#{number}#{key}", value)
    for key, value in more.items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set(handle, "pack", 1)
    path.write_bytes(eccodes.codes_get_message(handle))
    eccodes.codes_release(handle)
    return path


def test_winds_by_height_stand_at_the_pressure_of_the_standard_atmosphere(tmp_path):
    found = wmo.read_file(pilot(tmp_path / "pilot.bufr", [1000, 5000, 15_000]), SYNOP).reports["ADPUPA"]
    expected = atmosphere.standard_pressure(np.array([1000.0, 5000.0, 15_000.0]))
    np.testing.assert_allclose(found.level["POB"] * 100, expected)
    assert found.header["TYP"].tolist() == [221] and found.level["PQM"].tolist() == [undivided.SUSPECT] * 3


def test_or_between_the_heights_and_pressures_that_the_report_tells_itself(tmp_path):
    """Halfway in height lies the geometric mean of the pressures: an isothermal layer."""
    path = pilot(tmp_path / "pilot.bufr", [1000, 3000, 5000], **{"#1#pressure": 90_000.0, "#3#pressure": 50_000.0})
    found = wmo.read_file(path, SYNOP).reports["ADPUPA"]
    of_wind = slice(found.level_start[-2], None)
    np.testing.assert_allclose(found.level["POB"][of_wind] * 100, [90_000, np.sqrt(90_000 * 50_000.0), 50_000])
    assert found.level["PQM"][of_wind].tolist() == [undivided.NOT_CHECKED, undivided.SUSPECT, undivided.NOT_CHECKED]


def test_the_standard_atmosphere_errs_as_the_module_says(samples):
    found = wmo.read_file(samples / "wmo/temp.bufr", MODERN.replace(2008, 12, 8)).reports["ADPUPA"].level
    pressure, height = found["POB"] * 100, found["ZOB"]
    for low, high, percent in ((70_000, 110_000, 1.2), (40_000, 70_000, 3.2), (1000, 40_000, 6.4)):
        rows = np.isfinite(height) & (pressure > low) & (pressure <= high)
        relative = atmosphere.standard_pressure(height[rows]) / pressure[rows] - 1
        assert 100 * np.sqrt((relative**2).mean()) == pytest.approx(percent, abs=0.15)


def test_a_wind_that_tells_no_height_at_all_is_a_row_without_a_place(cases):
    found = table(cases / "pilot_309050.bufr", MODERN)
    assert of(found, Quantity.u_component_of_wind_10m).value == pytest.approx([5.0])
    aloft = of(found, Quantity.u_component_of_wind)
    assert aloft.value == pytest.approx([10, 20]) and (aloft.flag == Flag.missing_position).all()


def test_a_report_that_holds_nothing_is_counted(tmp_path, caplog):
    path = tmp_path / "nothing.bufr"
    path.write_bytes(bufr(0, [*PLACE, 12101], 2, 0, **CLOCK))
    assert wmo.read_file(path, SYNOP).reports == {}
    assert "2 reports skipped that hold nothing of what is observed here" in caplog.text


def test_a_message_that_cannot_be_decoded_costs_no_other_where_the_setting_allows(cases, caplog):
    path = cases / "gts_one_unknown.bufr"
    with pytest.raises(UserError, match="gts_one_unknown.bufr, message 2: ecCodes cannot read it .*damaged = 'skip'"):
        observed(path, source='"wmo"')
    found = observed(path, source='"wmo"', damaged='"skip"')
    assert by_station(found, Quantity.temperature_2m) and "1 messages were left out" in caplog.text
    assert len(np.unique(found.report)) == 2


@pytest.mark.parametrize(("name", "sentence"), [("wmo_segv.bufr", "SIGSEGV"), ("wmo_endless.bufr", "needs more than")])
def test_a_file_that_kills_the_library_is_one_sentence(samples, name, sentence):
    began = clock.monotonic()
    with pytest.raises(UserError, match=f"{name}: cannot be read, .*{sentence}"):
        observed(samples / "cases/hostile" / name, source='"wmo"')
    assert clock.monotonic() - began < 120


def test_in_real_time_the_stage_goes_on_without_such_a_file(samples, caplog):
    chosen = settings(samples / "cases/hostile/wmo_segv.bufr", source='"wmo"')
    now = msgspec.structs.replace(chosen, experiment=msgspec.structs.replace(chosen.experiment, mode="realtime"))
    found, source = pipeline.observe(now, MODERN)
    assert len(found) == 0 and [delivery.fate for delivery in source.deliveries] == ["refused"]
    assert "wmo_segv.bufr: cannot be read" in caplog.text and "going on without it" in caplog.text


def test_what_a_reader_logs_in_its_own_process_is_logged_here(cases, caplog):
    with caplog.at_level(logging.WARNING):
        observed(cases / "synop_pmsl_only.bufr", source='"wmo"')
    assert "1 humidities skipped" in caplog.text
