"""The record of a training: curves.csv, scores.csv and curves.png, written anew from the whole record each time."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import cycle
from pathlib import Path
from typing import Any

from contracts import paths
from networks.training.task import Score

DRAWN = {"--": "- -", ":": "···", "-.": "- ·"}  # lines of references, as the legend shows them
SHOWN = ("temperature_850", "temperature_500", "geopotential_500", "u_component_of_wind_500", "specific_humidity_700",
         "2m_temperature")


@dataclass(frozen=True)
class Epoch:
    """One line of curves.csv: an epoch and what it came to."""

    phase: int
    epoch: int
    step: int  # of the whole training
    rollout: int
    learning_rate: float
    training_loss: float
    validation_loss: float


@dataclass(frozen=True)
class Record:
    """Everything that was measured so far; `scores` has one list per epoch."""

    epochs: tuple[Epoch, ...] = ()
    scores: tuple[tuple[Score, ...], ...] = ()
    references: tuple[Score, ...] = ()

    def plus(self, epoch: Epoch, scores: Sequence[Score]) -> "Record":
        return Record((*self.epochs, epoch), (*self.scores, tuple(scores)), self.references)


def write(folder: Path, record: Record) -> None:
    """The three files, each by rename."""
    write_table(folder / "curves.csv", [field.name for field in fields(Epoch)], map(astuple, record.epochs))
    rows = [
        (epoch.phase, epoch.epoch, *astuple(score))
        for epoch, scores in zip(record.epochs, record.scores, strict=True)
        for score in scores
    ] + [("", "", *astuple(score)) for score in record.references]
    write_table(folder / "scores.csv", ["phase", "epoch", *(field.name for field in fields(Score))], rows)
    _picture(folder / "curves.png", record)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    """A CSV file with a line of names, by rename."""
    with paths.atomic(path) as partial, open(partial, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)


def _picture(path: Path, record: Record) -> None:
    """Losses, and RMSE (SI units) of some channels at each lead, and of the references."""
    from matplotlib.figure import Figure

    known = {score.channel for scores in record.scores for score in scores}
    channels = [name for name in SHOWN if name in known] or sorted(known)[: len(SHOWN)]
    columns = (len(channels) + 2) // 2  # the loss and the channels in two rows
    figure = Figure(figsize=(4 * columns, 6))
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.08, top=0.94, wspace=0.25, hspace=0.35)
    loss, *panels = [figure.add_subplot(2, columns, 1 + number) for number in range(1 + len(channels))]
    steps = [epoch.step for epoch in record.epochs]
    loss.plot(steps, [epoch.training_loss for epoch in record.epochs], label="training")
    loss.plot(steps, [epoch.validation_loss for epoch in record.epochs], label="validation")
    loss.set(title="loss", xlabel="training step", ylim=(0, None))
    loss.legend()
    for panel, channel in zip(panels, channels, strict=True):
        _panel(panel, steps, record, channel)
    with paths.atomic(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


def _panel(panel: Any, steps: list[int], record: Record, channel: str) -> None:
    leads = sorted({score.lead_hours for scores in record.scores for score in scores})
    kinds = dict.fromkeys(score.kind for score in record.references)
    styles = dict(zip(kinds, cycle(("--", ":", "-.")), strict=False))
    for number, lead in enumerate(leads):
        colour = f"C{number}"
        here = [
            score.rmse for scores in record.scores for score in scores
            if (score.lead_hours, score.channel, score.kind) == (lead, channel, scores[0].kind)
        ]
        panel.plot(steps, here, color=colour, label=f"{lead} h")
        for score in record.references:
            if (score.lead_hours, score.channel) == (lead, channel):
                panel.axhline(score.rmse, color=colour, linestyle=styles[score.kind], linewidth=0.8)
    panel.set(title=f"{channel} RMSE", xlabel="training step", ylim=(0, None))
    title = ", ".join(f"{DRAWN[styles[kind]]} {kind}" for kind in kinds)
    panel.legend(title=title, fontsize="small", title_fontsize="small")
