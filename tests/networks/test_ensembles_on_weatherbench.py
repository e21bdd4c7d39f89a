"""A network, the part of it that forecasts ensembles and a flow on its errors, all from WeatherBench files of another
grid."""

import numpy as np
import pytest

from networks import checkpoint as checkpoints
from networks import train
from networks.training import config
from tests.networks import training_case
from tests.networks.denoiser import made

CLIMAX = "patch = 2\nembed_dim = 16\ndepth = 1\nheads = 2"
FLOW = 'kind = "flow"\nwidth = 8\nblocks = 1\nsteps = 2\nerrors = 8'
NOISE = "[network.noise]\nlocal = 2\nblocks = 1\n[training]"
PHASES = "[[training.phases]]\nepochs = 1\nsamples = 16\nlearning_rate = 1e-3\nwarmup_steps = 2"


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """trained(name, network, training, noise) -> settings of what the command has trained."""
    monkeypatch.setenv("WORK", str(tmp_path))
    work = made.world(tmp_path)

    def of(name: str, network: str, training: str = "", noise: bool = False) -> config.Settings:
        path = training_case.on_weatherbench(work, name, nlat=8, nlon=16, unseen_from="1990-01-18T06:00:00Z",
                                             network=network, phases=PHASES,
                                             training=f"leads_hours = [6]\nvalidation_samples = 4\n{training}")
        if noise:
            path.write_text(path.read_text().replace("[training]", NOISE, 1))
        train.main([str(path)])
        return config.load(path)

    return of


def test_ensembles_and_flows_train_from_an_archive_of_others(trained):
    plain = trained("plain", CLIMAX)
    begin = f'begin = "{plain.weights}"'
    flow = trained("flow", FLOW, begin)
    ensemble = trained("ensemble", CLIMAX, f'{begin}\nloss = "afcrps"\nmembers = 2', noise=True)
    for settings, kind in ((flow, "flow"), (ensemble, "climax")):
        found = checkpoints.read(settings.weights)
        assert found.card.kind == kind and found.card.horizontal.shape == (8, 16)
        assert all(np.isfinite(array).all() for array in found.weights.values())
