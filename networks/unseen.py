"""What is trained or fitted must not have seen what it is tried on."""

from datetime import UTC, datetime
from pathlib import Path

from contracts import times
from contracts.config import Experiment
from contracts.errors import UserError


def refuse_overlap(path: Path, first: datetime, last: datetime, experiment: Experiment) -> None:
    """Raises UserError where the experiment has times within `first` … `last`, from which `path` was made."""
    start, end = (time.astimezone(UTC) for time in (experiment.start, experiment.end))
    if first <= end and start <= last:
        raise UserError(
            f"{path}: was made from states of {times.name(first)} to {times.name(last)}, and this experiment runs from "
            f"{times.name(start)} to {times.name(end)}: scores in times that it has seen mean nothing; name one of "
            "other years, or run other times"
        )
