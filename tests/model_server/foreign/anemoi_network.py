"""A small checkpoint as anemoi-inference reads them: a network with random weights, saved whole, and what it says of
itself beside it in the archive."""

from pathlib import Path

import numpy as np
import torch
from anemoi.utils.checkpoints import save_metadata

COMPUTED = ("cos_latitude", "insolation")  # of place, and of place and time


class Network(torch.nn.Module):
    """Adds to the last state a little of what a matrix makes of all variables of both, point by point."""

    def __init__(self, read: int, given: list[int], scale: np.ndarray, history: int):
        super().__init__()
        self.given = given
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))
        self.matrix = torch.nn.Linear(history * read, len(given), bias=False)

    def predict_step(self, x, **named):
        """(batch, time, point, variable) -> (batch, ensemble, point, variable)"""
        seen = (x / self.scale).permute(0, 2, 1, 3).flatten(2)
        change = 0.01 * self.scale[self.given] * torch.tanh(self.matrix(seen))
        return (x[:, -1][..., self.given] + change)[:, None]


def write(path: Path, prognostic: list[str], constant: list[str], lat: np.ndarray, lon: np.ndarray, scale: np.ndarray,
          history: int = 2) -> None:
    """A checkpoint of `prognostic` variables and `constant` ones on the points `lat`, `lon` (point,); `scale` of all,
    those that are computed last."""
    variables = [*prognostic, *constant, *COMPUTED]
    total, given = len(variables), list(range(len(prognostic)))
    forcing = list(range(len(given), total))
    network = Network(total, given, scale, history)
    torch.save(network, path)
    save_metadata(str(path), {
        "config": {"training": {"multistep_input": history, "precision": "32"},
                   "data": {"timestep": "6h", "frequency": "6h", "forcing": [*constant, *COMPUTED], "diagnostic": []}},
        "data_indices": {
            "data": {"input": {"full": list(range(total)), "forcing": forcing, "diagnostic": []},
                     "output": {"full": given}},
            "model": {"input": {"full": list(range(total)), "forcing": forcing, "prognostic": given},
                      "output": {"full": given, "prognostic": given}}},
        "dataset": {
            "variables": variables, "shape": [1, total, 1, lat.size],
            "variables_metadata": {name: _of(name, constant) for name in variables},
            "data_request": {"grid": "regular"}},
    }, supporting_arrays={"latitudes": lat, "longitudes": lon})


def _of(name: str, constant: list[str]) -> dict:
    if name in COMPUTED:
        return {"computed_forcing": True, "constant_in_time": name == "cos_latitude"}
    letter, _, level = name.partition("_")
    kind = {"levtype": "pl", "levelist": int(level)} if level else {"levtype": "sfc"}
    return {"constant_in_time": name in constant, "mars": {"param": letter, **kind}}
