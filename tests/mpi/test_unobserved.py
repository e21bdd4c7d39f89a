"""Channels that a model carries and nobody observes: in every file of a cycle, analysed by their covariances alone."""

import netCDF4
import numpy as np

from contracts import state
from model_server import config
from model_server.forecast import forecast
from tests.builders import AT_SURFACE, TIME
from tests.letkf_mpi import case
from tests.mpi.launcher import analyse

CARRIED = ("total_column_water_vapour", "100m_u_component_of_wind", "soil_temperature_level_1")


def test_what_nobody_observes_goes_round_the_cycle(tmp_path):
    surface = f"at_surface = {list((*AT_SURFACE, *CARRIED))}".replace("'", '"')
    made = case.make(tmp_path, nobs=8, more=f'{surface}\n[model]\nname = "persistence"\n[localization]\n'
                                            "horizontal_km = 300.0")
    analyse(made)
    settings = config.load(made.toml)
    forecast(settings, TIME)
    later = settings.experiment.folder.at(TIME + settings.experiment.step)
    for number in range(1, settings.experiment.members + 1):
        background, analysis = (state.read(folder.member(number), made.space, TIME) for folder in
                                (made.files.background, made.files.analysis))
        changed = background.data != analysis.data
        rows = np.concatenate([made.space.index(name) for name in CARRIED])
        assert 0 < changed[rows].mean() < 1  # by the ensemble's covariances, and beyond their radius not at all
        with netCDF4.Dataset(later.background.member(number)) as dataset:
            assert set(CARRIED) <= set(dataset.variables)
            assert dataset["soil_temperature_level_1"].units == "K"
        forecasted = state.read(later.background.member(number), made.space, TIME + settings.experiment.step)
        np.testing.assert_array_equal(forecasted.data, analysis.data)
