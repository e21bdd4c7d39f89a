"""The compiled kernel; `_lanes.c` says what the arguments are."""

from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]

def instructions() -> list[str]: ...
def prepare(members: int, levels: int, table: Arrays, sites: Arrays, vertical: np.ndarray, channels: Arrays,
            humidity: np.ndarray, limits: tuple[Arrays, ...], geometry: tuple[Any, ...], single: Arrays,
            precise: Arrays, /) -> object: ...
def analyse(instructions: str, shared: object, options: tuple[Any, ...], tile: Arrays, by_level: Arrays,
            by_channel: Arrays, states: Arrays, /) -> None: ...
def weights(instructions: str, shared: object, options: tuple[Any, ...], taper: np.ndarray, inflation: np.ndarray,
            mean: np.ndarray, perturbations: np.ndarray, /) -> None: ...
