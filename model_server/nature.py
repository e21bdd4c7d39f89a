"""A nature run (`contracts.nature`): one long run of a model.

The run begins `spin_up_days` before the first state kept.  It resumes at its last restart, with the same bits as
a run that nobody interrupted; with a later `end` it goes on.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from contracts import base, parameters, paths, program, progress, state, static, texts, times
from contracts.ensemble import refuse_insane
from contracts.errors import ContractError, UserError
from contracts.nature import Nature, NatureFolder
from contracts.state import State
from model_server import config, models, restart
from model_server.again import again
from model_server.models.base import Batch, NatureModel, advance, begun
from model_server.parameters import of_one
from model_server.restart import Kept

log = logging.getLogger("model_server.nature")
MEMBERS = (0,)  # the number of a nature run, which is no member: those count from 1
SPIN_UP_SAVED = timedelta(days=10)  # a killed spin-up loses no more than this


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server nature",
        "Make or go on with the nature run of the section [nature]: spin-up, then a state every six hours.\n"
        "With [nature] packed no model runs: the states come from that file; with [nature] of, from another run.",
        "python -m model_server nature run/experiments/twin_speedy.toml",
    )
    program.add_experiment(parser)
    path = parser.parse_args(arguments).experiment
    settings = config.load(path)
    if not is_asked_for(settings, path):
        log.info("no [nature] is asked for: members begin as states of %s",
                 ", ".join(settings.initial.states) or settings.initial_folder)
        return
    nature(settings)


def is_asked_for(settings: config.Settings, path: Path) -> bool:
    """Whether members begin as states of [nature], or it is there for another end: where they begin as states of the
    real atmosphere, for the truth of the experiment file at `path` alone, since a base may have it for its members."""
    if settings.initial.source == "nature":
        return not settings.initial.folder or settings.nature != Nature()
    document, truths = texts.table(base.complete(path), str(path)), []
    if document.get("observations", {}).get("source") == "synthetic":
        truths.append(document.get("synthetic", {}).get("truth", ""))
    truths.append(document.get("verify", {}).get("truth", ""))
    return any(settings.nature_folder in settings.experiment.in_work(truth).parents for truth in truths if truth)


def nature(settings: config.Settings) -> None:
    """Write the states of the nature run that are not there yet."""
    if settings.nature.packed:
        from model_server import pack  # here, because what is packed is read with this module's folder

        pack.unpack(settings)
        return
    folder, start, end = NatureFolder(settings.nature_folder), settings.nature_start, settings.nature_end
    if end < start:
        raise UserError(f"[nature] end {times.name(end)} lies before start {times.name(start)}")
    if settings.nature.of:
        _refuse_other_run(folder, settings, to_read=False)
        again(settings)
        return
    own = of_one(settings.nature.model, settings.nature.parameters, "nature")
    complete = folder.static.exists() and folder.state(end).exists() and folder.restart(end).exists()
    _refuse_other_run(folder, settings, to_read=complete)
    if complete:
        log.info("%s: complete from %s to %s already", folder.folder, times.name(start), times.name(end))
        return
    model = models.create_nature(settings.nature.model, settings.nature.options, settings.space, "nature")
    static.write(folder.static, model.static)
    seed, cold = settings.nature.seed, start - timedelta(days=settings.nature.spin_up_days)
    batch = last(folder, model, end, seed) or begun(model, model.cold_start(cold), MEMBERS, seed)
    if own is not None:
        parameters.write(folder.parameters, own, start)
        batch = replace(batch, parameters=own.values)
    keep(folder, batch, model, start)
    log.info("%s: from %s to %s, kept from %s on", folder.folder, *map(times.name, (batch.time, end, start)))
    steps = list(times.every(batch.time + model.time_step, end, model.time_step))
    for _ in progress.reported(steps, "nature run, steps", log):
        batch = advance(model, batch)
        keep(folder, batch, model, start)
    log.info("%s: %d steps done, ends at %s", folder.folder, len(steps), times.name(batch.time))


def last(folder: NatureFolder, model: NatureModel, end: datetime, seed: int) -> Batch | None:
    """The run at its last restart that can be read."""
    for time in reversed([time for time in folder.restarts() if time <= end]):
        try:
            kept = restart.read(folder.restart(time), model.name, time)
            batch = begun(model, model.adopt([kept.own], time), MEMBERS, seed)
            return batch if kept.before is None else replace(batch, before=kept.before[None])
        except ContractError as error:
            log.warning("%s; going back to the restart before it", error)
    return None


def keep(folder: NatureFolder, batch: Batch, model: NatureModel, start: datetime) -> None:
    """State, then restart: a restart says that the run is complete up to its time. Of the spin-up only restarts."""
    time = batch.time
    refuse_insane(batch.data[0], model.space, f"the nature run at {times.name(time)}")
    if time >= start:
        state.write(folder.state(time), State(model.space, batch.data[0], time), experiment=folder.folder.name)
    elif (start - time) % SPIN_UP_SAVED:
        return
    before = None if batch.before is None else batch.before[0]
    restart.write(folder.restart(time), Kept(batch.restart[0] or {}, before), model.name, time)


def _refuse_other_run(folder: NatureFolder, settings: config.Settings, to_read: bool) -> None:
    """A folder holds one run: raises UserError where its settings differ from those asked for.

    A run that is only to be read may hold more channels than the experiment has; who reads them checks them.
    """
    asked = {
        "model": settings.nature.model,
        "options": settings.nature.options,
        "start": times.name(settings.nature_start),
        "spin_up_days": settings.nature.spin_up_days,
        "seed": settings.nature.seed,
        "parameters": settings.nature.parameters,
        "of": settings.nature.of,
        "space": str(settings.space),
    }
    if not folder.settings.exists():
        with paths.atomic(folder.settings) as partial:
            partial.write_text(json.dumps(asked, indent=1, sort_keys=True) + "\n")
        return
    older = {"seed": Nature().seed, "parameters": {}, "of": ""}  # which they do not name
    found = older | texts.record(folder.settings)
    for name, value in asked.items():
        if found.get(name) != value and not (to_read and name == "space"):
            raise UserError(
                f"{folder.folder}: holds a nature run with {name} = {found.get(name)!r}, asked for {value!r}; "
                "choose another [nature] folder or remove this one"
            )
