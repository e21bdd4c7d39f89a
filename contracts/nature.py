"""A nature run: one long run of a model, the truth of twin experiments and the climate of initial ensembles.

    <nature folder>/1989010100.nc …          one state/1 file every six hours
                    .restart/1989010100.npz  the model's own state at the same time, from which members are made
                    static.nc                the model's orography and mask
                    parameters.nc            of the model, where they are not the usual ones (one member)
                    settings.json            what the run was made with

`model_server nature` makes it; who trains on it or fits a climate to it reads its states.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts import times
from contracts.config import NotNegative, Section

FOLDER = ".restart"  # hidden, beside the states: what is kept for the model alone


class Nature(Section, frozen=True):
    """[nature] The run that is the truth of a twin experiment and the climate of an initial ensemble."""

    folder: str = "nature"  # beside the experiments in the work folder, or an absolute path
    model: str = "speedy"
    options: dict[str, Any] = {}
    start: datetime | None = None  # of the states kept; default: the start of the experiment
    end: datetime | None = None  # default: the end of the experiment
    spin_up_days: NotNegative = 90  # run before `start` and thrown away
    seed: NotNegative = 1  # of a model with noise
    parameters: dict[str, float] = {}  # of the model, where they are not the usual ones
    packed: str = ""  # instead of a run: states packed in a file (`pack`), or the name of one that comes with the code
    of: str = ""  # instead of a run: another one's folder, of which this is what it looks like on this grid

    def __post_init__(self):
        refuse_part_of_an_hour("start", self.start)
        refuse_part_of_an_hour("end", self.end)
        if self.of and (self.packed or self.parameters):
            raise ValueError("of: a run that is there is seen again as it is; leave packed and parameters out")


@dataclass(frozen=True)
class NatureFolder:
    """Where the files of a nature run live."""

    folder: Path

    def state(self, time: datetime) -> Path:
        return self.folder / f"{times.name(time)}.nc"

    def restart(self, time: datetime) -> Path:
        return beside(self.state(time))

    @property
    def static(self) -> Path:
        return self.folder / "static.nc"

    @property
    def parameters(self) -> Path:
        return self.folder / "parameters.nc"

    @property
    def settings(self) -> Path:
        return self.folder / "settings.json"

    def restarts(self) -> list[datetime]:
        """Times of all restarts, ascending."""
        return sorted(times.parse(path.stem) for path in (self.folder / FOLDER).glob("[0-9]*.npz"))


def beside(state: Path) -> Path:
    """The restart file that belongs to a state file."""
    return state.parent / FOLDER / f"{state.stem}.npz"


def refuse_part_of_an_hour(name: str, time: datetime | None) -> None:
    """Raises ValueError where the setting `name` is a time other than a full hour in UTC."""
    if time is not None and (time.tzinfo is None or (time.minute, time.second, time.microsecond) != (0, 0, 0)):
        raise ValueError(f"{name} must be a full hour in UTC such as 1989-01-01T00:00:00Z, got {time}")
