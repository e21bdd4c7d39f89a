"""The packaged error table against NCEP's, and how errors are given to rows."""

from datetime import UTC, datetime
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import estimated_errors
from contracts.errors import UserError
from contracts.estimated_errors import Bias, Estimate, EstimatedErrors
from contracts.variables import Flag, Quantity
from obsproc import convert, errors
from tests.builders import observations
from tests.obsproc.cases import observed

UNIT = {"temperature": 1.0, "relative_humidity": 0.1, "wind": 1.0, "surface_pressure": 100.0}


def ncep(path) -> dict[int, np.ndarray]:
    """Report type -> its 33 lines p, T, RH, wind, ps, pw as NCEP wrote them."""
    lines = path.read_text().splitlines()
    heads = [i for i, line in enumerate(lines) if "OBSERVATION TYPE" in line]
    return {int(lines[i][:4]): np.array([line.split() for line in lines[i + 1 : i + 34]], dtype=float) for i in heads}


@pytest.mark.parametrize("name", errors.PACKAGED)
@pytest.mark.parametrize("packaged", [True, False])
def test_every_number_is_that_of_ncep(samples, name, packaged):
    """Of the packaged tables, and of the same files given as a user's own."""
    path = samples / f"prepbufr/tables/prepobs_errtable.{name}"
    table, theirs = errors.named(name if packaged else str(path)), ncep(path)
    assert set(table.types) == set(theirs)
    for kind, rows in theirs.items():
        pressure = rows[:, 0] * 100
        for number, column in enumerate(errors.COLUMNS, start=1):
            if (column, kind) in errors.ADDED:
                continue
            expected = np.where(rows[:, number] > 1e8, np.nan, rows[:, number] * UNIT[column])
            found = table.at(column, np.full(len(pressure), kind), pressure)
            np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=f"{kind} {column}")


@pytest.mark.parametrize("name", errors.PACKAGED)
def test_the_packaged_file_is_what_its_recipe_makes(samples, name):
    path = samples / f"prepbufr/tables/prepobs_errtable.{name}"
    made = errors.compact(path.read_text().splitlines(), path.name) + "\n"
    assert resources.files("obsproc").joinpath(f"errors_{name}.csv").read_text() == made


@pytest.mark.parametrize(("content", "sentence"), [
    (None, "no such error table"), ("types,error\n", "is no error table"), ("", "is no error table"),
    (" 120 OBSERVATION TYPE\n 0.11E+04 one\n", "is no error table")])
def test_what_is_no_error_table_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "errors.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=f"errors.txt: {sentence}"):
        errors.named(str(path))


@given(st.lists(st.integers(100, 299), min_size=1, unique=True))
def test_ranges_of_types_read_back(kinds):
    assert errors._expand(errors.collapse(kinds)) == sorted(kinds)


@given(st.floats(0, 1), st.integers(0, 31))
def test_between_two_pressures_errors_are_linear_in_pressure(weight, lower):
    table = errors.cdas()
    pressure = (1 - weight) * table.pressure[lower] + weight * table.pressure[lower + 1]
    ends = table.at("temperature", np.full(2, 120), table.pressure[lower : lower + 2])
    found = table.at("temperature", np.array([120]), np.array([pressure]))
    assert found[0] == pytest.approx((1 - weight) * ends[0] + weight * ends[1], rel=1e-9)


def given_errors(temperature=280.0, factor=None, **columns):
    table = observations([1.0], **({"error": np.nan} | columns))
    return errors.assign(table, np.full(1, temperature), errors.cdas(), factor or {})


def test_an_error_in_the_file_goes_before_the_table():
    assert given_errors(error=0.7).error[0] == np.float32(0.7)


def test_a_humidity_error_is_relative_humidity_times_saturation():
    """Radiosondes: 20 % at all pressures."""
    found = given_errors(quantity=Quantity.specific_humidity, temperature=270.0, pressure=60_000.0)
    saturation = convert.saturation_humidity(np.array(270.0), np.array(60_000.0))
    assert found.error[0] == pytest.approx(0.2 * saturation)
    assert given_errors(quantity=Quantity.specific_humidity, temperature=np.nan).flag[0] == Flag.missing_error


def test_a_relative_humidity_and_a_speed_have_the_errors_of_the_table_as_they_are():
    assert given_errors(quantity=Quantity.relative_humidity, temperature=np.nan).error[0] == np.float32(0.2)
    speed, u = (given_errors(quantity=which, type=220) for which in (Quantity.wind_speed, Quantity.u_component_of_wind))
    assert speed.error[0] == u.error[0] > 0


@pytest.mark.parametrize(("kind", "quantity", "flag"), [
    (181, Quantity.temperature_2m, Flag.error_table_excludes),  # SYNOP temperature is not used by CDAS
    (120, Quantity.temperature, Flag.passed),
    (334, Quantity.temperature, Flag.missing_error),  # a report type that the table does not have
    (120, Quantity.geopotential_height, Flag.missing_error),
])
def test_an_error_that_is_not_known_is_flagged_never_invented(kind, quantity, flag):
    found = given_errors(type=kind, quantity=quantity)
    assert found.flag[0] == flag
    assert np.isfinite(found.error[0]) == (flag == Flag.passed)


def test_surface_pressure_has_an_error_down_to_600_hpa_only():
    at = {p: given_errors(type=181, quantity=Quantity.surface_pressure, pressure=p) for p in (6e4, 5.9e4)}
    assert at[6e4].error[0] == 100.0
    assert at[5.9e4].flag[0] == Flag.error_table_excludes


def test_factors_multiply_the_errors_of_their_quantity():
    factor = {Quantity.temperature: 1.5, Quantity.u_component_of_wind: 9.0}
    assert given_errors(factor=factor).error[0] == pytest.approx(1.5 * given_errors().error[0])


def test_a_reason_given_before_is_kept():
    assert given_errors(type=181, quantity=Quantity.temperature_2m, flag=Flag.bad_mark).flag[0] == Flag.bad_mark


def estimated(path, otherwise, factor):
    one = Estimate(quantity="temperature", type=120, factor=factor, estimated=1.0, given=1.0, count=100, lower_hpa=1100,
                   upper_hpa=0)
    when = datetime(1989, 1, 1, tzinfo=UTC)
    estimated_errors.write(path, EstimatedErrors(experiment="a", first=when, last=when, otherwise=otherwise,
                                                 estimate=(one,)))
    return str(path)


def test_estimates_multiply_what_an_error_is_otherwise(tmp_path):
    """Be it the file's or a table's, and estimates upon estimates both."""
    first = estimated(tmp_path / "first.toml", "global", 0.5)
    second = estimated(tmp_path / "second.toml", "first.toml", 3.0)
    table = observations([270.0] * 3, quantity=Quantity.temperature, type=np.array([120, 120, 133]), pressure=50_000.0,
                         error=np.array([np.nan, 2.0, np.nan]))
    of_table = errors.assign(table, np.full(3, 270.0), errors.named("global"), {}).error
    for name, factor in ((first, 0.5), (second, 1.5)):
        known, estimates = errors.chosen(name)
        found = errors.assign(table, np.full(3, 270.0), known, {}, estimates).error
        np.testing.assert_allclose(found, of_table * [factor, factor, 1.0], rtol=1e-6)
    assert of_table[1] == 2.0


def test_estimates_that_stand_on_themselves_are_refused(tmp_path):
    with pytest.raises(UserError, match="stands upon itself"):
        errors.chosen(estimated(tmp_path / "own.toml", "own.toml", 0.5))


def test_a_bias_of_aircraft_is_taken_from_their_temperatures_alone(samples, tmp_path):
    path, when = tmp_path / "estimated.toml", datetime(2020, 10, 1, tzinfo=UTC)
    estimated_errors.write(path, EstimatedErrors(experiment="a", first=when, last=when, estimate=(),
                                                 bias=(Bias(type=434, bias=0.5, count=300),)))
    profiles = samples / "prepbufr/gdas.t12z.acft_profiles.prepbufr"
    plain, corrected = observed(profiles), observed(profiles, aircraft_bias=f'"{path}"')
    changed = (plain.type == 434) & (plain.quantity == Quantity.temperature)
    assert changed.any() and np.array_equal(plain.flag, corrected.flag)
    np.testing.assert_allclose(plain.value - corrected.value, np.where(changed, 0.5, 0.0), atol=1e-12)
