"""Parameters analysed with the state: the Kalman filter's law, and that a filter finds one that it never sees."""

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from contracts import config, parameters
from contracts.parameters import Parameter, Parameters
from letkf_mpi.parameters import Augmented, analysed, estimate
from tests import builders
from tests.builders import TIME
from tests.letkf_mpi.ensembles import K, used

OF = (Parameter("drag", "1", 1.0, 0.0, 2.0), Parameter("relaxation", "h", 6.0, 2.0, 12.0))


def before(seed: int = 0, members: int = K, spread: float = 0.1) -> Parameters:
    draws = np.random.default_rng(seed).standard_normal((members, len(OF)))
    return Parameters(OF, parameters.usual(OF) + spread * draws * [one.width for one in OF])


@pytest.mark.parametrize(("weight", "inflation"), [(1.0, 1.0), (0.25, 1.0), (1.0, 1.5)])
def test_they_are_those_of_the_kalman_filter_with_augmented_state(weight, inflation):
    """Mean and covariance by the gain of the sample covariances; less weight is larger errors."""
    table, old = used(12), before()
    mean = old.values.mean(axis=0)
    perturbations = old.values - mean  # (member, parameter)
    cross = inflation * perturbations.T @ table.Y.T / (K - 1)
    innovation = inflation * table.Y @ table.Y.T / (K - 1) + np.diag(table.variance) / weight
    gain = cross @ np.linalg.inv(innovation)
    covariance = inflation * perturbations.T @ perturbations / (K - 1) - gain @ cross.T

    new = analysed(Augmented(weight=weight, inflation=inflation), old, table)

    np.testing.assert_allclose(new.mean(axis=0), mean + gain @ table.d, rtol=1e-12)
    np.testing.assert_allclose(np.cov(new.T), covariance, rtol=1e-10, atol=1e-15)


def test_with_bands_they_are_those_of_the_filter_that_observes_the_means():
    """By the explicit matrix A of the means, whose errors are A R Aᵀ."""
    table, old = used(40, lat=np.linspace(-85, 85, 40), variance=np.linspace(0.5, 2.0, 40),
                      pressure=np.tile([5e4, 8.5e4], 20)), before()
    rows = [(np.floor((table.lat + 90) / 60) == band) & (table.pressure == level)
            for band in range(3) for level in (5e4, 8.5e4)]
    A = np.stack([np.where(row, 1 / table.variance, 0.0) for row in rows])
    A /= A.sum(axis=1, keepdims=True)
    errors = A @ np.diag(table.variance) @ A.T
    np.testing.assert_allclose(errors, np.diag(np.diag(errors)), atol=1e-16)
    means = used(6, Y=A @ table.Y, d=A @ table.d, variance=np.diag(errors))
    np.testing.assert_allclose(analysed(Augmented(band_degrees=60.0), old, table), analysed(Augmented(), old, means),
                               rtol=1e-12)


def test_bands_that_hold_one_observation_each_change_nothing():
    table, old = used(12, lat=np.arange(12.0)), before()
    np.testing.assert_allclose(analysed(Augmented(band_degrees=1.0), old, table), analysed(Augmented(), old, table),
                               rtol=1e-12)


def test_without_observations_they_stay_as_they_are():
    old = before()
    for asked in (Augmented(), Augmented(band_degrees=20.0)):
        np.testing.assert_allclose(analysed(asked, old, used(0)), old.values, rtol=1e-14)


def test_their_spread_falls_no_further_than_asked_and_their_mean_is_the_same():
    free, held = (analysed(Augmented(least_spread=least), before(), used(200)) for least in (0.0, 0.08))
    np.testing.assert_allclose(held.mean(axis=0), free.mean(axis=0), rtol=1e-12)
    widths = np.array([one.width for one in OF])
    assert (free.std(axis=0, ddof=1) < 0.05 * widths).all()
    np.testing.assert_allclose(held.std(axis=0, ddof=1), 0.08 * widths, rtol=1e-12)


def test_one_that_has_no_spread_is_as_good_as_known():
    fixed = before().values.copy()
    fixed[:, 0] = 1.5
    new = analysed(Augmented(least_spread=0.1), Parameters(OF, fixed), used(12))
    np.testing.assert_allclose(new[:, 0], 1.5, rtol=1e-14)
    assert abs(new[:, 1] - fixed[:, 1]).max() > 0


def test_what_would_leave_its_range_ends_at_the_end_of_it_and_is_counted(tmp_path):
    experiment = msgspec.structs.replace(config.decode(builders.experiment(members=K), _Experiment, "test").experiment,
                                         work=str(tmp_path))
    near_its_end = before(spread=0.0).values.copy()
    near_its_end[:, 0] = np.linspace(1.8, 2.0, K)
    parameters.write(experiment.folder.at(TIME).background.parameters, Parameters(OF, near_its_end), TIME)
    table = used(1, d=np.array([50.0]), Y=20.0 * (near_its_end[:, 0] - near_its_end[:, 0].mean())[None])
    found = estimate(Augmented(), experiment, TIME, table)
    drag = found.after.values[:, 0]
    assert found.moved == np.count_nonzero(drag == 2.0) == 1  # its mean stays a spread away: they are not all the same
    assert drag.mean() > 1.9 and drag.std() > 0
    told = list(found.lines())
    assert [line.split(":")[0] for line in told[:-1]] == ["parameter drag", "parameter relaxation"]
    assert told[-1] == "values of parameters moved to the end of their range: 1"


def test_first_members_that_owe_nothing_to_their_parameters_teach_nothing_about_them(tmp_path):
    experiment = msgspec.structs.replace(config.decode(builders.experiment(members=K), _Experiment, "test").experiment,
                                         work=str(tmp_path))
    for time in (TIME, TIME + timedelta(hours=12)):
        parameters.write(experiment.folder.at(time).background.parameters, before(), time)
    early, late = (estimate(Augmented(after_hours=12), experiment, time, used(12)).after.values
                   for time in (TIME, TIME + timedelta(hours=12)))
    np.testing.assert_array_equal(early, before().values)
    np.testing.assert_array_equal(late, parameters.within(OF, analysed(Augmented(), before(), used(12))))


class _Experiment(config.Section, frozen=True):
    experiment: config.Experiment


def test_a_filter_finds_the_parameter_of_a_model_whose_state_alone_it_sees():
    """x <- 0.9 x + θ + noise, of eight places; 40 members, 60 analyses: θ comes within 5 per cent of its range."""
    rng, members, places, true = np.random.default_rng(2), 40, 8, 1.6
    model = (Parameter("forcing", "1", 1.0, 0.0, 2.0),)
    theta = 0.5 + 0.3 * rng.standard_normal((members, 1))
    X, truth = rng.standard_normal((members, places)), np.zeros(places)
    for _ in range(60):
        theta = parameters.within(model, theta)
        truth = 0.9 * truth + true + 0.1 * rng.standard_normal(places)
        X = 0.9 * X + theta + 0.1 * rng.standard_normal(X.shape)
        mean = X.mean(axis=0)
        Y, d = (X - mean).T, truth + 0.3 * rng.standard_normal(places) - mean
        table = used(places, Y=Y, d=d, variance=np.full(places, 0.09))
        state = tuple(Parameter(f"x{i}", "1", 0.0, -1e3, 1e3) for i in range(places))
        theta = analysed(Augmented(least_spread=0.02), Parameters(model, theta), table)
        X = analysed(Augmented(), Parameters(state, X), table)  # the state by the same filter
    assert theta.mean() == pytest.approx(true, abs=0.1)
