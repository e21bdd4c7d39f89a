"""What the log says at the end of inflation, relaxation and local observations, and how even the work was."""

from collections.abc import Sequence

import numpy as np

from letkf_mpi.local.update import Diagnostics

MOST_CLIPPED = 0.05  # of the humidities of all members


def analysis_lines(analysis: Diagnostics, levels: np.ndarray) -> list[str]:
    """Lines: inflation, relaxation and local observations of each level, and what was clipped."""
    lines = [f"level {level / 100:6g} hPa: inflation {_range(analysis.inflation[i])}, relaxation factor "
             f"{_range(analysis.relaxation[i])}, local observations {_range(analysis.count[i], '.0f')}"
             + _left_out(analysis.left_out[i]) for i, level in enumerate(levels)]
    return lines + [f"{analysis.clipped.sum()} negative humidities set to 0"]


def clipping(analysis: Diagnostics, humid: int) -> str:
    """A warning where more than MOST_CLIPPED of the humidities, `humid` in a column of all members, were negative."""
    share = float(analysis.clipped.sum()) / max(1, humid * analysis.clipped.size)
    return "" if share <= MOST_CLIPPED else (
        f"{100 * share:.1f} per cent of all humidities were negative and set to 0, which makes the mean moister; "
        "inflate less, or keep humidity aloft as it is in the background: [analysis] humidity_below_hpa")


def _left_out(number: np.ndarray) -> str:
    return f", left out for nearer ones {_range(number, '.0f')}" if number.any() else ""


def _range(values: np.ndarray, spec: str = ".3f") -> str:
    low, mean, high = (format(number, spec) for number in (values.min(), values.mean(), values.max()))
    return f"{mean} ({low} to {high})"


def balance_line(seconds: Sequence[float], work: np.ndarray) -> str:
    """How evenly the local analyses fell on the ranks, by the clock and by the work that was expected."""
    measured, expected = (float(max(of_ranks) / np.mean(of_ranks)) for of_ranks in (seconds, work))
    return (f"local analyses: {max(seconds):.2f} s on the slowest rank, {measured:.2f} times the mean "
            f"({expected:.2f} expected)")
