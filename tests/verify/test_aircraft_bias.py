"""The running bias of aircraft against its definition, and that it goes to zero where it is taken away."""

import numpy as np
import pytest

from contracts.observations import Departures
from contracts.variables import Flag, Quantity
from tests import builders
from verify import aircraft_bias
from verify.aircraft_bias import FROM, INERTIA


def departures(omb, type=131, station=b"A", quantity=Quantity.temperature, flag=Flag.assimilated) -> Departures:
    rows = builders.observations(250.0 + np.asarray(omb), quantity=quantity, type=type, station=station, flag=flag)
    same = np.full(len(rows), 250.0)
    return Departures(**vars(rows), background_mean=same, background_spread=same, analysis_mean=same,
                      analysis_spread=same)


def biases(*times: Departures) -> dict[tuple[int, str], float]:
    return {(one.type, one.station): one.bias for one in aircraft_bias.running(times)}


def test_a_bias_moves_by_the_share_of_what_is_new():
    many, few = np.full(200, 0.6), np.full(10, -0.3)
    share, later = 200 / (200 + INERTIA), 10 / (10 + INERTIA)
    expected = share * 0.6 + later * (-0.3 - share * 0.6)
    assert biases(departures(many), departures(few)) == pytest.approx({(131, ""): expected, (131, "A"): expected})


def test_an_aircraft_that_reports_little_has_that_of_its_type():
    station = np.array([b"A"] * FROM + [b"B"])
    assert set(biases(departures(np.ones(FROM + 1), station=station))) == {(131, ""), (131, "A")}


@pytest.mark.parametrize("other", [{"type": 120}, {"quantity": Quantity.specific_humidity}, {"flag": Flag.gross_error}])
def test_only_temperatures_of_aircraft_that_were_compared_count(other):
    assert biases(departures(np.ones(200), **other)) == {}


def test_a_bias_that_stays_is_found():
    times = [departures(0.5 + np.random.default_rng(i).normal(0, 1, 300)) for i in range(20)]
    assert biases(*times)[131, "A"] == pytest.approx(0.5, abs=0.1)
