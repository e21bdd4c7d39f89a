"""Incremental 3D-Var with a static covariance and perturbed observations.

With that of a latent it is the special case of `latent_3d_var` with alpha = 0 and increments that are added to the
background; with that of the climate, and of the members beside it, `climate_3d_var`.
"""

from contracts.config import Experiment
from contracts.state import StateSpace
from neural_da import climate_3d_var, latent_3d_var
from neural_da.method import Method
from neural_da.methods import Incremental, Latent3DVar, ThreeDVar


def prepared(settings: ThreeDVar, experiment: Experiment, space: StateSpace) -> Method:
    """The method for states of `space`; raises UserError where its latent or prior does not fit the experiment."""
    if settings.covariance == "climate":
        return climate_3d_var.prepared(settings, experiment, space)
    return latent_3d_var.prepared(general(settings), experiment, space)


def general(settings: ThreeDVar) -> Latent3DVar:
    """The settings of `latent_3d_var` that say the same."""
    return Latent3DVar(**{name: getattr(settings, name) for name in Incremental.__struct_fields__})
