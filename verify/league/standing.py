"""How contestants stand to the control and to one another: differences by block, with intervals, and places."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from verify import bootstrap, ranking
from verify.league.result import Result
from verify.ranking import Place

Score = Callable[[Result], np.ndarray]  # (block,) of one contestant, less is better


@dataclass(frozen=True)
class Difference:
    """In per cent of the control, with `low` and `high` of the interval, by so many `blocks`."""

    mean: float
    low: float
    high: float
    blocks: int

    @property
    def tells(self) -> bool:
        """Whether the interval leaves out zero, and stands on blocks enough for it."""
        return self.blocks >= bootstrap.LEAST and (self.high < 0 or self.low > 0)

    def __str__(self) -> str:
        if self.blocks < 2:
            return f"{signed(self.mean)} (one block)"
        return f"{signed(self.mean)} ({signed(self.low)} to {signed(self.high)})"


def signed(value: float) -> str:
    """With a sign that is one, and one decimal."""
    return f"{value:+.1f}".replace("-", "−")


def difference(mine: np.ndarray, control: np.ndarray) -> Difference | None:
    """Of logarithms of errors (block,), paired, over the blocks that both have; None where there is none."""
    count = min(len(mine), len(control))
    if count == 0 or not np.isfinite(mine[:count]).all() or not np.isfinite(control[:count]).all():
        return None
    paired = mine[:count] - control[:count]
    low, high = bootstrap.interval(paired) if count > 1 else (np.nan, np.nan)
    mean, least, most = (float(100 * np.expm1(value)) for value in (paired.mean(), low, high))
    return Difference(mean, least, most, count)


def of_error(result: Result, name: str, channel: str, region: str = "") -> np.ndarray:
    """(block,) logarithm of an error such as `analysis_rmse`, NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(result.score(name, channel, region))


def error(name: str, channel: str, region: str = "") -> Score:
    """`of_error` of any contestant."""
    return lambda result: of_error(result, name, channel, region)


def compared(results: Sequence[Result], control: Result, score: Score) -> dict[str, Difference]:
    """By title, of those that share two blocks with the control: their logarithms of errors against its."""
    found = {each.title: difference(score(each), score(control)) for each in results if each is not control}
    return {title: one for title, one in found.items() if one is not None and one.blocks > 1}


def places(results: Sequence[Result], score: Score) -> dict[str, Place]:
    """By title, of those that have all blocks and the score in as many as any; empty where blocks or contestants are
    too few."""
    found = {each.title: score(each) for each in results if each.finished}
    most = max(map(len, found.values()), default=0)
    found = {title: values for title, values in found.items() if len(values) == most and np.isfinite(values).all()}
    if len(found) < 2 or len(next(iter(found.values()))) < bootstrap.LEAST:
        return {}
    return dict(zip(found, ranking.places(np.stack(list(found.values()))), strict=True))


def ordered(results: Sequence[Result], channels: Sequence[str]) -> list[Result]:
    """Finished ones from the best to the worst, then the others as far as they are, as the league file has them."""
    whole = [each for each in results if each.finished and np.isfinite(each.overall(channels)).all()]
    rest = [each for each in results if each not in whole]
    order = ranking.order(np.stack([each.overall(channels) for each in whole])) if whole else []
    return [whole[i] for i in order] + rest
