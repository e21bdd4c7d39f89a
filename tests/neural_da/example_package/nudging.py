"""A method in a package of its own: nothing in neural_da knows of it. No good analysis, but it uses all that there
is."""

from datetime import timedelta

import numpy as np

from contracts.config import Experiment
from contracts.state import StateSpace
from neural_da.draws import Draws
from neural_da.method import Analysed, MethodSettings, Needs
from neural_da.problem import Problem


class Nudging(MethodSettings, frozen=True, tag="nudging"):
    """[neural] method = "nudging": x + strength (the analysis before - x) + 1/2 (x - the background three hours
    ago)."""

    strength: float = 0.5
    analyses: int = 1  # of times before

    @property
    def needs(self) -> Needs:
        return Needs(slots=True, earlier_analyses=self.analyses, carried={"times": 0.0, "early": 0.0})

    def prepared(self, experiment: Experiment, space: StateSpace) -> "Prepared":
        return Prepared(self.strength)


class Prepared:
    def __init__(self, strength: float):
        self.strength = strength

    def memory(self, nobs: int) -> float:
        return 0.0

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        x = problem.background[problem.members]
        change = np.zeros_like(x)
        for before in problem.earlier.analyses:  # none at the first time
            change += self.strength * (before[problem.members] - x)
        for slot in problem.slots.values():
            change += 0.5 * (x - slot[problem.members])
        early = sum(len(term) for term in problem.terms if term.offset < timedelta())
        return Analysed(x + change, {"uncertainty": problem.background.std(axis=0, ddof=1)},
                        {"times": problem.carried["times"] + 1.0, "early": float(early)})
