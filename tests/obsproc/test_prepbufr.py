"""Reports become rows: units, virtual temperature, drift, surface and counts, on made and on real reports."""

from datetime import UTC, datetime

import numpy as np
import pytest

from contracts.errors import UserError
from contracts.variables import Flag, Quantity
from obsproc import convert, inventory, prepbufr
from obsproc.bufr.files import read_file
from obsproc.bufr.reports import Events, Reports
from tests.builders import TIME
from tests.obsproc.made import reports, rows


def test_values_come_in_si():
    found = rows(TOB=-40.0, QOB=250.0, UOB=-7.5, VOB=3.0, ZOB=5400.0, TQM=1, QQM=2, WQM=3, ZQM=0)
    values = dict(zip((Quantity(int(q)).name for q in found.quantity), found.value, strict=True))
    assert values == pytest.approx({"temperature": 233.15, "specific_humidity": 250e-6, "u_component_of_wind": -7.5,
                                    "v_component_of_wind": 3.0, "geopotential_height": 5400.0})
    assert found.quality.tolist() == [1, 2, 3, 3, 0]
    assert (found.pressure == 50_000).all() and (found.flag == Flag.passed).all()
    assert (found.station == b"71082").all() and (found.type == 120).all()


def test_errors_and_backgrounds_come_in_si():
    found = rows(TOB=-40.0, TOE=0.8, TFC=-41.0, QOB=100.0, QOE=2.0, QFC=120.0)
    saturation = convert.saturation_humidity(np.array([233.15]), np.array([50_000.0]))[0]
    np.testing.assert_allclose(found.error, [0.8, 0.2 * saturation], rtol=1e-6)  # QOE 2 means 20 %
    np.testing.assert_allclose(found.file_background, [232.15 / (1 + 0.6078 * 120e-6), 120e-6], rtol=1e-6)


def below(*rows_):
    """Deeper events of level 0 from (TOB, TPC)."""
    return Events(np.zeros(len(rows_), int), np.arange(1, len(rows_) + 1),
                  {"TOB": np.array([r[0] for r in rows_]), "TPC": np.array([r[1] for r in rows_])})


def test_below_a_virtual_temperature_stands_the_sensible_one():
    events = below((21.0, 8.0), (np.nan, 1.0), (19.5, 6.0), (19.4, 1.0))
    found = rows(Quantity.temperature, TOB=21.5, TPC=8, QOB=9000.0, TFC=20.0, QFC=8000.0, events=events)
    assert found.value == pytest.approx([19.5 + 273.15])
    assert found.file_background == pytest.approx([293.15 / (1 + 0.6078 * 0.008)], abs=0.01)


def test_a_virtual_temperature_without_an_event_below_is_converted_with_humidity():
    found = rows(Quantity.temperature, TOB=21.5, TPC=8, QOB=9000.0)
    assert found.value == pytest.approx([294.65 / (1 + 0.6078 * 0.009)], abs=1e-3)
    assert found.flag == [Flag.passed]


def test_a_virtual_temperature_without_humidity_is_flagged():
    found = rows(TOB=21.5, TPC=8)
    assert (found.quantity, found.flag) == ([Quantity.virtual_temperature], [Flag.not_converted])
    assert found.value == pytest.approx([294.65])


def test_a_drifting_sonde_is_where_and_when_it_measured():
    found = rows(TOB=[-40.0, -50.0, -60.0], XDR=[np.nan, 359.9, -0.1], YDR=[np.nan, 82.0, 81.0],
                 HRDR=[np.nan, 0.25, 1.0])
    np.testing.assert_allclose(found.lon, [300.0, 359.9, 359.9])
    np.testing.assert_allclose(found.lat, [82.5, 82.0, 81.0])
    assert (found.time - int(TIME.timestamp())).tolist() == [-1800, 900, 3600]


def test_the_ground_level_of_a_sounding_stands_for_the_surface():
    found = rows(CAT=[0, 1], POB=[1001.0, 925.0], TOB=[10.0, 5.0], QOB=[5000.0, 3000.0], ZOB=[66.0, 700.0])
    assert [(Quantity(int(q)).name, p) for q, p in zip(found.quantity, found.pressure, strict=True)] == [
        ("temperature_2m", 100_100), ("temperature", 92_500), ("specific_humidity_2m", 100_100),
        ("specific_humidity", 92_500), ("surface_pressure", 100_100), ("geopotential_height", 92_500)]
    assert (found.elevation == 66).all()


def test_the_pressure_of_a_wind_report_is_a_coordinate():
    header = {"TYP": 281.0}
    found = rows(message_type="ADPSFC", header=header, CAT=6, UOB=3.0, VOB=4.0)
    assert set(found.quantity) == {Quantity.u_component_of_wind_10m, Quantity.v_component_of_wind_10m}


def test_aircraft_heights_are_coordinates():
    assert set(rows(message_type="AIRCFT", header={"TYP": 130.0}, CAT=6, TOB=-40.0, ZOB=9000.0).quantity) == {
        Quantity.temperature}


@pytest.mark.parametrize("lost", [{"XOB": np.nan}, {"YOB": np.nan}, {"DHR": np.nan}])
def test_a_report_without_its_place_or_time_is_flagged(lost):
    assert rows(TOB=-40.0, header=lost).flag.tolist() == [Flag.missing_position]


@pytest.mark.parametrize("elevation", [np.nan, 9999.0])
def test_a_surface_report_needs_its_height_and_a_sounding_level_its_pressure(elevation):
    assert rows(message_type="ADPSFC", header={"TYP": 181.0, "ELV": elevation}, CAT=0, TOB=10.0).flag.tolist() == [
        Flag.missing_position] * 2
    assert rows(TOB=-40.0, POB=500.0, header={"ELV": elevation}).flag.tolist() == [Flag.passed]
    assert rows(TOB=-40.0, POB=np.nan).flag.tolist() == [Flag.missing_position]


def test_the_mark_of_the_pressure_matters_aloft_and_that_of_the_height_to_the_station_s_pressure():
    made = prepbufr.candidates(reports(CAT=[0, 1], TOB=[10.0, 5.0], PQM=[8, 8], ZQM=[13, 14]), TIME)
    mark = {Quantity(code): mark for code, mark in zip(made.table.quantity, made.place_mark, strict=True)}
    assert mark == {Quantity.temperature: 8, Quantity.temperature_2m: -1, Quantity.surface_pressure: 13}


@pytest.fixture(scope="module")
def modern(samples):
    """ADPUPA of 2020-11-01 12Z, with errors, background and events."""
    path = samples / "prepbufr/ADPUPA.prepbufr.110msg"
    decoded = read_file(path, prepbufr.WANTED).reports["ADPUPA"]
    return decoded, prepbufr.candidates(decoded, datetime(2020, 11, 1, 12, tzinfo=UTC))


def test_sensible_temperature_from_the_stack_is_that_from_humidity(modern):
    """Tv holds q exactly; both are written to 0.1 K, so single values differ by rounding."""
    decoded, made = modern
    virtual = (decoded.level["TPC"] == 8) & (decoded.level["QQM"] <= 3)
    converted = convert.sensible_temperature(decoded.level["TOB"] + 273.15, decoded.level["QOB"] * 1e-6)
    rows_ = np.isin(made.table.quantity, [Quantity.temperature, Quantity.temperature_2m])
    stack = np.full(decoded.levels, np.nan)
    stack[made.level[rows_]] = made.table.value[rows_]
    difference = (converted - stack)[virtual]
    assert len(difference) > 3000
    assert abs(difference.mean()) < 0.01 and np.quantile(abs(difference), 0.99) < 0.11


@pytest.mark.parametrize(("quantity", "bias", "deviation"), [
    (Quantity.temperature, 0.15, 1.7), (Quantity.u_component_of_wind, 0.3, 3.5),
    (Quantity.v_component_of_wind, 0.3, 3.5), (Quantity.surface_pressure, 50.0, 160.0),
    (Quantity.specific_humidity, 5e-5, 1.1e-3)])
def test_observations_and_background_of_the_file_agree(modern, quantity, bias, deviation):
    """O-B of the provider: a slip in unit, event or sign would be far outside these bounds."""
    table = modern[1].table
    used = (table.quantity == quantity) & (table.quality <= 3)
    departure = (table.value - table.file_background)[used]
    assert used.sum() > 100
    assert abs(np.nanmean(departure)) < bias and np.nanstd(departure) < deviation


def test_the_background_temperature_of_the_file_is_virtual(samples):
    """Ships that report no humidity have a sensible TOB all through; without converting TFC the median is -2 K."""
    decoded = read_file(samples / "prepbufr/gdas.t12z.sfcshp.prepbufr", prepbufr.WANTED).reports["SFCSHP"]
    made = prepbufr.candidates(decoded, TIME)
    table = made.table
    rows_ = (table.quantity == Quantity.temperature_2m) & (table.quality <= 3) & (decoded.level["TPC"][made.level] == 1)
    departure = (table.value - table.file_background)[rows_]
    assert len(departure) > 300 and abs(np.median(departure)) < 0.3


@pytest.mark.parametrize("name", ["prepqm89010106", "gdas.t12z.sfcshp.prepbufr", "ADPUPA.prepbufr.110msg"])
def test_every_number_of_the_file_is_a_row(samples, name):
    """Rows by value equal the counts of the file, apart from pressures and heights that are coordinates."""
    wanted = prepbufr.WANTED | inventory.WANTED
    for kind, decoded in read_file(samples / "prepbufr" / name, wanted).reports.items():
        table = prepbufr.candidates(decoded, TIME).table
        counts = {name: s["n"] for name, s in inventory.statistics(decoded).items()}
        for mnemonic, quantities in (("TOB", (3, 4, 8)), ("QOB", (5, 9)), ("UOB", (1, 10)), ("VOB", (2, 11))):
            assert np.isin(table.quantity, quantities).sum() == counts.get(mnemonic, 0), (kind, mnemonic)
        owner = decoded.level_owner()
        mass = decoded.header["TYP"][owner] // 100 == 1
        surface = (decoded.level["CAT"] == 0) | (kind in prepbufr.SURFACE_MESSAGES)
        pressures = mass & surface & np.isfinite(decoded.level["POB"])
        assert (table.quantity == Quantity.surface_pressure).sum() == pressures.sum()
        if kind == "ADPUPA":
            heights = mass & ~surface & np.isfinite(decoded.level["ZOB"])
            assert (table.quantity == Quantity.geopotential_height).sum() == heights.sum()


def test_a_temperature_converted_with_humidity_is_as_good_as_the_worse_of_both():
    marks = [rows(Quantity.temperature, TOB=21.5, TPC=8, TQM=t, QOB=9000.0, QQM=q).quality.tolist()
             for t, q in [(2, 9), (9, 2), (2, np.nan)]]
    assert marks == [[9], [9], [2]]


def test_a_temperature_from_the_stack_keeps_its_mark():
    found = rows(Quantity.temperature, TOB=21.5, TPC=8, TQM=2, QOB=9000.0, QQM=9, events=below((19.5, 1.0)))
    assert found.quality.tolist() == [2]


@pytest.mark.parametrize("program", [1, 2, 6, 15, np.nan])
def test_only_ncep_s_step_virtmp_makes_a_temperature_virtual(program):
    """Other steps (radiation correction, quality control) replace one sensible temperature by another."""
    found = rows(Quantity.temperature, TOB=21.5, TPC=program, QOB=9000.0, events=below((19.5, 1.0)))
    assert found.value == pytest.approx([294.65])


def pair(sequence=(7.0, 7.0), stations=(b"71082", b"71082"), mass=None, wind=None):
    """A mass and a wind report of one level each, 500 hPa unless given."""
    level = {"CAT": np.array([1.0, 1.0]), "POB": np.array([500.0, 500.0]), "PQM": np.array([2.0, 2.0])}
    for side, given in enumerate((mass or {}, wind or {})):
        for name, value in given.items():
            level.setdefault(name, np.full(2, np.nan))[side] = value
    header = {"SID": np.array(stations, "S8"), "SQN": np.array(sequence), "XOB": np.full(2, 300.0),
              "YOB": np.full(2, 82.5), "DHR": np.zeros(2), "ELV": np.full(2, 66.0), "TYP": np.array([120.0, 220.0])}
    return Reports("ADPUPA", 1, np.array([1, 1]), header, np.array([0, 1, 2]), level, {}, {})


@pytest.mark.parametrize(("given", "numbers"), [
    ({}, [10, 10]), ({"sequence": (7.0, 8.0)}, [10, 11]), ({"stations": (b"71082", b"71083")}, [10, 11]),
    ({"sequence": (np.nan, np.nan)}, [10, 11])])
def test_mass_and_wind_part_of_a_report_share_its_number(given, numbers):
    made = pair(**given, mass={"TOB": -40.0}, wind={"UOB": 5.0})
    assert prepbufr.candidates(made, TIME, first_report=10).table.report.tolist() == numbers


def test_humidity_of_the_mass_part_converts_a_virtual_temperature_of_the_other():
    def converted(**given):
        return prepbufr.candidates(pair(wind={"TOB": 21.5, "TPC": 8}, **given), TIME).table

    alone = converted(sequence=(7.0, 8.0), mass={"QOB": 9000.0})
    assert alone.select(alone.report == 1).flag.tolist() == [Flag.not_converted]
    elsewhere = converted(mass={"QOB": 9000.0, "POB": 400.0})
    assert Flag.not_converted in elsewhere.flag
    together = converted(mass={"QOB": 9000.0, "QQM": 3})
    temperature = together.select(together.quantity == Quantity.temperature)
    assert temperature.value == pytest.approx([294.65 / (1 + 0.6078 * 0.009)], abs=1e-3)
    assert temperature.quality.tolist() == [3] and temperature.type.tolist() == [220]


def test_temperature_of_the_mass_part_gives_the_saturation_of_the_other():
    made = prepbufr.candidates(pair(mass={"TOB": -40.0}, wind={"QOB": 100.0, "QOE": 2.0}), TIME)
    saturation = convert.saturation_humidity(np.array([233.15]), np.array([50_000.0]))[0]
    humidity = made.table.quantity == Quantity.specific_humidity
    assert made.table.error[humidity] == pytest.approx([0.2 * saturation])
    assert made.temperature[humidity] == pytest.approx([233.15])


def test_it_does_not_matter_which_part_comes_first():
    made = prepbufr.candidates(pair(mass={"TOB": 21.5, "TPC": 8}, wind={"QOB": 9000.0}), TIME).table
    assert made.value[made.quantity == Quantity.temperature] == pytest.approx([294.65 / (1 + 0.6078 * 0.009)], abs=1e-3)


def test_what_is_looked_up_in_the_other_part_makes_no_row():
    table = prepbufr.candidates(pair(mass={"TOB": -40.0, "QOB": 100.0}, wind={"UOB": 5.0}), TIME).table
    assert sorted(zip(table.type.tolist(), table.quantity.tolist(), strict=True)) == [
        (120, Quantity.temperature), (120, Quantity.specific_humidity), (220, Quantity.u_component_of_wind)]


def test_parts_of_real_reports_belong_together(samples):
    """One mass and one wind part at most, of one station, place and time; as many reports as SID and SQN differ."""
    for kind, decoded in read_file(samples / "prepbufr/prepqm89010112", prepbufr.WANTED).reports.items():
        report = prepbufr.joined(decoded)
        header = decoded.header
        assert len(np.unique(report)) == len(set(zip(header["SID"], header["SQN"], strict=True))), kind
        for part in (1, 2):
            assert np.bincount(report, weights=header["TYP"] // 100 == part).max() <= 1
        for name in ("SID", "XOB", "YOB", "DHR"):
            np.testing.assert_array_equal(header[name], header[name][report])


def test_a_dump_that_is_no_prepbufr_is_refused(samples):
    decoded = read_file(samples / "prepbufr/NC002003", prepbufr.WANTED).reports["NC002003"]
    with pytest.raises(UserError, match="NC002003 has no SID or no TYP"):
        prepbufr.candidates(decoded, TIME)
