"""The running bias of aircraft against its definition, and that it goes to zero where it is taken away."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts import observations
from contracts.config import Experiment
from contracts.errors import ContractError
from contracts.observations import Departures, Observations, Source
from contracts.variables import Flag, Quantity
from obsoperator import aircraft_bias
from obsoperator.aircraft_bias import AircraftBias, Biases, Known
from tests import builders

INERTIA, FROM = AircraftBias().inertia, AircraftBias().least
START = datetime(1989, 1, 1, tzinfo=UTC)
LEARN = AircraftBias(learn=True)


def temperatures(omb, type=131, station=b"A", quantity=Quantity.temperature, flag=Flag.assimilated) -> Observations:
    return builders.observations(250.0 + np.asarray(omb), quantity=quantity, type=type, station=station, flag=flag)


def departures(rows: Observations) -> Departures:
    """From a background of 250 K."""
    same = np.full(len(rows), 250.0)
    return Departures(**{name: values for name, values in vars(rows).items()}, background_mean=same,
                      background_spread=same, analysis_mean=same, analysis_spread=same)


def biases(*times: Observations) -> dict[tuple[int, str], float]:
    told = aircraft_bias.running(map(departures, times)).told()
    return {(one.type, one.station): one.bias for one in told}


def experiment(work: Path, mode="research") -> Experiment:
    return Experiment(name="x", start=START, end=START + timedelta(days=5), work=str(work), mode=mode)


def test_a_bias_moves_by_the_share_of_what_is_new():
    many, few = np.full(200, 0.6), np.full(10, -0.3)
    share, later = 200 / (200 + INERTIA), 10 / (10 + INERTIA)
    expected = share * 0.6 + later * (-0.3 - share * 0.6)
    assert biases(temperatures(many), temperatures(few)) == pytest.approx({(131, ""): expected, (131, "A"): expected})


def test_an_aircraft_that_reports_little_has_that_of_its_type():
    station = np.array([b"A"] * FROM + [b"B"])
    rows = temperatures(np.where(station == b"A", 1.0, 3.0), station=station)
    known = aircraft_bias.running([departures(rows)])
    assert {one.station for one in known.told()} == {"", "A"}
    a, of_type = known.known[131, b"A"].bias, known.known[131, b""].bias
    assert a < of_type and np.array_equal(known.of(rows), np.where(station == b"A", a, of_type))


@pytest.mark.parametrize("other", [{"type": 120}, {"quantity": Quantity.specific_humidity}, {"flag": Flag.gross_error}])
def test_only_temperatures_of_aircraft_that_were_compared_count(other):
    assert biases(temperatures(np.ones(200), **other)) == {}


def test_nothing_is_taken_from_others():
    known = Biases(LEARN, {(131, b""): Known(0.5, 1000)})
    others = temperatures(np.zeros(3), type=np.array([120, 180, 230]))
    assert known.of(others).tolist() == [0.0] * 3
    assert known.of(temperatures(np.zeros(2), station=b"new")).tolist() == [0.5] * 2
    assert known.of(temperatures([])).size == 0


def test_a_bias_that_stays_is_found_and_departures_are_left_without_it():
    known, left = Biases(LEARN), 0.5
    for i in range(20):
        table = known.taken_from(temperatures(0.5 + np.random.default_rng(i).normal(0, 1, 300)))
        left = (table.value - 250.0).mean()
        known = known.moved(departures(table), were_taken=True)
    assert known.known[131, b"A"].bias == pytest.approx(0.5, abs=0.1) and abs(left) < 0.2


def test_learned_while_cycling_is_what_is_learned_from_the_whole_afterwards():
    """What was taken is given back before the mean is moved: an experiment without it learns the same."""
    rows = [temperatures(np.random.default_rng(i).normal(0.7, 1, 90), station=np.array([b"A", b"B", b"C"] * 30))
            for i in range(6)]
    cycling = Biases(LEARN)
    for table in rows:
        cycling = cycling.moved(departures(cycling.taken_from(table)), were_taken=True)
    afterwards = aircraft_bias.running(map(departures, rows))
    assert cycling.known.keys() == afterwards.known.keys()
    for key, one in afterwards.known.items():
        assert cycling.known[key] == pytest.approx(one, abs=1e-12)


def test_written_and_read_they_are_the_same(tmp_path):
    some = {(131, b""): Known(0.1, 3), (131, b"EU1234"): Known(-1 / 3, 2), (433, b"12345678"): Known(2.0, 9)}
    known = Biases(LEARN, some)
    aircraft_bias.write(tmp_path / "b.nc", known, START)
    assert aircraft_bias.read(tmp_path / "b.nc", LEARN, START) == known
    with pytest.raises(ContractError, match="expected biases of 1989010106, got 1989010100"):
        aircraft_bias.read(tmp_path / "b.nc", LEARN, START + timedelta(hours=6))
    aircraft_bias.write(tmp_path / "none.nc", Biases(LEARN), START)
    assert aircraft_bias.read(tmp_path / "none.nc", LEARN, START) == Biases(LEARN)


def test_a_time_reads_what_the_time_before_has_left(tmp_path):
    of, later = experiment(tmp_path), START + timedelta(hours=6)
    for time in (START, later):
        observations.write(of.folder.at(time).observations, temperatures(np.ones(300)), Source(time, (time, time)))
    first, _ = aircraft_bias.read_observations(LEARN, of, START)
    assert np.array_equal(first.value, np.full(300, 251.0))
    aircraft_bias.learn(LEARN, of, START, departures(first))
    second, _ = aircraft_bias.read_observations(LEARN, of, later)
    assert second.value == pytest.approx(np.full(300, 251.0 - 300 / (300 + INERTIA)))
    assert np.array_equal(aircraft_bias.read_observations(AircraftBias(), of, later)[0].value, np.full(300, 251.0))


def test_lost_it_stops_research_and_is_learned_anew_in_real_time(tmp_path, caplog):
    later = START + timedelta(hours=6)
    observations.write(experiment(tmp_path).folder.at(later).observations, temperatures(np.ones(9)),
                       Source(later, (later, later)))
    with pytest.raises(ContractError, match=r"aircraft_bias.nc: no such file.*--redo analysis 1989010100"):
        aircraft_bias.read_observations(LEARN, experiment(tmp_path), later)
    table, _ = aircraft_bias.read_observations(LEARN, experiment(tmp_path, "realtime"), later)
    assert np.array_equal(table.value, np.full(9, 251.0)) and "learned anew" in caplog.text


def test_off_nothing_is_written(tmp_path):
    aircraft_bias.learn(AircraftBias(), experiment(tmp_path), START, departures(temperatures(np.ones(300))))
    assert not list(tmp_path.rglob("*.nc"))
