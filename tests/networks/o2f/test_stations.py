"""What stations see, on tensors, and the climate that they know, by their definitions."""

import numpy as np
import pytest
import torch

from contracts import times
from networks.o2f import climate, stations
from networks.o2f.stations import Known, Stations
from networks.o2l import gridding
from tests.networks.climax_builders import START, STEP
from tests.networks.o2f import made as small
from tests.networks.o2l import made
from tests.networks.o2l.made import SPACE

RNG = np.random.default_rng(8)


@pytest.fixture(scope="module")
def known():
    return small.known()


def test_channels_are_known_where_stations_see_them_and_what_sees_others_is_left_out(known):
    names = [SPACE.channels[number].name for number in known.channels]
    assert names == ["geopotential_925", "temperature_500", "temperature_850", "temperature_925"]
    seen = made.seen(made.soundings(100))
    columns = np.isin(np.arange(made.SIZE) // SPACE.grid.size, known.channels)
    for number, row in enumerate(seen.rows.toarray()):
        assert (number in known.kept) == (not row[~columns].any())
    np.testing.assert_array_equal(known.rows.toarray(), seen.rows[known.kept].toarray()[:, columns])


def test_an_observation_counts_for_the_channel_that_it_alone_sees_well(known):
    of = {SPACE.channels[known.channels[number]].name for number in known.channel}
    assert "geopotential_925" in of and "temperature_850" in of


def test_on_tensors_they_see_what_the_matrix_sees_and_gather_what_gridding_gathers(known):
    scale = np.array([300.0, 4.0, 5.0, 6.0])
    shape = (4, *SPACE.grid.shape)
    A = gridding.in_scales(known.rows, np.repeat(scale, SPACE.grid.size))
    of = Stations.of(known.rows, scale)
    xi = torch.tensor(RNG.standard_normal((2, *shape)), dtype=torch.float32)
    np.testing.assert_allclose(of.observe(xi), (A @ xi.flatten(1).numpy().T).T, rtol=1e-4, atol=1e-3)
    d, used = RNG.standard_normal((2, len(known.kept))), RNG.random((2, len(known.kept))) < 0.6
    found = of.gathered(torch.tensor(d).float(), torch.tensor(used).float(), shape)
    for one, departure, there in zip(found, d, used, strict=True):
        expected = gridding.gridded(A, departure, there)
        np.testing.assert_allclose(one.flatten(1), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_withheld_are_whole_stations_and_the_same_whoever_asks(known):
    chosen = stations.withheld(known.station, 0.3, 1)
    for station in np.unique(known.station):
        assert len(set(chosen[known.station == station])) == 1
    assert 0.15 < chosen.mean() < 0.45 and not stations.withheld(known.station, 0.0, 1).any()
    few = stations.withheld(known.station[:50], 0.3, 1)
    np.testing.assert_array_equal(few, chosen[:50])


def test_the_climate_is_given_back_where_observations_know_it(known):
    """A field with the harmonics and polynomials that are fitted, seen with errors at many times: the temperatures that
    are observed; of the two channels that make a surface pressure what they make of it."""
    coefficients = RNG.standard_normal((3, climate.DEGREES, 4)) * np.array([100.0, 4, 4, 4])
    coefficients[0, 0] += [7000.0, 250, 270, 280]
    truth = climate.ObservedClimate(SPACE.grid, coefficients)
    seconds = np.array([times.to_seconds(START) + n * 7 * int(STEP.total_seconds()) for n in range(300)])
    clear = (known.rows @ truth.at(seconds).reshape(300, -1).T).T
    values = clear + RNG.standard_normal(clear.shape)
    found = climate.fit(SPACE.grid, 4, known.rows, zip(seconds.tolist(), values, strict=True), 3)
    assert np.abs(found.at(seconds[:30])[:, 1:3] - truth.at(seconds[:30])[:, 1:3]).mean() < 0.3
    expected = (known.rows @ found.at(seconds).reshape(300, -1).T).T
    assert np.square(values - expected).mean() == pytest.approx(1, abs=0.02)


def test_the_scale_is_what_observations_deviate_beside_their_errors():
    """Of each channel seen alone: temperatures between points and levels see a mean of smooth fields."""
    table = made.table(RNG.uniform(-80, 80, 60), RNG.uniform(0, 360, 60), 50_000.0, error=0.5)
    of = Known.of(made.seen(table), len(made.SCALE), 0.25)
    xi = 3.0 * RNG.standard_normal((4000, 1))  # of the whole globe alike
    seen = (of.rows @ np.ones(of.rows.shape[1])) * xi + RNG.standard_normal((4000, len(of.kept)))
    assert climate.scale(of, np.square(seen).mean(axis=0)) == pytest.approx([3.0], rel=0.03)
