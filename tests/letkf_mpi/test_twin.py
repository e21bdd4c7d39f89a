"""Every filter keeps the Lorenz-96 model near a truth that the ensemble without assimilation loses."""

import numpy as np
import pytest

from letkf_mpi import twin


@pytest.mark.parametrize("name", twin.METHODS)
def test_a_filter_beats_the_free_ensemble_and_the_observations(name):
    scores = twin.run(twin.METHODS[name])
    assert scores.mean("analysis") < 1.0 < 0.35 * scores.mean("free")
    assert scores.mean("analysis") < scores.mean("background")


def test_the_model_has_its_fixed_point_and_its_scheme_is_of_order_four(monkeypatch):
    assert np.array_equal(twin.forecast(np.full(24, 8.0), 5), np.full(24, 8.0))
    start, ends = twin.climate(24, 1, seed=2)[0], []
    for halves in range(3):
        monkeypatch.setattr(twin, "DT", 0.05 / 2**halves)
        ends.append(twin.forecast(start, 2 * 2**halves))
    order = np.log2(np.linalg.norm(ends[0] - ends[1]) / np.linalg.norm(ends[1] - ends[2]))
    assert order == pytest.approx(4, abs=0.4)


def test_the_table_has_a_row_for_each_and_one_without(capsys):
    made = twin.run(twin.METHODS["letkf"], twin.Setting(variables=8, members=4, cycles=4, spin_up=2))
    first, row, last = twin.table({"letkf": made})
    assert row.split() == ["letkf", *(f"{made.mean(name):.3f}" for name in ("analysis", "background", "spread")),
                           f"{made.mean('spread') / made.mean('analysis'):.2f}"]
    assert last.split()[-1] == f"{made.mean('free'):.3f}" and len(first) == len(row)
