"""Members in files: read, and summed up as mean and spread."""

from collections.abc import Iterable
from datetime import datetime

import numpy as np

from contracts import state
from contracts.paths import EnsembleFolder
from contracts.state import StateSpace


def read_members(folder: EnsembleFolder, members: Iterable[int], space: StateSpace, time: datetime,
                 channels: slice = slice(None)) -> np.ndarray:
    """(members, channel, column) float32: these `channels` of the members with these numbers from 0."""
    wanted, numbers = space.channels[channels], list(members)
    data = np.empty((len(numbers), len(wanted), space.grid.size), np.float32)
    if wanted:
        part = StateSpace(space.grid, wanted)
        for x, member in zip(data, numbers, strict=True):
            x[...] = state.read(folder.member(member + 1), part, time).data.reshape(x.shape)
    return data
