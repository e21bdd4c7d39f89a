"""A member's analysis, and how the minimisation that made it went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from neural_da.method import Analysed
from neural_da.problem import Problem
from neural_da.side_by_side import stacked
from neural_da.variational import Minimum


@dataclass(frozen=True)
class Found:
    """`x` float32 (channel, column), how many `iterations` it took, and J for each observation on the `course` of the
    minimisation, which may be that of the mean."""

    x: np.ndarray
    iterations: int
    course: np.ndarray

    @classmethod
    def at(cls, minimum: Minimum, nobs: int) -> Self:
        return cls(single(minimum.state), minimum.iterations, np.array(minimum.course) / nobs)


def single(x: Tensor) -> np.ndarray:
    return x.to(torch.float32).cpu().numpy()


def told(found: Sequence[Found]) -> str:
    """A line for the log."""
    before, after, iterations = np.array([(one.course[0], one.course[-1], one.iterations) for one in found]).T
    return (f"J per observation {before.mean():.4g} -> {after.mean():.4g}; iterations {iterations.mean():.1f}, at most "
            f"{iterations.max():.0f}")


def analysed_as(problem: Problem, found: Sequence[Found], fields: Mapping[str, np.ndarray] | None = None,
                carried: Mapping[str, float] | None = None) -> Analysed:
    """What was found of the members asked for, with the method's own fields and what it carries."""
    return Analysed(stacked(problem, [one.x for one in found]), fields or {}, carried or {},
                    [one.course for one in found])
