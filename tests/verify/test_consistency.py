"""Consistency statistics against loops, and against an analysis whose errors are known."""

from datetime import UTC, datetime

import netCDF4
import numpy as np
import pytest

from contracts import estimated_errors
from contracts.estimated_errors import EstimatedErrors
from contracts.observations import Departures
from contracts.variables import Flag, Quantity
from tests import builders
from tests.verify import case
from verify import consistency, consistency_report
from verify.config import Verify
from verify.consistency import Sums

LAYERS = case.LAYERS
K = 6


def departures(seed: int = 0) -> Departures:
    table = case.departures(seed)
    return table.with_columns(background_rank=np.random.default_rng(seed).integers(0, K + 1, len(table)))


def gaussian(count: int = 40_000, sigma_b: float = 2.0, sigma_o: float = 1.0, given_b: float = 2.0,
             given_o: float = 1.0) -> Departures:
    """A scalar truth 0, background and observation with errors σ, and the analysis of the gain of the errors given."""
    rng = np.random.default_rng(1)
    members = rng.standard_normal((count, K)) * given_b
    background, value = sigma_b * rng.standard_normal(count), sigma_o * rng.standard_normal(count)
    gain = given_b**2 / (given_b**2 + given_o**2)
    perturbed = background[:, None] + members + given_o * rng.standard_normal((count, K))
    rows = builders.observations(value, error=given_o, quantity=Quantity.temperature, flag=Flag.assimilated)
    return Departures(**{name: getattr(rows, name) for name in rows.__dataclass_fields__},
                      background_mean=background, background_spread=np.full(count, given_b),
                      analysis_mean=background + gain * (value - background),
                      analysis_spread=np.full(count, np.sqrt(1 - gain) * given_b),
                      background_rank=(perturbed < value[:, None]).sum(axis=1))


def only(table: Departures) -> consistency.Statistics:
    [found] = Sums.of(table, LAYERS, K).by("flag").values()
    return found


def test_each_group_is_what_its_rows_say():
    table = departures()
    found = Sums.of(table, LAYERS, K).by("flag", "quantity", "type")
    assert sum(one.count for one in found.values()) == np.isin(table.flag, (1, 2, 3)).sum()
    for (flag, quantity, kind), one in found.items():
        rows = table.select((table.flag == flag) & (table.quantity == quantity) & (table.type == kind))
        o, b, a = rows.value, rows.background_mean, rows.analysis_mean
        assert one.count == len(rows)
        assert one.mean("oma_omb") == pytest.approx(np.mean((o - a) * (o - b)))
        assert one.mean("amb_omb") == pytest.approx(np.mean((a - b) * (o - b)))
        assert one.mean("amb_oma") == pytest.approx(np.mean((a - b) * (o - a)))
        assert one.consistency == pytest.approx(
            np.mean((o - b) ** 2) / (np.mean(rows.background_spread**2) + np.mean(rows.error.astype(float) ** 2)))
        assert one.ranks.tolist() == np.bincount(rows.background_rank, minlength=K + 1).tolist()


def test_errors_given_right_are_found_again():
    found = only(gaussian())
    assert found.root("oma_omb") == pytest.approx(1.0, rel=0.02)
    assert found.root("amb_omb") == pytest.approx(2.0, rel=0.02)
    assert found.root("amb_oma") == pytest.approx(np.sqrt(0.8), rel=0.02)
    assert found.consistency == pytest.approx(1.0, rel=0.02)
    assert found.skill == pytest.approx(2.0, rel=0.02)
    assert found.outside == pytest.approx(1.0, abs=0.35) and found.mean_rank == pytest.approx(0.5, abs=0.01)


def test_too_little_spread_is_seen_everywhere():
    found = only(gaussian(given_b=1.0))
    assert found.consistency > 2 and found.outside > 1.5 and found.skill > 1.5 * found.adjusted_spread
    assert only(gaussian(sigma_b=1.0)).consistency < 0.5


def test_a_reliable_ensemble_has_uniform_ranks():
    rng, count = np.random.default_rng(2), 30_000
    table = gaussian(count)
    draws = rng.standard_normal((count, K + 1))
    table = table.with_columns(background_rank=(draws[:, 1:] < draws[:, :1]).sum(axis=1))
    found = only(table)
    np.testing.assert_allclose(found.ranks / count * (K + 1), 1.0, atol=0.06)
    assert found.outside == pytest.approx(1.0, abs=0.06)


def test_times_add_up():
    first, second = departures(0), departures(1)
    both = Departures(**{name: np.concatenate([getattr(first, name), getattr(second, name)])
                         for name in first.__dataclass_fields__})
    joined, whole = Sums.join([Sums.of(one, LAYERS, K) for one in (first, second)]), Sums.of(both, LAYERS, K)
    assert np.array_equal(joined.keys, whole.keys) and np.array_equal(joined.ranks, whole.ranks)
    np.testing.assert_allclose(joined.sums, whole.sums, rtol=1e-12, atol=1e-12)


def test_rows_without_a_rank_are_counted_but_have_none():
    table = gaussian(50).with_columns(background_rank=np.full(50, -1))
    found = only(table)
    assert found.count == 50 and not found.ranks.any() and np.isnan(found.outside)
    assert "Ranks" not in consistency_report.text(Sums.of(table, LAYERS, K), LAYERS)


def test_the_report_prints_the_numbers_and_the_file_holds_the_sums(tmp_path):
    sums = Sums.of(departures(), LAYERS, K)
    text = consistency_report.text(sums, LAYERS)
    one = sums.by("flag", "quantity", "layer")[Flag.assimilated, Quantity.temperature, 0]
    [line] = [line for line in text.splitlines() if line.startswith("assimilated  temperature") and "1100 to" in line]
    cells = line.split()
    assert cells[cells.index("hPa") + 1] == str(one.count)
    assert float(cells[cells.index("hPa") + 4]) == pytest.approx(one.consistency, rel=5e-3)

    consistency_report.write(tmp_path / "consistency.nc", sums, LAYERS, "made")
    with netCDF4.Dataset(tmp_path / "consistency.nc") as dataset:
        assert dataset.contract == "consistency/1"
        np.testing.assert_array_equal(dataset["oma_omb"][:], sums.sums[:, consistency.SUMS.index("oma_omb")])
        np.testing.assert_array_equal(dataset["rank_count"][:], sums.ranks)
        assert dataset["rank_count"].shape == (len(sums), K + 1)


def test_estimated_errors_are_those_of_the_groups_that_have_enough(tmp_path):
    """By the definition of Desroziers, over the rows of a group; not further from the error given than allowed."""
    table = departures()
    sums = Sums.of(table, LAYERS, K)
    found = consistency_report.estimates(sums, Verify(layers_hpa=LAYERS, estimates_from=5, estimates_within=50.0))
    assert found and all(one.count >= 5 for one in found)
    when = datetime(2020, 1, 1, tzinfo=UTC)
    written = EstimatedErrors(experiment="a", first=when, last=when, estimate=found)
    estimated_errors.write(tmp_path / "estimated.toml", written)
    assert estimated_errors.read(tmp_path / "estimated.toml") == written
    for one in found:
        rows = table.select((table.flag == Flag.assimilated) & (table.type == one.type)
                            & (table.quantity == Quantity[one.quantity]))
        if one.lower_hpa is not None:
            hpa = rows.pressure / 100
            rows = rows.select((hpa <= one.lower_hpa) & (hpa > one.upper_hpa))
        o, b, a = rows.value, rows.background_mean, rows.analysis_mean
        given = np.sqrt(np.mean(rows.error.astype(float) ** 2))
        assert len(rows) == one.count and one.given == pytest.approx(given)
        assert one.estimated == pytest.approx(np.sqrt(np.mean((o - a) * (o - b))))
        assert one.factor == pytest.approx(one.estimated / given)
    close = consistency_report.estimates(sums, Verify(layers_hpa=LAYERS, estimates_from=5, estimates_within=1.1))
    assert max(one.factor for one in close) <= 1.1 and min(one.factor for one in close) >= 1 / 1.1
    assert [one.estimated for one in close] == [one.estimated for one in found]
    assert not consistency_report.estimates(sums, Verify(layers_hpa=LAYERS, estimates_from=10**6))
