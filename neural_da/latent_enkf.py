"""The ensemble transform of the LETKF in a latent, without any distance: the latent says what belongs together.

    Zᵃ_j = Z (w̄ + W_j),     x_j <- x_j + R(Zᵃ_j − Z_j)             w̄, W of `transform`, Z, y and d of `in_latent`

`localization = "none"`: one transform for the globe, the ETKF (Bishop, Etherton & Majumdar 2001, MWR 129, 420) in the
latent, as Pasmans et al. (2026, QJRMS 152, e70070) apply it to variational autoencoders.  Its analysis lies in the
k − 1 directions of the members, however many observations there are.  `"patch"`: a transform for each patch of the
latent, from the observations that stand in it, all levels and variables of a patch together; where patches overlap R
takes the mean of them.  The patch is then what a distance is to the LETKF.

Perturbations are relaxed in the latent (`contracts.relaxation`), number by number.  With `slots` y and d are those of
the background at the time of each term (Hunt et al. 2004, Tellus A 56, 273).  Nothing is drawn.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contracts.config import Experiment
from contracts.relaxation import rtpp, rtps, spread
from contracts.state import StateSpace
from networks.latent import card
from networks.latent.operator import Operator
from networks.latent.regions import Regions
from neural_da import in_latent, transform
from neural_da.draws import Draws
from neural_da.method import Analysed
from neural_da.methods import LatentEnkf
from neural_da.problem import Problem
from neural_da.side_by_side import each_member, stacked

log = logging.getLogger("neural_da.latent_enkf")
RELAX = {"none": lambda Zb, Za, alpha: Za, "rtpp": rtpp, "rtps": rtps}


def prepared(settings: LatentEnkf, experiment: Experiment, space: StateSpace) -> "Prepared":
    """The method for states of `space`; raises UserError where its latent does not fit the experiment."""
    latent = card.read(experiment.file(settings.latent, experiment.start), space, settings.unseen_in(experiment))
    operator = Operator.of(latent, dtype=getattr(torch, settings.precision))
    return Prepared(settings, operator, regions(settings.localization, operator, space), experiment.members)


def regions(localization: str, latent: Operator, space: StateSpace) -> Regions:
    """The regions that a localisation means."""
    return (Regions.patches if localization == "patch" else Regions.globe)(latent, space.grid.size)


@dataclass(frozen=True)
class Prepared:
    """The method with its latent, for so many members."""

    settings: LatentEnkf
    latent: Operator
    regions: Regions
    members: int

    def memory(self, nobs: int) -> float:
        """The bases; Z of all members four times; y twice, d and H; weights; of each member in hand four states."""
        number, state, k = self.latent.mean.element_size(), 8 * self.latent.mean.numel(), self.members
        basis = number * sum(P.numel() for grid in self.latent.grids for P in grid.basis)
        whole = 4 * number * k * self.latent.size + 8 * self.regions.count * k * (k + 1)
        return float(basis + whole + 8 * nobs * (4 * k + 2) + self.settings.threads * 4 * state)

    def analyse(self, problem: Problem, draws: Draws) -> Analysed:
        """All members asked for, `threads` of them side by side; without observations their backgrounds, to the bit."""
        if not problem.nobs:
            return Analysed(problem.background[problem.members])
        mean, Zb, Za = self.perturbations(problem)
        found = each_member(problem, lambda i, number: self.moved(problem, number, mean + Za[number] - Zb[number]),
                            self.settings.threads)
        return Analysed(stacked(problem, found))

    def moved(self, problem: Problem, number: int, change: Tensor) -> np.ndarray:
        """Member `number` with a `change` (size,) of its latent: float32 (channel, column)."""
        background = problem.background[number]
        increment = in_latent.put_back(self.latent, change).to(torch.float64).reshape(background.shape)
        return (background + increment.numpy()).astype(np.float32)

    def perturbations(self, problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
        """The increment of the mean (size,), and perturbations (k, size) of the background and of the analysis."""
        settings = self.settings
        Z = in_latent.perturbations(problem, self.latent, in_latent.NOW, settings.threads)
        found = self.weights(problem, Z)
        mean, Za = transform.transformed(Z.numpy(), found, self.regions.parts())
        relaxed = RELAX[settings.relaxation](Z.numpy(), Za, settings.alpha)
        kept, left = (spread(X).mean() for X in (Za, relaxed))
        log.info("%d regions, degrees of freedom for signal %.1f; spread in the latent %.3g -> %.3g, relaxed %.3g",
                 self.regions.count, sum(one.signal for one in found), spread(Z.numpy()).mean(), kept, left)
        return torch.as_tensor(mean), Z, torch.as_tensor(relaxed)

    def weights(self, problem: Problem, Z: Tensor) -> list[transform.Weights]:
        """Of each region from the observations that stand in it, those of all terms together."""
        threads, k = self.settings.threads, len(Z)
        y, d, home = [np.empty((0, k))], [np.empty(0)], [np.empty((len(self.regions.home), 0), int)]
        for term in problem.terms:
            there = Z if term.offset not in problem.slots else in_latent.perturbations(problem, self.latent,
                                                                                      term.offset, threads)
            of_term = in_latent.observed(problem, self.latent, term, there, threads)
            y.append(of_term[0])
            d.append(of_term[1])
            home.append(self.regions.home[:, in_latent.columns(term.table, problem.space.grid)])
        seen = self.regions.seen(np.concatenate(home, axis=1))
        return transform.of_regions(np.concatenate(y), np.concatenate(d), seen, self.settings.inflation)
