"""Superobservations: means of what stands together, with the error of a mean, and every member accounted for."""

from dataclasses import fields, replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import observations as contract
from contracts.observations import Observations, Source
from contracts.variables import Flag, Quantity
from obsproc import superob
from obsproc.config import Thinning
from tests.builders import TIME, observations

SOURCE = Source(TIME, (TIME - timedelta(hours=3), TIME + timedelta(hours=3)))
NAMES = np.array([b"A", b"B", b"C", b"D"])


def formed(table, **chosen):
    """The whole table, and the superobservations alone."""
    result = superob.form(table, SOURCE, Thinning(method="superob", **chosen))
    return result, result.select(result.count > 1)


@st.composite
def tables(draw):
    n = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return observations(
        random.normal(size=n), quantity=random.choice([1, 2, 3, 7], n), lat=random.uniform(-3, 3, n),
        lon=random.uniform(-3, 3, n) % 360, pressure=random.choice([50_000.0, 51_000.0, 85_000.0], n),
        type=random.choice([130, 131], n), quality=random.integers(0, 4, n), error=random.uniform(0.5, 2, n),
        time=int(TIME.timestamp()) + random.integers(-9000, 9000, n), station=random.choice(NAMES, n),
        elevation=random.uniform(0, 300, n), report=random.integers(0, 9, n),
        flag=random.choice([Flag.passed, Flag.passed, Flag.withheld], n))


@given(tables())
def test_the_account_adds_up(table):
    """The file's rows stay in place; the superobservations stand for as many rows as are flagged."""
    result, means = formed(table)
    n = len(table)
    for column in fields(Observations):
        if column.name != "flag":
            np.testing.assert_array_equal(getattr(result, column.name)[:n], getattr(table, column.name))
    changed = result.flag[:n] != table.flag
    assert (table.flag[changed] == Flag.passed).all() and (result.flag[:n][changed] == Flag.superobbed).all()
    assert means.count.sum() == (result.flag == Flag.superobbed).sum() == changed.sum()
    assert (result.count[:n] == 1).all() and (result.count[n:] > 1).all() and (means.flag == Flag.passed).all()


@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(table, random):
    order = list(range(len(table)))
    random.shuffle(order)
    result, means = formed(table)
    again, same = formed(table.select(np.array(order)))
    np.testing.assert_array_equal(again.flag[: len(table)], result.flag[: len(table)][order])
    for name in ("value", "error", "lat", "pressure", "elevation", "count", "quantity"):
        np.testing.assert_allclose(getattr(same, name), getattr(means, name), rtol=1e-6, atol=1e-12)


@given(tables())
def test_values_and_errors_are_bounded_by_the_members(table):
    """A mean lies among its members, and never is its error larger than their mean error."""
    _, means = formed(table)
    for quantity in np.unique(means.quantity):
        members = table.select((table.quantity == quantity) & (table.flag == Flag.passed))
        found = means.select(means.quantity == quantity)
        assert members.value.min() <= found.value.min() and found.value.max() <= members.value.max()
        assert found.error.max() <= members.error.max() * (1 + 1e-6)


def test_the_mean_of_equal_observations_is_the_observation():
    table = observations(np.full(3, 271.3), lat=40.1, lon=359.9, error=0.7, station=NAMES[:1], elevation=12.0)
    _, mean = formed(table)
    for name in ("value", "error", "quantity", "quality", "type", "station", "pressure", "elevation", "time"):
        if name == "pressure":
            assert mean.pressure == pytest.approx(table.pressure[:1], rel=1e-14)
        else:
            assert getattr(mean, name).tolist() == getattr(table, name)[:1].tolist(), name
    assert mean.lat == pytest.approx([40.1], abs=1e-12) and mean.lon == pytest.approx([359.9], abs=1e-10)
    assert mean.count.tolist() == [3]


def test_a_mean_of_three_in_numbers():
    seconds = int(TIME.timestamp()) + np.array([0, 600, 1200])
    table = observations([1.0, 2.0, 6.0], lat=[0.1, 0.2, 0.3], lon=[0.2, 0.1, 0.3], quality=[1, 3, 2], time=seconds,
                         pressure=[50_000, 50_500, 51_005], station=NAMES[:3], error=[3.0, 3.0, 6.0],
                         file_background=[1.0, 2.0, 3.0], report=[4, 5, 6])
    result, mean = formed(table)
    assert result.flag.tolist() == [Flag.superobbed] * 3 + [Flag.passed]
    assert mean.value.tolist() == [3.0] and mean.file_background.tolist() == [2.0]
    assert mean.time.tolist() == [seconds[1]] and mean.quality.tolist() == [3]
    assert mean.pressure == pytest.approx([50_500], rel=1e-6)  # the geometric mean
    assert (mean.lat, mean.lon) == (pytest.approx([0.2], abs=1e-5), pytest.approx([0.2], abs=1e-5))
    assert mean.error == pytest.approx([np.sqrt(1 + 1 + 4)])  # 3/3, 3/3, 6/3 independent
    assert mean.station.tolist() == [b"SUPEROB"] and mean.report.tolist() == [7] and mean.count.tolist() == [3]


@pytest.mark.parametrize(("stations", "correlation", "variance"), [
    ([b"A", b"B", b"C", b"D"], 0.0, 1 / 4),  # independent instruments: σ²/m
    ([b"A", b"A", b"A", b"A"], 0.0, 1.0),  # one instrument: no gain
    ([b"", b"", b"", b""], 0.0, 1.0),  # nobody knows: no gain
    ([b"A", b"A", b"B", b"B"], 0.0, 1 / 2),
    ([b"A", b"A", b"A", b"B"], 0.0, 9 / 16 + 1 / 16),
    ([b"A", b"B", b"C", b"D"], 0.5, 1 / 2 * 1 / 4 + 1 / 2),
    ([b"A", b"B", b"C", b"D"], 1.0, 1.0)])
def test_the_error_of_a_mean_counts_instruments_not_reports(stations, correlation, variance):
    _, mean = formed(observations(np.zeros(4), station=np.array(stations)), error_correlation=correlation)
    assert mean.error == pytest.approx([np.sqrt(variance)])


def test_the_error_is_that_of_the_covariance_matrix():
    """σ² = wᵀ C w with C of full correlation inside an instrument and c between instruments."""
    random = np.random.default_rng(3)
    sigma, owner, c = random.uniform(0.5, 2, 7), random.integers(0, 4, 7), 0.3
    _, mean = formed(observations(np.zeros(7), error=sigma, station=NAMES[owner]), error_correlation=c)
    correlation = np.where(owner[:, None] == owner, 1.0, c)
    assert mean.error == pytest.approx([np.sqrt(sigma @ correlation @ sigma) / 7], rel=1e-6)


def test_names_of_satellite_reports_are_no_instruments():
    _, mean = formed(observations(np.zeros(4), station=NAMES, message_type=b"SATWND"))
    assert mean.error.tolist() == [1.0]


@pytest.mark.parametrize("apart", [
    {"lat": [10.0, 15.0]}, {"lon": [10.0, 15.0]}, {"pressure": [50_000.0, 60_000.0]}, {"type": [130, 131]},
    {"quantity": [Quantity.temperature, Quantity.specific_humidity]},
    {"message_type": np.array([b"AIRCFT", b"AIRCAR"])},
    {"time": int(TIME.timestamp()) + np.array([0, 3600])}, {"flag": [Flag.passed, Flag.bad_mark]},
    {"quantity": Quantity.surface_pressure, "elevation": [10.0, 200.0]}])
def test_what_differs_is_not_averaged(apart):
    table = observations([1.0, 2.0], **apart)
    result, means = formed(table)
    assert len(means) == 0
    np.testing.assert_array_equal(result.flag, table.flag)


def test_surface_quantities_share_a_layer_by_height_not_by_pressure():
    _, mean = formed(observations([1.0, 2.0], quantity=Quantity.temperature_2m, pressure=[np.nan, 90_000],
                                  elevation=[110.0, 190.0]))
    assert mean.value.tolist() == [1.5] and mean.elevation.tolist() == [150.0]


def test_both_components_of_a_wind_share_a_report():
    result, means = formed(observations(np.arange(4.0), quantity=[1, 2, 1, 2], report=3))
    assert means.report.tolist() == [4, 4]
    assert means.quantity.tolist() == [1, 2] and means.value.tolist() == [1.0, 2.0]


def test_a_mean_beside_the_meridian_of_greenwich_is_right():
    _, mean = formed(observations([0.0, 0.0], lon=[359.0, 359.8], lat=[0.3, 0.3]))
    assert mean.lon == pytest.approx([359.4], abs=1e-9)


@given(st.floats(-90, 90), st.floats(0, 360, exclude_max=True), st.sampled_from([50.0, 250.0, 20000.0]))
def test_every_place_on_earth_lies_in_a_cell(lat, lon, size):
    _, mean = formed(observations([1.0, 3.0], lat=lat, lon=lon), cell_km=size)
    assert mean.value.tolist() == [2.0] and mean.lat == pytest.approx([lat], abs=1e-6)


def test_the_poles_belong_to_the_last_bands():
    _, means = formed(observations(np.zeros(4), lat=[90.0, 89.9, -90.0, -89.9]))
    assert means.count.tolist() == [2, 2] and means.lat == pytest.approx([-89.95, 89.95], abs=1e-9)


def test_winds_beside_the_pole_are_averaged_only_where_east_is_about_the_same():
    wind = observations(np.zeros(3), quantity=Quantity.u_component_of_wind, lat=89.9, lon=[1.0, 80.0, 28.0])
    result, _ = formed(wind)
    assert result.flag[:3].tolist() == [Flag.superobbed, Flag.passed, Flag.superobbed]


def test_a_superobservation_survives_its_file(tmp_path):
    result, _ = formed(observations(np.arange(4.0)))
    source = replace(SOURCE, slot_seconds=1800)
    contract.write(tmp_path / "observations.nc", result, source)
    found, again = contract.read(tmp_path / "observations.nc")
    assert found.count.tolist() == [1, 1, 1, 1, 4] and again == source
