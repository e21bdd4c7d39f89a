"""`downscale`: spread and members of the backgrounds of an experiment on a finer grid."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from contracts import config, program, progress
from contracts.errors import UserError
from networks.downscale.config import Settings

if TYPE_CHECKING:
    from networks.downscale.reading import Trained

log = logging.getLogger("networks.downscale")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m networks downscale",
        "Bring the backgrounds of an experiment to a finer grid by the weights of [downscale]: their spread, or their\n"
        "members where the weights are of those. Writes TIME/downscaled/ beside them, with what interpolation makes\n"
        "of the same, for every time of the experiment that has a background. An experiment that is on the fine grid\n"
        "already is first seen by coarse cells, so that verify can draw what comes of them beside the truth.",
        "python -m networks downscale run/experiments/generative/downscale.toml",
    )
    program.add_experiment(parser)
    path = parser.parse_args(arguments).experiment
    settings = config.load(path, Settings)
    try:
        from networks.downscale import reading, writing
    except ModuleNotFoundError as error:
        raise UserError(f"the network needs the package {error.name}: pip install 'letkf-mpi[torch]'") from None
    trained = reading.read(settings.weights, settings.space, settings.experiment)
    refuse_other_grid(settings, trained)
    wanted = times_of(settings)
    write = writing.spread if trained.card.network.of == "spread" else writing.members
    for time in progress.reported(wanted, "times", log):
        write(settings, trained, time)
    log.info("%s: downscaled/ of %d times", settings.experiment.folder.folder, len(wanted))


def times_of(settings: Settings) -> list[datetime]:
    """Times of the experiment that have a background; raises UserError where none has."""
    folder = settings.experiment.folder
    found = [time for time in settings.experiment.times() if folder.at(time).background.spread.exists()]
    if not found:
        raise UserError(f"{folder.folder}: no time has a background with its spread; run: run/cycle.sh EXPERIMENT.toml")
    return found


def refuse_other_grid(settings: Settings, trained: "Trained") -> None:
    """Raises UserError where the experiment is on neither of the grids that the weights know."""
    own = settings.space.grid
    if not any(own.is_same(known) for known in (trained.coarse.grid, trained.space.grid)):
        raise UserError(f"{settings.weights}: leads from the {trained.coarse.grid} to the {trained.space.grid}, and "
                        f"[grid] names the {own}; name weights for it")
