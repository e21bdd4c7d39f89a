"""An experiment in which everything is there that status and report look at."""

from pathlib import Path

import numpy as np

from contracts import field, observations, state
from contracts.field import Field
from contracts.observations import Delivery, Source
from contracts.state import State
from letkf_mpi.summary import clipping
from tests import builders
from tests.verify import case
from tests.verify.case import MEMBERS, TIMES, departures
from verify.config import Settings


def finished(folder: Path, monkeypatch, with_truth: bool = True, more: str = "") -> tuple[Path, Settings]:
    """The experiment file and its settings: two cycles, scored, with spreads, ranks and the analysis's fields."""
    path = case.experiment(folder, monkeypatch, with_truth, more=more)
    settings = case.run(path)
    experiment, space = settings.experiment, settings.state.space(settings.grid.grid())
    for n, time in enumerate([*TIMES, TIMES[-1] + experiment.step]):
        here = experiment.folder.at(time)
        for ensemble in (here.background, here.analysis) if time in TIMES else (here.background,):
            for member in ensemble.members(MEMBERS):
                if not member.exists():
                    state.write(member, builders.random_state(space, n, time))
            for statistic in (ensemble.mean, ensemble.spread):
                if not statistic.exists():
                    amounts = np.abs(builders.random_state(space, 50 + n, time).data)
                    state.write(statistic, State(space, amounts, time))
    for n, time in enumerate(TIMES):
        here, window = experiment.folder.at(time), (time - experiment.step / 2, time + experiment.step / 2)
        table = departures(n)
        ranks = np.random.default_rng(n).integers(0, MEMBERS + 1, len(table))
        observations.write(here.departures, table.with_columns(background_rank=ranks), Source(time, window))
        observations.write(here.observations, builders.observations(np.zeros(3)), Source(time, window))
        levels = np.unique(space.pressure)
        for name in ("inflation", "local_observation_count"):
            data = np.random.default_rng(n).uniform(1, 2, (levels.size, *space.grid.shape))
            field.write(here.field(name), Field(name, "1", space.grid, levels, data, time))
    return path, settings


def trouble(settings: Settings) -> list[str]:
    """Let the first cycle have refused one file and half of another, and have clipped humidities; what must be told."""
    here, time = settings.experiment.folder.at(TIMES[0]), TIMES[0]
    window = (time - settings.experiment.step / 2, time + settings.experiment.step / 2)
    deliveries = (Delivery("sound.bufr", "read"), Delivery("half.bufr", "damaged"), Delivery("hostile.bufr", "refused"))
    source = Source(time, window, deliveries=deliveries)
    observations.write(here.observations, builders.observations(np.zeros(3)), source)
    said = {"obsproc.pipeline": "hostile.bufr: cannot be read, its library ended with SIGSEGV on it; it is damaged, or "
                                "not what it should be; going on without it",
            "letkf_mpi.analysis": clipping(3, of=20)}
    for name, sentence in said.items():
        here.log(name.partition(".")[0]).write_text(f"2026-01-01T00:00:00Z {name} WARNING {sentence}\n")
    return [*(f"{name}: {sentence}" for name, sentence in said.items()), "refused", "hostile.bufr", "half.bufr"]
