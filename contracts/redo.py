"""One step again, and all that depends on it: which files go, and in which order.

Who redoes a stage of a time removes its files there and those of every stage that depends on it (`stages`), up to the
end of the experiment; `run/cycle.sh` then makes what is missing, as after a kill.  Observations of later times depend
on nothing and stay.  Extended forecasts go with the analysis that they started from; they are made again by hand.

What was made last is removed first, of each product the file that says it is complete, so that a removal that was
killed leaves an experiment that was interrupted earlier.  What it was about stands in the file `.redo` meanwhile, and
the next run finishes it.
"""

import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from contracts import paths, stages, texts, times
from contracts.config import Experiment
from contracts.errors import UserError, shown, unknown
from contracts.paths import EnsembleFolder
from contracts.stages import STAGES


def redo(experiment: Experiment, stage: str, time: datetime) -> str:
    """Remove what `stage` made at `time` and all that depends on it; returns a sentence on what went.

    Raises UserError where there is no such stage or time, or where what the stage begins with is no longer kept.
    """
    finish(experiment)
    _refuse(experiment, stage, time)
    with paths.atomic(_under_way(experiment)) as partial:
        partial.write_text(f"{stage} {times.name(time)}\n")
    return finish(experiment)


def finish(experiment: Experiment) -> str:
    """Finish the removal that is under way, if there is one."""
    mark = _under_way(experiment)
    if not mark.exists():
        return ""
    stage, time = _asked(mark)
    count = sum(map(_remove, removed(experiment, stage, time)))
    mark.unlink()
    return f"redo {stage} of {times.name(time)}: {count} file(s) removed that it made or that depend on them"


def _asked(mark: Path) -> tuple[str, datetime]:
    """Stage and time of the removal that is under way; raises UserError where the file does not say them."""
    try:
        words = texts.read(mark).split()
    except OSError as error:
        raise UserError(f"{mark}: cannot be read ({error.strerror})") from None
    if len(words) != 2 or words[0] not in STAGES or not re.fullmatch(r"\d{10}", words[1]):
        raise UserError(f"{mark}: expected the stage and the time of a removal that was interrupted, got "
                        f"{shown(' '.join(words))}; give --redo STAGE TIME again once you have removed this file")
    return words[0], times.parse(words[1])


def _under_way(experiment: Experiment) -> Path:
    return experiment.folder.folder / ".redo"


def removed(experiment: Experiment, stage: str, time: datetime) -> Iterator[Path]:
    """Files and folders that go when `stage` of `time` is redone, in that order."""
    for each, name in reversed(list(stages.dependents(stage, time, experiment.times()))):
        yield from stages.products(experiment, name, each)


def _remove(path: Path) -> int:
    """Number of files removed; what is a link to another experiment goes, what it leads to stays (`run/early.sh`)."""
    if path.parent.is_symlink():
        return 0
    if path.is_symlink() or not path.is_dir():
        there = path.exists()
        path.unlink(missing_ok=True)
        return int(there)
    count = sum(each.is_file() for each in path.rglob("*"))
    shutil.rmtree(path)
    return count


def _refuse(experiment: Experiment, stage: str, time: datetime) -> None:
    every = experiment.times()
    if stage not in STAGES:
        raise UserError(unknown("stage", stage, STAGES))
    experiment.refuse_other(time)
    if not (gone := _no_longer_kept(experiment, stage, time)):
        return
    possible = [each for each in every if not _no_longer_kept(experiment, stage, each)]
    before, after = [each for each in possible if each < time], [each for each in possible if each > time]
    nearest = [*(f"{times.name(each)} before it" for each in before[-1:]),
               *(f"{times.name(each)} after it" for each in after[:1])]
    raise UserError(f"{gone[0].folder}: m0001.nc to m{experiment.members:04d}.nc are no longer kept ([retention]), so "
                    f"{stage} of {times.name(time)} cannot be redone; the nearest times where it can: "
                    f"{', '.join(nearest) or 'none'}")


def _no_longer_kept(experiment: Experiment, stage: str, time: datetime) -> list[EnsembleFolder]:
    """The ensembles that `stage` of `time` begins with, or whose scores it makes, where their members went."""
    here = experiment.folder.at(time)
    needed = [here.background] if stage in ("observations", "analysis") else [here.background, here.analysis]
    return [ensemble for ensemble in needed if ensemble.tidied.exists()]
