"""The small inputs in `cases` of the sample data, each of which stands for a kind; its README says what is right."""

from datetime import UTC, datetime
from pathlib import Path

from contracts import config
from contracts.observations import Observations
from obsproc import pipeline
from obsproc.config import Settings
from tests import builders

MODERN = datetime(2020, 11, 1, 12, tzinfo=UTC)  # of cases made by hand
VINTAGE = datetime(1989, 1, 1, 12, tzinfo=UTC)  # of re-wrapped messages


def settings(path: Path, cycle: datetime = MODERN, **chosen: str) -> Settings:
    """An experiment of one time that reads one file; further settings of [observations] as TOML."""
    lines = "\n".join(f"{name} = {value}" for name, value in chosen.items())
    return config.decode(f"""{builders.experiment("case", cycle)}
        [observations]
        files = ["{path}"]
        {lines}""", Settings, "case")


def observed(path: Path, cycle: datetime = MODERN, **chosen: str) -> Observations:
    """The rows of a file with their flags."""
    return pipeline.observe(settings(path, cycle, **chosen), cycle)[0]
