"""Members side by side in threads of a processor, each by itself, so that its bits do not depend on the others'."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from neural_da.problem import Problem

Found = TypeVar("Found")


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in each of which torch computes alone."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))


def each_member(problem: Problem, analyse: Callable[[int, int], Found], threads: int) -> list[Found]:
    """`analyse(i, number)` of the i-th of the members asked for, whose number, from 0, is `number`; torch splits
    none."""
    with _pool(threads) as pool:
        found = [pool.submit(analyse, i, int(number)) for i, number in enumerate(problem.members)]
        return [one.result() for one in found]


def by_itself(analyse: Callable[[], Found]) -> Found:
    """What all members need first, in one thread: in several its bits would depend on how many there are."""
    with _pool(1) as pool:
        return pool.submit(analyse).result()


def in_groups(problem: Problem, analyse: Callable[[np.ndarray], Sequence[Found]], threads: int,
              at_once: int) -> list[Found]:
    """The same in groups of members, where a group needs something that is better fetched once for all: `analyse(i)`
    gives what it found for the i-th ones, `i` (g,), of the members asked for, at most `at_once`."""
    count = len(problem.members)
    rounds = -(-count // (threads * at_once))
    groups = np.array_split(np.arange(count), max(1, min(count, threads * rounds)))
    with _pool(threads) as pool:
        found = [pool.submit(analyse, group) for group in groups if group.size]
        return [member for one in found for member in one.result()]


def in_full_groups(problem: Problem, analyse: Callable[[np.ndarray], Sequence[Found]], threads: int,
                   at_once: int) -> list[Found]:
    """The same in groups of `at_once` members, whoever is asked for, so that each stands always at the same place among
    as many: `analyse(numbers)` is asked for all of a group (g,) of which one at least is asked for."""
    groups = np.arange(len(problem.background)) // at_once
    asked = [np.flatnonzero(groups == group) for group in np.unique(groups[problem.members])]
    with _pool(threads) as pool:
        found = pool.map(analyse, asked)
        by_number = {int(number): one for numbers, those in zip(asked, found, strict=True)
                     for number, one in zip(numbers, those, strict=True)}
    return [by_number[int(number)] for number in problem.members]


def stacked(problem: Problem, members: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (m, channel, column) of the members asked for, which may be none."""
    shape = (len(members), *problem.background.shape[1:])
    return np.stack(members).astype(np.float32) if members else np.empty(shape, np.float32)
