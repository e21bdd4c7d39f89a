"""What the log says at the end of inflation, relaxation and local observations, and how even the work was."""

from collections.abc import Mapping, Sequence

import numpy as np

MOST_CLIPPED = 0.05  # of the humidities of all members
_TOLD = {"inflation": "inflation", "relaxation_factor": "relaxation factor",
         "local_observation_count": "local observations", "local_observations_left_out": "left out for nearer ones"}


def ranges(name: str, data: np.ndarray) -> list[str]:
    """Mean, least and most of a field (level, column) on each level."""
    spec = ".0f" if name.startswith("local_observation") else ".3f"
    return [_range(of_level, spec) for of_level in data]


def analysis_lines(ranges: Mapping[str, Sequence[str]], levels: np.ndarray, clipped: int) -> list[str]:
    """Lines: inflation, relaxation and local observations of each level, from the `ranges` of these fields, and what
    was clipped."""
    lines = [", ".join(f"{words} {ranges[name][i]}" for name, words in _TOLD.items() if name in ranges)
             for i in range(levels.size)]
    return [f"level {level / 100:6g} hPa: {line}" for level, line in zip(levels, lines, strict=True)] + [
        f"{clipped} negative humidities set to 0"]


def clipping(clipped: int, of: int) -> str:
    """A warning where more than MOST_CLIPPED `of` so many humidities were negative."""
    share = clipped / max(1, of)
    return "" if share <= MOST_CLIPPED else (
        f"{100 * share:.1f} per cent of all humidities were negative and set to 0, which makes the mean moister; "
        "inflate less, or keep humidity aloft as it is in the background: [analysis] humidity_below_hpa")


def _range(values: np.ndarray, spec: str) -> str:
    low, mean, high = (format(number, spec) for number in (values.min(), values.mean(), values.max()))
    return f"{mean} ({low} to {high})"


def balance_line(seconds: Sequence[float], work: np.ndarray) -> str:
    """How evenly the local analyses fell on the ranks, by the clock and by the work that was expected."""
    measured, expected = (float(max(of_ranks) / np.mean(of_ranks)) for of_ranks in (seconds, work))
    return (f"local analyses: {max(seconds):.2f} s on the slowest rank, {measured:.2f} times the mean "
            f"({expected:.2f} expected)")
