"""Ensembles on a small grid, what is observed of them, and settings to analyse them with."""

import msgspec
import numpy as np

from contracts import config
from contracts.variables import Quantity
from letkf_mpi.config import Settings
from letkf_mpi.local.relaxation import NoRelaxation
from obsoperator.departures import Used
from tests import builders

SPACE = builders.space()
K = 6
BASE = config.decode(builders.experiment(members=K), Settings, "test")
ALL = np.arange(SPACE.grid.size)


def with_settings(**sections) -> Settings:
    return msgspec.structs.replace(BASE, **({"relaxation": NoRelaxation()} | sections))


def ensemble(seed=0) -> np.ndarray:
    """(k, channel, column)"""
    members = [builders.random_state(SPACE, seed * 100 + i).data for i in range(K)]
    return np.stack(members).reshape(K, len(SPACE.channels), -1)


def used(n=30, seed=1, **changed) -> Used:
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((n, K))
    Y -= Y.mean(axis=1, keepdims=True)
    columns = dict(Y=Y, d=rng.standard_normal(n), variance=np.ones(n),
                   quantity=np.full(n, Quantity.temperature), lat=rng.uniform(-90, 90, n),
                   lon=rng.uniform(0, 360, n), pressure=rng.uniform(4e4, 1e5, n))
    return Used(**(columns | changed))
