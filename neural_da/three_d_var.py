"""Incremental 3D-Var with a static covariance in a latent: the special case of `latent_3d_var` with alpha = 0, members
with perturbed observations, and increments that are added to the background."""

from contracts.config import Experiment
from contracts.state import StateSpace
from neural_da import latent_3d_var
from neural_da.latent_3d_var import Prepared
from neural_da.methods import Latent3DVar, ThreeDVar


def prepared(settings: ThreeDVar, experiment: Experiment, space: StateSpace) -> Prepared:
    """The method for states of `space`; raises UserError where its latent does not fit the experiment."""
    return latent_3d_var.prepared(general(settings), experiment, space)


def general(settings: ThreeDVar) -> Latent3DVar:
    """The settings of `latent_3d_var` that say the same."""
    return Latent3DVar(**{name: getattr(settings, name) for name in settings.__struct_fields__})
