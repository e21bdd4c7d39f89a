"""Tempering: the likelihood in parts, H evaluated again on the analysis of each part.

    p(y | x) = Π_n p(y | x)^{φ_n},  Σ φ_n = 1          part n: an LETKF with errors of variance R/φ_n,
                                                       whose background is the analysis of part n − 1

(multiple data assimilation: Emerick & Reynolds 2013, Comput. Geosci. 55, 3; tempered ensemble filters: Neal 1996, Stat.
Comput. 6, 353.)  Where H is linear and nothing is localised all parts together are the one step, members and all, for
the precisions add up and the transforms of the parts commute:

    P_a⁻¹ = P_b⁻¹ + Σ_n φ_n HᵀR⁻¹H

Where H is not linear each part is a smaller step along it.  With localisation an observation's own equivalents are
updated with the taper of its place, 1, and a column further away sees them in the next part with less spread and a
smaller innovation than its own taper would have left: its update is weaker than that of one step, the same only
where the taper is 1.

β inflates before the first part only, and learns in it from the errors as they are; the observations' fates are
decided once, before it; relaxation comes once, after the last part, towards the background of the first.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import msgspec
import numpy as np

from letkf_mpi.local.columns import Columns
from letkf_mpi.local.relaxation import NoRelaxation
from letkf_mpi.local.update import Diagnostics, LocalAnalysis
from letkf_mpi.shares import ByShares
from obsoperator.departures import Used


def analyse(mine: Columns, local: LocalAnalysis, inflation: np.ndarray, alpha: np.ndarray,
            observe: Callable[[], AbstractContextManager[tuple[Used, ByShares]]]) -> Diagnostics:
    """The analysis of my columns in as many parts as the settings ask for, from β and α (level, column) of the grid.

    `observe()` gives H(x) of the columns as they are then, and how to share what is made of it.  Of what is told,
    inflation, count and weight are those of the first part, what is told of members that of the end.  Without
    observations there is but one part.
    """
    fractions = local.settings.analysis.fractions
    if len(fractions) == 1 or not len(local.used):
        return mine.analyse(local, inflation, alpha)
    background, unrelaxed = mine.X.copy(), msgspec.structs.replace(local.settings, relaxation=NoRelaxation())
    part = replace(local, settings=unrelaxed, fraction=fractions[0])
    told = mine.analyse(part, inflation, alpha)
    for fraction in fractions[1:]:
        with observe() as (used, by_shares):
            again = replace(part, used=used, fraction=fraction, by_shares=by_shares)
            later = mine.analyse(again, np.ones_like(inflation), alpha)
        told = replace(told, clipped=told.clipped + later.clipped)
    return mine.each(local, lambda _, here: local.relaxed(background[:, :, here], mine.X[:, :, here],
                                                          told.each(lambda of_all: of_all[..., here])))
