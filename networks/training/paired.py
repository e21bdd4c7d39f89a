"""Networks against a control on the same forecasts of its test period, start by start.

    e_i = sqrt(mean over the sphere of (forecast - truth)²)      of the forecast from start i
    d_i = 100 (e_i / e_i(control) - 1)                           paired: the same start, the same weather

Shown are means over starts ± half of the 95 per cent interval of the mean, t(0.975, n - 1) s / sqrt(n) (Student 1908,
Biometrika 6, 1).  Starts some days apart are nearly independent; nearer ones are not, and the interval is too short.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np
from scipy.stats import t

from contracts import times
from contracts.errors import UserError
from networks import passes
from networks.emulator import Steps
from networks.training import loop, validation
from networks.training.config import Settings
from networks.training.curves import SHOWN, write_table
from networks.training.validation import Validation

PERSISTENCE = "persistence"


def report(control: Settings, others: Sequence[Settings]) -> str:
    """Write paired.csv into the folder of the control's training; returns what it says, in Markdown.

    Raises UserError where the weights of one do not fit the control's states, or one name is there twice.
    """
    names = [settings.experiment.name for settings in (control, *others)]
    if len({*names, PERSISTENCE}) <= len(names):
        raise UserError(f"networks are told apart by the names of their experiments, got {', '.join(names)}; give each "
                        "its own")
    emulators = [passes.emulator_of(settings.weights, control.space) for settings in (control, *others)]
    steps: dict[str, Steps] = dict(zip(names, map(passes.steps_of, emulators), strict=True))
    data = loop.data_of(control)
    assert control.test is not None
    test = validation.of(data.series, control, data.statistics, control.test)
    steps[PERSISTENCE] = lambda fields, seconds: fields
    errors = {name: test.errors(step) for name, step in steps.items()}
    write_table(control.folder / "paired.csv", ["start", "lead_hours", "channel", *errors], _rows(test, errors))
    seen = [times.name(times.from_seconds(test.series.seconds[number])) for number in test.windows[[0, -1], 0]]
    title = f"{len(test.windows)} forecasts from {seen[0]} to {seen[1]}; % against {names[0]}"
    return "\n".join([title, "", *table(test, errors)])


def table(test: Validation, errors: Mapping[str, np.ndarray]) -> list[str]:
    """Markdown of `errors` (lead, start, channel) by network: the control's RMSE in SI units, the others' change."""
    control, *others = errors
    lines = [f"| channel | lead h | {control} | {' | '.join(f'{name}, %' for name in others)} |",
             "|---|---|---|" + "---|" * len(others)]
    names = [channel.name for channel in test.series.space.channels]
    for name in [name for name in SHOWN if name in names]:
        for row, lead in enumerate(test.leads_hours):
            own = {each: found[row, :, names.index(name)] for each, found in errors.items()}
            changes = [change(own[other], own[control]) for other in others]
            shown = " | ".join(f"{mean:+.1f} ± {half:.1f}" for mean, half in changes)
            lines.append(f"| {name} | {lead} | {sqrt(np.mean(own[control] ** 2)):.4g} | {shown} |")
    return lines


def change(errors: np.ndarray, control: np.ndarray) -> tuple[float, float]:
    """Mean of 100 (e / e(control) - 1) over starts, and half of its 95 per cent interval."""
    each = 100 * (errors / control - 1)
    return float(each.mean()), float(t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / sqrt(len(each)))


def _rows(test: Validation, errors: Mapping[str, np.ndarray]) -> list[tuple]:
    starts = [times.name(times.from_seconds(second)) for second in test.series.seconds[test.windows[:, 0]]]
    return [(start, lead, channel.name, *(float(found[row, i, j]) for found in errors.values()))
            for i, start in enumerate(starts) for row, lead in enumerate(test.leads_hours)
            for j, channel in enumerate(test.series.space.channels)]
