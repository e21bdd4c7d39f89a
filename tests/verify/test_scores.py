"""Scores against their definitions, computed slowly and by the library `scores`."""

import numpy as np
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contracts.grid import Grid
from verify import scores

GLOBE = {"global": (-90.0, 90.0)}
values = st.floats(-1e3, 1e3, allow_subnormal=False, width=32)


@st.composite
def ensembles(draw):
    """Members (k,) and a truth."""
    k = draw(st.integers(2, 12))
    return draw(hnp.arrays(np.float64, k, elements=values)), draw(values)


def plain_crps_by_integration(members: np.ndarray, truth: float) -> float:
    """∫ (F(x) − 1{x ≥ y})² dx with F the step function of the members, piece by piece (Hersbach 2000, Eq. 1)."""
    knots = np.sort(np.append(members, truth))
    pieces = [(np.mean(members <= a) - (a >= truth)) ** 2 * (b - a) for a, b in zip(knots[:-1], knots[1:], strict=True)]
    return float(sum(pieces))


@given(ensembles())
def test_fair_crps_is_the_integral_minus_what_a_finite_ensemble_adds(case):
    members, truth = case
    k = members.size
    pairs = np.abs(members[:, None] - members[None, :]).sum()
    surplus = pairs / (2 * k * (k - 1)) - pairs / (2 * k**2)
    expected = plain_crps_by_integration(members, truth) - surplus
    assert scores.crps_fair(members, truth) == pytest.approx(expected, abs=1e-9 * (1 + np.abs(members).max()))


def test_fair_crps_agrees_with_the_scores_library():
    from scores.probability import crps_for_ensemble

    rng = np.random.default_rng(1)
    X, truth = rng.standard_normal((7, 3, 4, 5)), rng.standard_normal((3, 4, 5))
    theirs = crps_for_ensemble(xarray.DataArray(X, dims=("member", "c", "y", "x")),
                               xarray.DataArray(truth, dims=("c", "y", "x")), "member", method="fair",
                               preserve_dims="all")
    np.testing.assert_allclose(scores.crps_fair(X, truth), theirs.values, rtol=1e-12)


def test_expected_fair_crps_does_not_depend_on_the_number_of_members():
    rng = np.random.default_rng(2)
    draws, truth = rng.standard_normal((40, 200_000)), rng.standard_normal(200_000)
    few, many = (scores.crps_fair(draws[:k], truth).mean() for k in (2, 40))
    assert few == pytest.approx(many, rel=0.01)
    assert many == pytest.approx(1 / np.sqrt(np.pi), rel=0.01)  # E of N(0,1) against N(0,1): 2/√π − 1/√π


def test_one_member_has_no_fair_crps():
    with pytest.raises(ValueError, match="at least two members, got 1"):
        scores.crps_fair(np.zeros((1, 3)), np.zeros(3))


def test_scores_are_area_means_of_their_definitions():
    grid, rng = Grid.regular(6, 8), np.random.default_rng(3)
    X, truth = rng.standard_normal((5, 2, *grid.shape)), rng.standard_normal((2, *grid.shape))
    regions = GLOBE | {"tropics": (-20.0, 20.0)}
    found = scores.ensemble_scores(X, truth, scores.region_weights(grid, regions))
    for r, (south, north) in enumerate(regions.values()):
        for c in range(2):
            area = squared = error = variance = 0.0
            for i, lat in enumerate(grid.lat):
                for j in range(grid.lon.size):
                    if south <= lat <= north:
                        w, x, y = grid.area_weights[i, j], X[:, c, i, j], truth[c, i, j]
                        area += w
                        squared += w * (x.mean() - y) ** 2
                        error += w * (x.mean() - y)
                        variance += w * x.var(ddof=1)
            assert found["rmse"][r, c] == pytest.approx(np.sqrt(squared / area))
            assert found["bias"][r, c] == pytest.approx(error / area)
            assert found["spread"][r, c] == pytest.approx(np.sqrt(variance / area))


def test_a_perfect_ensemble_scores_nothing_and_a_shift_is_all_bias():
    grid = Grid.regular(6, 8)
    truth = np.random.default_rng(4).standard_normal((2, *grid.shape))
    weights = scores.region_weights(grid, GLOBE)
    perfect = scores.ensemble_scores(np.repeat(truth[None], 4, axis=0), truth, weights)
    assert all(abs(values).max() < 1e-12 for values in perfect.values())
    shifted = scores.ensemble_scores(np.repeat(truth[None] + 2.0, 4, axis=0), truth, weights)
    for name, expected in {"rmse": 2.0, "bias": 2.0, "spread": 0.0, "crps": 2.0}.items():
        np.testing.assert_allclose(shifted[name], expected, atol=1e-12)


def test_a_reliable_ensemble_has_ratio_one_whatever_its_size():
    grid, rng = Grid.regular(90, 180), np.random.default_rng(5)
    weights = scores.region_weights(grid, GLOBE)
    for k in (3, 20):
        draws = rng.standard_normal((k + 1, 1, *grid.shape))
        found = scores.ensemble_scores(draws[1:], draws[0], weights)
        ratio = scores.spread_error_ratio(found["spread"][0, 0], found["rmse"][0, 0], k)
        assert ratio == pytest.approx(1.0, abs=0.03)


def test_region_weights_sum_to_one_and_stay_inside():
    grid = Grid.regular(32, 64)
    weights = scores.region_weights(grid, {"north": (20.0, 90.0), "band": (-30.0, -10.0)})
    np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1.0)
    assert not weights[0][grid.lat < 20].any()
    assert (weights[0][grid.lat >= 20] > 0).all()


def test_a_region_between_two_rows_is_refused():
    with pytest.raises(ValueError, match="region gap: no row"):
        scores.region_weights(Grid.regular(6, 8), {"gap": (1.0, 2.0)})
