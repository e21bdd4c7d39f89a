"""A nature run that is there, seen again: on another grid, or with other channels. No model runs.

    [nature]
    folder = "nature_t31_native"
    of = "nature_t31_1987"               # the run, in the work folder
    options = { truncation = 31 }        # of its model, which gives out fields of the states that it kept

The fields are those that the run would have written there, to the last bit, because what a model gives out changes
nothing in it.  Restarts stay with the run: members that keep a state of the model begin there.
"""

import logging

from contracts import progress, state, static, times
from contracts.errors import UserError
from contracts.nature import NatureFolder
from contracts.state import State
from model_server import config, models, restart

log = logging.getLogger("model_server.nature")


def again(settings: config.Settings) -> None:
    """Write the states that are not there yet; raises UserError where the run lacks one of the times."""
    folder, run = NatureFolder(settings.nature_folder), NatureFolder(settings.experiment.in_work(settings.nature.of))
    model = models.create_nature(settings.nature.model, settings.nature.options, settings.space, "nature")
    wanted = list(times.every(settings.nature_start, settings.nature_end, model.time_step))
    missing = [run.restart(time) for time in wanted if not run.restart(time).exists()]
    if missing:
        raise UserError(f"[nature] of = {settings.nature.of!r}: lacks {len(missing)} of {len(wanted)} restarts, such "
                        f"as {missing[0]}; name times that the run has, or make it")
    static.write(folder.static, model.static)
    todo = [time for time in wanted if not folder.state(time).exists()]
    for time in progress.reported(todo, "states seen again", log):
        kept = restart.read(run.restart(time), model.name, time)
        fields = model.adopt([kept.own], time).data[0]
        state.write(folder.state(time), State(model.space, fields, time), experiment=folder.folder.name)
    log.info("%s: %d states of %s, %d new", folder.folder, len(wanted), run.folder, len(todo))
