"""Observation statistics against sums over the rows of each group."""

import numpy as np
import pytest

from contracts.variables import Flag, Quantity
from tests.verify.case import LAYERS, departures
from verify import fit, groups


def test_each_group_is_what_its_rows_say():
    table = departures()
    found = fit.statistics(table, LAYERS)
    surface = table.quantity == Quantity.surface_pressure
    for g in range(len(found)):
        in_layer = surface if np.isnan(found.layer_lower[g]) else (
            ~surface & (table.pressure <= found.layer_lower[g]) & (table.pressure > found.layer_upper[g]))
        same = (table.flag == found.flag[g]) & (table.quantity == found.quantity[g]) & (table.type == found.type[g])
        rows = table.select(same & in_layer)
        omb, oma = rows.value - rows.background_mean, rows.value - rows.analysis_mean
        assert found.count[g] == len(rows)
        assert found.omb_mean[g] == pytest.approx(omb.mean())
        assert found.omb_rms[g] == pytest.approx(np.sqrt((omb**2).mean()))
        assert found.oma_mean[g] == pytest.approx(oma.mean())
        assert found.oma_rms[g] == pytest.approx(np.sqrt((oma**2).mean()))
        assert found.background_spread[g] == pytest.approx(np.sqrt((rows.background_spread**2).mean()))
        assert found.analysis_spread[g] == pytest.approx(np.sqrt((rows.analysis_spread**2).mean()))
        assert found.error[g] == pytest.approx(np.sqrt((rows.error.astype(float) ** 2).mean()))


def test_every_compared_row_is_counted_once_and_fates_are_not_mixed():
    table = departures()
    found = fit.statistics(table, LAYERS)
    compared = np.isin(table.flag, groups.COMPARED)
    assert found.count.sum() == compared.sum()
    for flag in groups.COMPARED:
        assert found.count[found.flag == flag].sum() == np.count_nonzero(table.flag == flag)


def test_totals_equal_the_statistics_of_all_rows_together():
    table = departures()
    total = fit.statistics(table, LAYERS).select(Flag.withheld, Quantity.temperature).total()
    rows = table.select((table.flag == Flag.withheld) & (table.quantity == Quantity.temperature))
    assert total["count"] == len(rows)
    assert total["omb_mean"] == pytest.approx((rows.value - rows.background_mean).mean())
    assert total["oma_rms"] == pytest.approx(np.sqrt(((rows.value - rows.analysis_mean) ** 2).mean()))


def test_an_empty_table_has_no_groups_and_empty_totals():
    table = departures()
    found = fit.statistics(table.select(np.zeros(len(table), bool)), LAYERS)
    assert len(found) == 0
    total = found.select(Flag.assimilated, Quantity.temperature).total()
    assert total["count"] == 0
    assert np.isnan(total["omb_rms"])


@pytest.mark.parametrize(("pressure", "lower", "upper"), [(1200e2, 1100e2, 700e2), (1100e2, 1100e2, 700e2),
                                                        (700e2, 700e2, 300e2), (700.01e2, 1100e2, 700e2),
                                                        (10e2, 300e2, 0.0), (np.nan, 1100e2, 700e2)])
def test_layers_hold_their_lower_bound_and_leave_nothing_out(pressure, lower, upper):
    one = departures().select(slice(0, 1))
    one = one.with_columns(pressure=np.array([pressure]), flag=np.array([Flag.assimilated]),
                           quantity=np.array([Quantity.temperature]), background_mean=np.zeros(1),
                           analysis_mean=np.zeros(1))
    found = fit.statistics(one, LAYERS)
    assert (found.layer_lower[0], found.layer_upper[0]) == (lower, upper)
