"""What is trained or fitted must not have seen what it is tried on."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from contracts import times
from contracts.config import Experiment
from contracts.errors import UserError

log = logging.getLogger("networks.unseen")


def refuse_overlap(path: Path | str, first: datetime, last: datetime, experiment: Experiment | None,
                   section: str = "") -> None:
    """Raises UserError where the experiment has times within `first` … `last`, from which `path` was made; where there
    is none, none is refused.  A `section` such as [model] may say that they were times of another world (`seen`).

    One in which settings are chosen ([experiment] tuning) is told so in the log and goes on.
    """
    if experiment is None:
        return
    start, end = (time.astimezone(UTC) for time in (experiment.start, experiment.end))
    if last < start or end < first:
        return
    sentence = (f"{path}: was made from states of {times.name(first)} to {times.name(last)}, and this experiment runs "
                f"from {times.name(start)} to {times.name(end)}: scores in times that it has seen mean nothing")
    if not experiment.tuning:
        other = (f", or set {section} seen = 'another_world' where the weather of its training was not this one"
                 if section else "")
        raise UserError(f"{sentence}; name one of other years, or run other times{other}; settings may be chosen "
                        "there with [experiment] tuning = true")
    log.warning("%s but to choose settings by", sentence)


def refuse_times_of(experiment: Experiment | None, path: Path | str, seen: Sequence[Sequence[datetime]],
                    section: str = "") -> None:
    """Raises UserError where the experiment has times that the weights at `path` have `seen`, first and last ones."""
    for first, last in seen:
        refuse_overlap(path, times.parse(times.name(first)), times.parse(times.name(last)), experiment, section)


def refuse_seen(path: Path | str, seen: Sequence[tuple[datetime, datetime]], first: datetime, last: datetime) -> None:
    """Raises UserError where the weights at `path` have `seen` times within `first` … `last`, whose errors are asked
    for."""
    for began, ended in seen:
        if began <= last and first <= ended:
            raise UserError(
                f"{path}: has seen states of {times.name(began)} to {times.name(ended)}, and errors of its forecasts "
                f"from {times.name(first)} to {times.name(last)} are asked for: in times that it has seen they are too "
                "small; name other years"
            )
