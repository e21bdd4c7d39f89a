"""How well observations were forecast, by lead, channel and whether their stations were withheld."""

from dataclasses import dataclass, field

import numpy as np

from networks.training.task import Score


@dataclass
class Sums:
    """Of observations that see most of `channel` (n,), numbers of `names`, those that `verify` (n,) and the others."""

    names: tuple[str, ...]
    channel: np.ndarray
    verify: np.ndarray
    found: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)  # by lead and kind: (sum, channel)

    def add(self, lead: int, d: np.ndarray, forecast: np.ndarray, kind: str = "forecast") -> None:
        """Departures from the climate, observed and forecast (B, n), in errors of the observations."""
        moments = np.stack([np.ones_like(d), (d - forecast) ** 2, d * forecast, d**2, forecast**2]).sum(axis=1)
        for chosen, name in ((self.verify, kind), (~self.verify, f"{kind}_withheld")):
            sums = np.stack([np.bincount(self.channel[chosen], of[chosen], len(self.names)) for of in moments])
            self.found[lead, name] = self.found.get((lead, name), 0.0) + sums

    def scores(self) -> tuple[Score, ...]:
        """Root mean square in errors of the observations, which is 1 of a perfect forecast, and correlation."""
        return tuple(_score(lead, name, kind, *of_it)
                     for (lead, kind), sums in sorted(self.found.items())
                     for name, of_it in zip(self.names, sums.T, strict=True) if of_it[0])


def _score(lead: int, name: str, kind: str, count: float, off: float, both: float, seen: float,
           said: float) -> Score:
    return Score(lead, name, kind, float(np.sqrt(off / count)), float(both / np.sqrt(seen * said)) if said else 0.0)
