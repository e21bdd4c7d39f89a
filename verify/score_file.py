"""The scores of one time and their file (`scores/1`).

Against a truth: `<ensemble>_<score>` (region, channel) for background, analysis and, where it was run, free.
Against observations: one row per group of `verify.fit`, and the number of observations of each fate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contracts import netcdf, times
from contracts.errors import ContractError, UserError
from contracts.variables import VARIABLES, Flag, Quantity
from verify.fit import Fit

if TYPE_CHECKING:
    from contracts.created import NewDataset
    from contracts.opened import Dataset

CONTRACT = "scores/1"


@dataclass(frozen=True)
class Scores:
    """`against_truth` maps e.g. "background_rmse" to (region, channel), empty without a truth (`reference` "")."""

    time: datetime
    members: int
    reference: str
    regions: tuple[str, ...]
    channels: tuple[str, ...]
    fit: Fit
    counts: dict[Flag, int]
    against_truth: dict[str, np.ndarray] = field(default_factory=dict)

    def score(self, name: str, channel: str, region: int = 0) -> float:
        """One number such as `background_rmse` of `temperature_500`; NaN where it was not computed."""
        if name not in self.against_truth or channel not in self.channels:
            return float("nan")
        return float(self.against_truth[name][region, self.channels.index(channel)])

    def of_region(self, name: str) -> "Scores":
        """Against the truth that region alone; raises UserError where there is none of this name."""
        if name not in self.regions:
            raise UserError(f"the scores of {times.name(self.time)} have no region {name!r}: choose one of "
                            f"{', '.join(self.regions)}, or name it in [verify.regions] and make them again")
        row = self.regions.index(name)
        return replace(self, regions=(name,), against_truth={score: values[row : row + 1]
                                                             for score, values in self.against_truth.items()})


def write(path: Path, scores: Scores, experiment: str = "") -> None:
    """Write the scores of one time atomically."""
    attributes = {"experiment": experiment, "reference": scores.reference or "observations only",
                  "members": np.int32(scores.members), "crps_form": "fair (Ferro 2014)"}
    with netcdf.create(path, CONTRACT, attributes) as dataset:
        netcdf.add_time(dataset, scores.time)
        add_names(dataset, "region", scores.regions)
        add_names(dataset, "channel", scores.channels)
        add_names(dataset, "units", [units(name) for name in scores.channels], "channel")
        for name, values in scores.against_truth.items():
            netcdf.add(dataset, name, ("region", "channel"), values, long_name=name.replace("_", " "))
        _add_fit(dataset, scores.fit)
        dataset.add_dimension("fate", len(Flag))
        netcdf.add(dataset, "fate", ("fate",), np.array([flag.value for flag in Flag], np.int8),
                   flag_values=np.array([flag.value for flag in Flag], np.int8),
                   flag_meanings=" ".join(flag.name for flag in Flag), long_name="fate of an observation")
        netcdf.add(dataset, "observation_count", ("fate",),
                   np.array([scores.counts.get(flag, 0) for flag in Flag], np.int64),
                   long_name="number of observations")


def units(channel: str) -> str:
    """Units of a channel by its name, `temperature_500` or `surface_pressure`."""
    return VARIABLES[channel if channel in VARIABLES else channel.rpartition("_")[0]].units


def add_names(dataset: "NewDataset", name: str, texts: Sequence[str], dimension: str = "") -> None:
    """A character variable (dimension, its text length)."""
    encoded = np.array([text.encode("ascii") for text in texts] or [b" "], dtype="S")
    length = encoded.dtype.itemsize
    dataset.add_dimension(f"{name}_text", length)
    if not dimension:
        dataset.add_dimension(name, len(texts))
    characters = encoded.view("S1").reshape(-1, length)[: len(texts)]
    netcdf.add(dataset, name, (dimension or name, f"{name}_text"), characters, long_name=name, _Encoding="ascii")


def _add_fit(dataset: "NewDataset", fit: Fit) -> None:
    dataset.add_dimension("group", len(fit))
    units = {"layer_lower": "Pa", "layer_upper": "Pa"}
    codes = {"flag": Flag, "quantity": Quantity}
    for column in fields(fit):
        values = np.asarray(getattr(fit, column.name))
        attributes: dict[str, object] = {"units": units[column.name]} if column.name in units else {}
        if column.name in codes:
            attributes = {"flag_values": np.array([e.value for e in codes[column.name]], values.dtype),
                          "flag_meanings": " ".join(e.name for e in codes[column.name])}
        netcdf.add(dataset, f"group_{column.name}", ("group",), values,
                   long_name=f"{column.name.replace('_', ' ')} of the group", **attributes)


def read(path: Path) -> Scores:
    """Read the scores of one time; raises ContractError where the file does not fit."""
    with netcdf.open_to_read(path, CONTRACT) as dataset:
        regions, channels = names(dataset, "region"), names(dataset, "channel")
        against_truth = {name: np.asarray(variable[:]) for name, variable in dataset.variables.items()
                         if variable.dimensions == ("region", "channel")}
        fit = Fit(**{column.name: np.asarray(dataset[f"group_{column.name}"][:]) for column in fields(Fit)})
        counts = {Flag(int(code)): int(number) for code, number
                  in zip(dataset["fate"][:], dataset["observation_count"][:], strict=True) if number}
        reference = dataset.reference if against_truth else ""
        time, members = times.from_seconds(dataset["time"][0]), int(dataset.members)
    if not all(values.shape == (len(regions), len(channels)) for values in against_truth.values()):
        raise ContractError(f"{path}: scores do not have the shape (region, channel)")
    return Scores(time, members, reference, regions, channels, fit, counts, against_truth)


def names(dataset: "Dataset", name: str) -> tuple[str, ...]:
    characters = np.ascontiguousarray(dataset[name][:])
    return tuple(text.decode("ascii") for text in characters.view(f"S{characters.shape[1]}").reshape(-1))
