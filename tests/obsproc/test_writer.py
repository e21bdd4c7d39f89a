"""Writing PREPBUFR: what is written comes back, through our reader and through others."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import config, observations, state, static, times
from contracts.errors import UserError
from contracts.observations import Observations, Source
from contracts.variables import Flag, Quantity
from obsproc import convert, pipeline, prepbufr, vocabulary, writer
from obsproc.__main__ import main
from obsproc.bufr import compose, encode, program
from obsproc.bufr.files import read_file
from obsproc.bufr.messages import scan
from obsproc.bufr.reports import Events
from obsproc.bufr.tables import Tables, read_tables
from obsproc.config import Settings
from tests import builders
from tests.obsproc.golden import FIXTURES, values_by_pybufrkit, values_of

CYCLE = datetime(1989, 1, 1, 12, tzinfo=UTC)
ALOFT = (Quantity.temperature, Quantity.specific_humidity, Quantity.geopotential_height)
WIND = (Quantity.u_component_of_wind, Quantity.v_component_of_wind)
# Half of the last decimal of each field, in SI, and rounding of its arithmetic.
PRECISION = {Quantity.temperature: 0.05, Quantity.temperature_2m: 0.05, Quantity.specific_humidity: 5e-7,
             Quantity.specific_humidity_2m: 5e-7, Quantity.u_component_of_wind: 0.05,
             Quantity.v_component_of_wind: 0.05, Quantity.u_component_of_wind_10m: 0.05,
             Quantity.v_component_of_wind_10m: 0.05, Quantity.geopotential_height: 0.5,
             Quantity.surface_pressure: 5.0, Quantity.virtual_temperature: 0.05}
HUMIDITY = (Quantity.specific_humidity, Quantity.specific_humidity_2m)
RANGE = {Quantity.temperature: (180, 320), Quantity.temperature_2m: (220, 320), Quantity.specific_humidity: (0, 0.03),
         Quantity.specific_humidity_2m: (0, 0.03), Quantity.geopotential_height: (-400, 40_000),
         Quantity.surface_pressure: (50_000, 108_000), Quantity.virtual_temperature: (180, 320)}


def written(tmp_path, table, cycle=CYCLE):
    """What our reader makes of a table that was written."""
    path = tmp_path / "written.prepbufr"
    writer.write(path, table, cycle)
    return back(path, cycle)


def back(path, cycle=CYCLE):
    parts, reports = [], 0
    for kind in read_file(path, prepbufr.WANTED).reports.values():
        parts.append(prepbufr.candidates(kind, cycle, reports).table)
        reports += kind.subsets
    return observations.concatenate(parts)


def ordered(table: Observations) -> Observations:
    """Rows in an order that rounding does not change."""
    return table.select(np.lexsort((table.pressure.round(-1), table.time, table.lat.round(4), table.quantity,
                                    table.type, table.station)))


@st.composite
def soundings(draw) -> Observations:
    """A few stations, each with some quantities on some levels, mass and wind apart, and perhaps at the surface."""
    parts = []
    for station in range(draw(st.integers(1, 4))):
        random = np.random.default_rng(draw(st.integers(0, 2**32)))
        pressure = np.sort(draw(st.lists(st.integers(10, 1040), min_size=1, max_size=5, unique=True)))[::-1] * 100.0
        surface = draw(st.booleans())
        for quantity in (*ALOFT, *WIND):
            low, high = RANGE.get(quantity, (-90, 90))
            n, is_wind = len(pressure), quantity in WIND
            drift = random.uniform(0, 0.2, n).cumsum() if draw(st.booleans()) and not is_wind else np.zeros(n)
            parts.append(builders.observations(
                random.uniform(low, high, n), quantity, lat=10.0 * station + drift, lon=359.9 - drift,
                pressure=pressure,
                error=random.integers(1, 90, n) * (1e-7 if quantity in HUMIDITY else 0.1), type=220 if is_wind else 120,
                station=f"S{station}".encode(), report=station, elevation=float(random.integers(0, 3000)),
                quality=random.integers(0, 16), time=CYCLE, file_background=np.nan))
        if surface:
            parts += [builders.observations(
                random.uniform(*RANGE[quantity]), quantity, lat=10.0 * station, lon=359.9, pressure=np.nan, error=1.0,
                type=120, station=f"S{station}".encode(), report=station, elevation=12.0, time=CYCLE)
                for quantity in (Quantity.surface_pressure, Quantity.temperature_2m, Quantity.specific_humidity_2m)]
    return observations.concatenate(parts)


@given(soundings())
@settings(max_examples=40)
def test_what_is_written_comes_back_to_half_of_its_last_decimal(tmp_path_factory, table):
    found = written(tmp_path_factory.mktemp("writer"), table)
    assert len(found) == len(table)
    table, found = ordered(table), ordered(found)
    for name in ("quantity", "type", "station", "message_type", "time"):
        np.testing.assert_array_equal(getattr(found, name), getattr(table, name), err_msg=name)
    half = np.array([PRECISION[Quantity(int(code))] for code in table.quantity])
    assert (np.abs(found.value - table.value) <= half * (1 + 1e-9)).all()
    assert np.abs(found.lat - table.lat).max() < 5.0001e-6 and np.abs(found.lon - table.lon).max() < 5.0001e-6
    aloft = np.isfinite(table.pressure)
    assert (found.pressure[aloft] == table.pressure[aloft]).all()
    tells_error = np.isin(table.quantity, [Quantity.temperature, Quantity.surface_pressure])
    np.testing.assert_allclose(found.error[tells_error], table.error[tells_error], atol=5.001e-4)


def test_both_wind_components_keep_the_worse_mark_and_the_larger_error(tmp_path):
    u = builders.observations(3.0, WIND[0], type=220, quality=1, error=1.0, time=CYCLE)
    v = builders.observations(4.0, WIND[1], type=220, quality=3, error=2.0, time=CYCLE)
    found = written(tmp_path, observations.concatenate([u, v]))
    assert found.quality.tolist() == [3, 3] and found.error.tolist() == [2.0, 2.0]


def test_the_error_of_humidity_goes_through_relative_humidity(tmp_path):
    table = observations.concatenate([
        builders.observations(280.0, Quantity.temperature, pressure=85_000.0, error=1.0, time=CYCLE),
        builders.observations(5e-3, Quantity.specific_humidity, pressure=85_000.0, error=1e-3, time=CYCLE)])
    found = written(tmp_path, table)
    decimal = 1e-4 * convert.saturation_humidity(np.array([280.0]), np.array([85_000.0]))[0]
    assert abs(found.error[found.quantity == Quantity.specific_humidity][0] - 1e-3) < 0.51 * decimal


def test_backgrounds_come_back_sensible(tmp_path):
    table = observations.concatenate([
        builders.observations(280.0, Quantity.temperature, file_background=281.0, time=CYCLE),
        builders.observations(9e-3, Quantity.specific_humidity, file_background=8e-3, time=CYCLE)])
    np.testing.assert_allclose(written(tmp_path, table).file_background, [281.0, 8e-3], atol=0.051)


def test_a_virtual_temperature_stays_one(tmp_path):
    found = written(tmp_path, builders.observations(290.0, Quantity.virtual_temperature, time=CYCLE))
    assert (found.quantity, found.flag) == ([Quantity.virtual_temperature], [Flag.not_converted])


def test_no_surface_pressure_is_invented(tmp_path):
    table = builders.observations(280.0, Quantity.temperature_2m, message_type=b"ADPSFC", type=181, pressure=99_000.0,
                                  time=CYCLE)
    assert written(tmp_path, table).quantity.tolist() == [Quantity.temperature_2m]


def test_two_values_of_one_quantity_at_one_place_are_two_rows(tmp_path):
    table = builders.observations([270.15, 271.15, 272.15], time=CYCLE)
    np.testing.assert_allclose(np.sort(written(tmp_path, table).value), [270.15, 271.15, 272.15])


@pytest.mark.parametrize(("flag", "mark"), [(Flag.passed, 1), (Flag.withheld, 1), (Flag.below_ground, 15),
                                            (Flag.superobbed, 15), (Flag.bad_mark, 15)])
def test_what_was_set_aside_is_marked_not_for_use(tmp_path, flag, mark):
    assert written(tmp_path, builders.observations(270.0, flag=flag, quality=1, time=CYCLE)).quality.tolist() == [mark]


def test_a_negative_humidity_of_a_made_observation_is_not_lost(tmp_path):
    found = written(tmp_path, builders.observations(-1e-3, Quantity.specific_humidity, time=CYCLE))
    assert found.value == pytest.approx([-1e-3])


def test_a_value_beyond_its_field_is_left_out_and_counted(tmp_path, caplog):
    found = written(tmp_path, builders.observations([270.0, 5000.0], pressure=[5e4, 6e4], time=CYCLE))
    assert len(found) == 1 and "TOB: 1 values from 4726.85" in caplog.text


@pytest.mark.parametrize(("columns", "sentence"), [
    (dict(type=0), "report type is not 100 to 999, got message type 'ADPUPA', report type 0"),
    (dict(quantity=Quantity.wind_speed), "quantity has no number of its own in these files"),
    (dict(message_type=b"TABLE"), "message type is none of ADPUPA"),
    (dict(message_type=b"ADPSFC"), "quantity stands aloft, but its message type holds surface reports"),
    (dict(quantity=Quantity.surface_pressure, type=220), r"surface pressure stands in a wind report \(type 2xx\)"),
    (dict(quantity=Quantity.geopotential_height, message_type=b"AIRCFT"), "where it would only be a coordinate"),
    (dict(time=datetime(1990, 1, 1, tzinfo=UTC)), "an observation 8748.0 h from the cycle cannot be written"),
])
def test_rows_that_a_prepbufr_file_cannot_hold_are_refused(tmp_path, columns, sentence):
    with pytest.raises(UserError, match=sentence):
        written(tmp_path, builders.observations(270.0, **{"time": CYCLE} | columns))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FIXTURES)
def test_real_reports_are_encoded_by_their_own_tables(samples, tmp_path, name):
    """Decoding, encoding with NCEP's tables of either vintage and decoding again changes no value, event or depth."""
    path, again = samples / "prepbufr/fixtures" / name, tmp_path / "again"
    data = path.read_bytes()
    messages, tables = scan(data, path), Tables()
    for message in messages:
        tables = tables.merged(read_tables(data, message, path)) if message.is_table else tables
    given = read_file(path).reports
    content = [data[m.start : m.start + m.length] for m in messages if m.is_table]
    for descriptors in dict.fromkeys(m.descriptors for m in messages if not m.is_table):
        compiled = program.compile_program(tables, descriptors)
        subsets = encode.encode(given[compiled.message_type], compiled)
        content += compose.messages(102, descriptors, subsets, CYCLE)
    again.write_bytes(b"".join(content))
    found = read_file(again).reports
    assert list(found) == list(given)
    for kind, reports in given.items():
        np.testing.assert_array_equal(reports.level_start, found[kind].level_start)
        for ours, theirs in ((reports.header, found[kind].header), (reports.level, found[kind].level),
                             (reports.depth, found[kind].depth)):
            for column in ours.keys() - {"BYTCNT"}:  # NCEP may keep a group without values
                np.testing.assert_array_equal(ours[column], theirs[column], err_msg=f"{kind} {column}")
        for stack, events in reports.events.items():
            for column, values in events.columns.items():
                np.testing.assert_array_equal(values, found[kind].events[stack].columns[column])


@pytest.fixture(scope="module")
def real(samples, tmp_path_factory):
    """A real cycle as a table, and the PREPBUFR file written from it."""
    path = samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr"
    table = back(path)
    target = tmp_path_factory.mktemp("real") / "real.prepbufr"
    writer.write(target, table, CYCLE)
    return table, target


def test_a_real_cycle_comes_back_to_the_last_bit(real):
    table, path = real
    table, found = ordered(table), ordered(back(path))
    for name in ("value", "quantity", "lat", "lon", "pressure", "elevation", "time", "quality", "station", "type"):
        np.testing.assert_array_equal(getattr(found, name), getattr(table, name), err_msg=name)


def test_surface_pressures_stand_as_gsi_wants_them(real, samples):
    """With the height of the station as ZOB, its mark, and a dump type that NCEP too gives to reports of the type."""
    ncep = read_file(samples / "prepbufr/prepqm89010112").reports
    for kind, reports in read_file(real[1]).reports.items():
        owner = reports.level_owner()
        surface = (reports.level["CAT"] == 0) & np.isfinite(reports.header["ELV"][owner])
        np.testing.assert_array_equal(reports.level["ZOB"][surface], reports.header["ELV"][owner][surface])
        assert (reports.level["ZQM"][surface] == 2).all() and (surface.any() or kind not in prepbufr.SURFACE_MESSAGES)
        for number in np.unique(reports.header["TYP"]):
            ours = reports.header["T29"][reports.header["TYP"] == number]
            theirs = ncep[kind].header["T29"][ncep[kind].header["TYP"] == number]
            assert np.isin(ours, theirs).all(), (kind, number)


def test_pybufrkit_reads_the_same(real):
    theirs = values_by_pybufrkit(real[1].read_bytes())
    for kind, reports in read_file(real[1]).reports.items():
        ours = values_of(reports)
        assert set(ours) == set(theirs[kind])
        for mnemonic, values in ours.items():
            np.testing.assert_allclose(values, theirs[kind][mnemonic], rtol=0, atol=1e-9, err_msg=f"{kind} {mnemonic}")


def test_eccodes_reads_the_same(real, tmp_path):
    command = [sys.executable, "-m", "tests.obsproc.eccodes_values", str(real[1]), str(tmp_path / "definitions")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    theirs = json.loads(result.stdout)
    files = [values_of(reports) for reports in read_file(real[1]).reports.values()]
    for mnemonic, values in theirs.items():
        ours = np.concatenate([np.empty(0), *(file[mnemonic] for file in files if mnemonic in file)])
        np.testing.assert_allclose(np.sort(values), np.sort(ours), rtol=0, atol=1e-9, err_msg=mnemonic)
    assert {"TOB", "QOB", "UOB", "VOB", "POB", "ZOB", "XOB", "DHR", "TYP", "WQM"} <= {n for n, v in theirs.items() if v}


def test_the_bytes_follow_the_conventions_of_ncep(real):
    """Lengths even, 10 000 bytes at most, tables first and closed by an empty one, pads zero, bits counted right."""
    data = real[1].read_bytes()
    messages = scan(data, "x")
    tables = [m for m in messages if m.is_table]
    assert messages[: len(tables)] == tables
    assert data[tables[-1].data_start : tables[-1].data_end].rstrip(b"\0") == b""
    assert max(m.length for m in messages) <= 10_000 and all(m.length % 2 == 0 for m in messages)
    for message in messages[len(tables) :]:
        assert message.reference == (89, 1, 1, 12, 0) and data[message.start + 8 + 17] == 20  # of the 20th century
        position = message.data_start
        for _ in range(message.subsets):
            length = int.from_bytes(data[position : position + 2], "big")
            ending = int.from_bytes(data[position + length - 2 : position + length], "big")
            assert any(ending & (1 << pads) - 1 == 0 and ending >> pads & 255 == pads for pads in range(8))
            position += length
        assert message.data_end - position <= 1


def test_a_report_longer_than_its_count_is_alone_in_its_message(tmp_path):
    """A count of 16 bits cannot say it: 65535 stands there."""
    ours, n, events = vocabulary.ours(), 255, 99
    table = builders.observations(np.full(n, 270.15), pressure=np.arange(n) * 300.0 + 1000.0, time=CYCLE)
    made = writer.reports(table, "ADPUPA", CYCLE)
    made.depth["T__EVENT"][:] = 1 + events
    made.events["T__EVENT"] = Events(np.repeat(np.arange(n), events), np.tile(np.arange(1, 1 + events), n),
                                     {"TOB": np.tile(np.arange(events) / 10, n)})
    subsets = encode.encode(made, ours.program("ADPUPA"))
    assert len(subsets) == 1 and len(subsets[0]) > 65_535 and subsets[0][:2] == b"\xff\xff"
    messages = compose.messages(102, ours.descriptors("ADPUPA"), subsets, CYCLE)
    path = tmp_path / "long"
    path.write_bytes(b"".join([*compose.table_messages(ours.tables), *messages]))
    found = read_file(path).reports["ADPUPA"].events["T__EVENT"]
    np.testing.assert_allclose(found.columns["TOB"], made.events["T__EVENT"].columns["TOB"], atol=1e-9)


def test_a_count_that_does_not_fit_is_refused():
    table = builders.observations(270.0, time=CYCLE)
    made = writer.reports(table, "ADPUPA", CYCLE)
    made.depth["T__EVENT"][:] = 256
    with pytest.raises(encode.EncodeError, match="256 repetitions do not fit into a count of 8 bits"):
        encode.encode(made, vocabulary.ours().program("ADPUPA"))
    made = writer.reports(table, "ADPUPA", CYCLE)
    made.level["TOB"][:] = 5000.0
    with pytest.raises(encode.EncodeError, match="TOB = 5000 does not fit"):
        encode.encode(made, vocabulary.ours().program("ADPUPA"))


@pytest.mark.parametrize(("year", "expected"), [(1989, (89, 20)), (2000, (100, 20)), (2001, (1, 21)), (2020, (20, 21))])
def test_the_year_is_one_of_its_century(year, expected):
    message = compose.message(102, (1,), [], datetime(year, 1, 1, tzinfo=UTC))
    assert (message[8 + 12], message[8 + 17]) == expected


def test_tables_written_are_tables_read():
    ours = vocabulary.ours()
    content, found = b"".join(compose.table_messages(ours.tables, ours.category)), Tables()
    for message in scan(content, "x"):
        found = found.merged(read_tables(content, message, "x"))
    assert found == ours.tables


def test_a_twin_experiment_can_go_through_the_door_of_real_data(tmp_path):
    """Written as PREPBUFR and read back, the observations are those of the direct way to the format's precision."""
    space = builders.space()
    truth = builders.random_state(space, time=CYCLE)
    state.write(tmp_path / "nature" / "1989010112.nc", truth)
    static.write(tmp_path / "test" / "static.nc", builders.flat_static(truth.space.grid))
    tables = {}
    for through in ("false", "true"):
        path = tmp_path / f"{through}.toml"
        path.write_text(f"""{builders.experiment("test", CYCLE, work=str(tmp_path))}
            [grid]
            nlat = 8
            nlon = 16
            [state]
            levels_hpa = [500, 850, 925]
            [observations]
            source = "synthetic"
            withhold_share = 0.2
            [synthetic]
            encode = {through}""")
        main([str(path), "1989010112"])
        tables[through], source = observations.read(tmp_path / "test/1989010112/observations.nc")
    assert source.files == ("synthetic.prepbufr",)
    direct, encoded = ordered(tables["false"]), ordered(tables["true"])
    assert len(direct) == len(encoded)
    half = np.array([PRECISION[Quantity(int(code))] for code in direct.quantity])
    assert (np.abs(direct.value - encoded.value) <= half * (1 + 1e-9)).all()
    np.testing.assert_array_equal(direct.flag == Flag.withheld, encoded.flag == Flag.withheld)
    np.testing.assert_array_equal(direct.flag == Flag.passed, encoded.flag == Flag.passed)
    np.testing.assert_allclose(direct.error, encoded.error, rtol=1e-3)


def test_the_program_encodes_and_reads_itself(real, tmp_path):
    """encode, then the stage itself on what was written."""
    table, _ = real
    source, target = tmp_path / "observations.nc", tmp_path / "out.prepbufr"
    observations.write(source, table, Source(CYCLE, (CYCLE, CYCLE)))
    main(["encode", str(source), str(target)])
    settings_ = config.decode(f"""{builders.experiment("test", CYCLE)}
        [observations]
        files = ["{target}"]""", Settings, "test")
    assert len(pipeline.observe(settings_, times.parse("1989010112"))[0]) == len(table)
