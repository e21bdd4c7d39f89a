"""A small network as Earth2Studio has them, with weights in a package: for tests, and an example of one's own.

It reads two states and adds to the last a little of what a convolution makes of both, in units of each field's scale.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from earth2studio.models.auto import AutoModelMixin
from earth2studio.models.batch import batch_coords, batch_func
from earth2studio.utils import handshake_coords
from torch.nn.functional import pad

FILE = "weights.pt"
HOURS = 6


class Network(torch.nn.Module, AutoModelMixin):
    """`variables` on the rows `lat`, from the north, and columns `lon`; a 3 x 3 convolution of two states."""

    def __init__(self, variables, lat, lon, scale, history: int = 2):
        super().__init__()
        self.variables, self.lat, self.lon = list(variables), np.asarray(lat), np.asarray(lon)
        self.leads = np.array([np.timedelta64(-HOURS * back, "h") for back in reversed(range(history))])
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32)[:, None, None])
        self.convolution = torch.nn.Conv2d(history * len(self.variables), len(self.variables), 3, bias=False)

    def input_coords(self):
        return OrderedDict(batch=np.empty(0), time=np.empty(0), lead_time=self.leads, variable=np.array(self.variables),
                           lat=self.lat, lon=self.lon)

    @batch_coords()
    def output_coords(self, input_coords):
        for name in ("variable", "lat", "lon"):
            handshake_coords(input_coords, self.input_coords(), name)
        return input_coords | OrderedDict(lead_time=input_coords["lead_time"][-1:] + np.timedelta64(HOURS, "h"))

    @batch_func()
    def __call__(self, x, coords):
        """(batch, time, lead, variable, lat, lon) -> the same of one lead."""
        seen = (x / self.scale).flatten(0, 1).flatten(1, 2)
        around = pad(pad(seen, (1, 1, 0, 0), mode="circular"), (0, 0, 1, 1), mode="replicate")
        change = 0.01 * self.scale * torch.tanh(self.convolution(around))
        return x[:, :, -1:] + change.reshape(x[:, :, -1:].shape), self.output_coords(coords)

    def write(self, folder: Path) -> None:
        """The package that `load_model` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"made_of": {"variables": self.variables, "lat": self.lat.tolist(), "lon": self.lon.tolist(),
                                "scale": self.scale.ravel().tolist(), "history": len(self.leads)},
                    "weights": self.state_dict()}, folder / FILE)

    @classmethod
    def load_model(cls, package):
        stored = torch.load(package.resolve(FILE), weights_only=True)
        model = cls(**stored["made_of"])
        model.load_state_dict(stored["weights"])
        return model.eval()




class Clock(Network):
    """Its fields are the hour of the day and a number that it draws."""

    @batch_func()
    def __call__(self, x, coords):
        hour = int(coords["time"][0].astype("datetime64[h]").astype(int) % 24)
        return torch.full_like(x[:, :, -1:], hour) + torch.rand(()), self.output_coords(coords)


class _Told:
    """What says of itself what it reads and gives, and no more."""

    def __init__(self, reads, gives, axes):
        self.reads, self.gives, self.axes = reads, gives, axes

    def input_coords(self):
        return self._coordinates(self.reads)

    def output_coords(self, told):
        return self._coordinates(self.gives)

    def _coordinates(self, hours):
        return OrderedDict(batch=np.empty(0), time=np.empty(0), lead_time=np.array(hours, "timedelta64[h]"),
                           variable=np.array(["t500"]), **self.axes)


AXES = {"lat": np.array([67.5, 22.5, -22.5, -67.5]), "lon": np.arange(0.0, 360.0, 45.0)}


def leaping():
    return _Told([-6, 0], [6, 12], AXES)


def skipping():
    return _Told([-12, 0], [6], AXES)


def regional():
    return _Told([0], [6], {"hrrr_y": np.arange(3), "hrrr_x": np.arange(4)})
