"""What stations see of a state, for the training of observation-to-latent networks (`networks.o2l.footprints`).

    python -m neural_da.footprints EXPERIMENT.toml 1989010112 --latent latent/eof.safetensors --to footprints/1989.nc

Of the observations of a time that may be assimilated (`observations.nc`, by `python -m obsproc`) the rows of R^-1/2 H',
H made linear at the mean state of a latent.  Rows at one place are one station.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch

from contracts import config, observations, program, static, times
from contracts.config import Section
from contracts.errors import UserError
from contracts.observations import Observations
from contracts.state import StateSpace
from contracts.static import Static
from contracts.variables import Flag
from networks.latent import card
from networks.o2l import footprints
from networks.o2l.footprints import Footprints
from neural_da.problem import Term
from obsoperator import Forward, tensors

PROGRAM = "neural_da.footprints"
log = logging.getLogger(PROGRAM)


class Settings(Section, frozen=True):
    """What the command reads of an experiment file."""

    experiment: config.Experiment
    grid: config.GridSettings = config.GridSettings()
    state: config.StateSettings = config.StateSettings()


@dataclass(frozen=True)
class Departing:
    """The rows of a table that may be assimilated, what they see of a state and how far they depart from it, in units
    of their errors, `departure` (n,)."""

    table: Observations
    seen: Footprints
    departure: np.ndarray


def of(table: Observations, space: StateSpace, fields: Static, x: np.ndarray,
       max_height_difference_m: float) -> Footprints:
    """Of the rows of `table` that may be assimilated, H made linear at `x` (channel, column)."""
    return departing(table, space, fields, x, max_height_difference_m).seen


def departing(table: Observations, space: StateSpace, fields: Static, x: np.ndarray,
              max_height_difference_m: float) -> Departing:
    """The same with the departures (y - H(x)) / sigma."""
    forward = Forward.of(table, space, fields, max_height_difference_m)
    rows = np.flatnonzero((table.flag == Flag.passed) & (forward.flag == Flag.passed))
    chosen = table.select(rows)
    term = Term(timedelta(), chosen, rows, tensors.on(forward.select(rows)), torch.tensor(chosen.value),
                torch.tensor(chosen.error.astype(np.float64) ** 2))
    _, station = np.unique(np.stack([chosen.lat, chosen.lon]), axis=1, return_inverse=True)
    at = torch.tensor(x, dtype=torch.float64)
    seen = Footprints(term.tangent(at, torch.float64).matrix(), station)
    return Departing(chosen, seen, ((term.value - term.forward.apply(at)) / term.variance.sqrt()).numpy())


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        PROGRAM, "Write what the stations of a time see of a state, without what they observed: with such files\n"
        "python -m networks train makes observations of any state.",
        "python -m neural_da.footprints run/experiments/neural/three_d_var.toml 1992010100 "
        "--latent latent/eof_t31.safetensors --to footprints/stations.nc")
    program.add_experiment(parser)
    parser.add_argument("time", metavar="TIME", help="YYYYMMDDHH in UTC, whose observations.nc is there")
    parser.add_argument("--latent", required=True, help="in the work folder; H is made linear at its mean state")
    parser.add_argument("--to", required=True, metavar="FILE", help="in the work folder; what is written")
    parser.add_argument("--max-height-difference-m", type=float, default=300.0,
                        help="station against model orography (default 300)")
    chosen = parser.parse_args(arguments)
    settings = config.load(chosen.experiment, Settings)
    time, experiment = times.parse(chosen.time), settings.experiment
    space = settings.state.space(settings.grid.grid())
    latent = card.read(experiment.in_work(chosen.latent), space)
    table, _ = observations.read(experiment.folder.at(time).observations)
    found = of(table, space, static.read(experiment.folder.static, space.grid),
               latent.mean.reshape(len(space.channels), -1), chosen.max_height_difference_m)
    if not len(found):
        raise UserError(f"{experiment.folder.at(time).observations}: has no observation that may be assimilated; name "
                        "another time")
    footprints.write(experiment.in_work(chosen.to), found, space, f"{experiment.name} {times.name(time)}")
    log.info("%s: %d observations at %d places", chosen.to, len(found), found.station.max() + 1)


if __name__ == "__main__":
    program.run(main, PROGRAM)
