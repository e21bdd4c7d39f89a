"""What an analysis is of: background, observations at one or more times, and what is known of earlier times.

    J_o(x) = 1/2 sum over terms, sum_i ((y_i - H_i(x(t))) / sigma_i)^2           t = analysis time + the term's offset

H is evaluated on tensors, any number of members side by side; gradients come from autograd.  Each row of H is a formula
of a few numbers of the state, so that its tangent at a state x is a sparse matrix, made by one backward pass:

    H'(x) v  =  sum_e  c_e v[entry_e],       c_e = d h / d g_e        g the numbers that the row gathers

It is given in units of the observations' errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from contracts.observations import Observations
from contracts.state import StateSpace
from obsoperator.part import Formula
from obsoperator.tensors import TensorForward


@dataclass(frozen=True)
class Tangent:
    """R^-1/2 H' at one state: of each of its numbers, in any order, the `row` among n observations, the `entry` among
    channel * column and the `coefficient`."""

    row: Tensor
    entry: Tensor
    coefficient: Tensor
    shape: tuple[int, int]  # (n, channel * column)

    def apply(self, v: Tensor) -> Tensor:
        """v (channel * column,) -> (n,)."""
        return v.new_zeros(self.shape[0]).index_add_(0, self.row, self.coefficient * v.index_select(0, self.entry))

    def matrix(self) -> csr_array:
        """The same as a sparse matrix of SciPy."""
        numbers = self.coefficient.numpy(), (self.row.numpy(), self.entry.numpy())
        return csr_array(coo_array(numbers, shape=self.shape))

    def adjoint(self, w: Tensor) -> Tensor:
        """w (n,) -> (channel * column,)."""
        return w.new_zeros(self.shape[1]).index_add_(0, self.entry, self.coefficient * w.index_select(0, self.row))


@dataclass(frozen=True)
class Term:
    """The n assimilated observations at one time, `offset` from that of the analysis.

    `row` (n,) are their numbers in the table of the time, to which draws belong; `forward` is H on tensors, which
    exists for all of them; `value` and `variance` (n,) of their errors, in double precision.
    """

    offset: timedelta
    table: Observations
    row: np.ndarray
    forward: TensorForward
    value: Tensor
    variance: Tensor

    def __len__(self) -> int:
        return self.value.numel()

    def cost(self, X: Tensor, y: Tensor) -> Tensor:
        """J_o (...,) of states `X` (..., channel, column) and observed values `y` (..., n)."""
        return 0.5 * ((y - self.forward.apply(X)).square() / self.variance).sum(-1)

    def tangent(self, x: Tensor, dtype: torch.dtype) -> Tangent:
        """R^-1/2 H' at `x` (channel, column), its numbers of type `dtype`."""
        flat, sigma = x.detach().flatten(), self.variance.sqrt()
        row = self.forward.place.argsort().split([entry.shape[1] for entry, _ in self.forward.parts])
        slopes = [_slope(formula, flat[entry]) / sigma[rows]
                  for (entry, formula), rows in zip(self.forward.parts, row, strict=True)]
        none = self.forward.place[:0]  # of a term without observations
        return Tangent(torch.cat([none, *(rows.expand_as(slope).flatten()
                                          for rows, slope in zip(row, slopes, strict=True))]),
                       torch.cat([none, *(entry.flatten() for entry, _ in self.forward.parts)]),
                       torch.cat([none.to(dtype), *(slope.flatten().to(dtype) for slope in slopes)]),
                       (len(self), x.numel()))


def _slope(formula: Formula, gathered: Tensor) -> Tensor:
    """(m, n) derivative of each row's H by the m numbers that it gathers."""
    g = gathered.requires_grad_()
    return torch.autograd.grad(formula(g.unbind()).sum(), g)[0]


@dataclass(frozen=True)
class Earlier:
    """What a method needs of earlier times: `analyses` (member, channel, column) of the times before, the latest first;
    `forecasts` (channel, column), means of extended forecasts valid at the time, in the order of the method's leads."""

    analyses: tuple[np.ndarray, ...] = ()
    forecasts: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Problem:
    """One analysis: `background` float32 (k, channel, column) of all k members, and at the `slots` of the terms; the
    numbers `members` (m,), from 0, of those to be analysed; the `rows` of the table that the terms are taken from; what
    the time before `carried`."""

    time: datetime
    space: StateSpace
    background: np.ndarray
    terms: tuple[Term, ...]
    members: np.ndarray
    rows: int
    slots: Mapping[timedelta, np.ndarray] = field(default_factory=dict)
    earlier: Earlier = Earlier()
    carried: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def nobs(self) -> int:
        return sum(map(len, self.terms))

    def cost(self, states: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        """J_o (...,) of the `states` (..., channel, column) at each term's time and the observed `values` (..., n)."""
        return torch.stack([term.cost(X, y) for term, X, y in zip(self.terms, states, values, strict=True)]).sum(0)

    def perturbed(self, errors: np.ndarray) -> list[np.ndarray]:
        """y + sigma eps (m, n) of each term, of the members to be analysed; `errors` (k, rows of the table)."""
        eps = errors[self.members]
        return [term.value.numpy() + np.sqrt(term.variance.numpy()) * eps[:, term.row]
                for term in self.terms]
