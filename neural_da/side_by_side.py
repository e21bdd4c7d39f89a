"""Members side by side in threads of a processor, each by itself, so that its bits do not depend on the others'."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from neural_da.problem import Problem

Found = TypeVar("Found")


def each_member(problem: Problem, analyse: Callable[[int, int], Found], threads: int) -> list[Found]:
    """`analyse(i, number)` of the i-th of the members asked for, whose number, from 0, is `number`; torch splits
    none."""
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = [pool.submit(analyse, i, int(number)) for i, number in enumerate(problem.members)]
        return [one.result() for one in found]


def stacked(problem: Problem, members: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (m, channel, column) of the members asked for, which may be none."""
    shape = (len(members), *problem.background.shape[1:])
    return np.stack(members).astype(np.float32) if members else np.empty(shape, np.float32)
