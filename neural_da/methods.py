"""The methods by name: the settings of those that come with the code, and of installed ones.

Every program that looks at an experiment file imports this module, so that nothing heavy stands in it: what a method
prepares, and torch with it, is imported when it is prepared.  A method of another package comes by an entry point that
names its settings struct, in its setup.cfg:

    [options.entry_points]
    neural_da.methods =
        mine = mypackage.mymethod:Settings
"""

from datetime import timedelta
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Literal

import msgspec

from contracts.config import Experiment, Positive, PositiveFloat
from contracts.state import StateSpace
from networks.denoiser.card import WIENER
from neural_da.method import Method, MethodSettings, Needs

GROUP = "neural_da.methods"
ALPHA_SQUARED = "alpha_squared"  # carried from time to time (`amplitude`)


class OfThisRoom(MethodSettings, frozen=True):
    """Settings whose method stands in the module of its name."""

    def prepared(self, experiment: Experiment, space: StateSpace) -> Method:
        return import_module(f"neural_da.{self.__struct_config__.tag}").prepared(self, experiment, space)


class Incremental(OfThisRoom, frozen=True):
    """What the variational methods in a latent share."""

    latent: str = "latent/eof.safetensors"  # in the work folder; python -m networks latent makes it
    factor: PositiveFloat = 2.0  # lambda: background errors in units of those that the latent was fitted from
    tolerance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.01  # of the gradient, in units of the first one
    iterations: Positive = 100  # of conjugate gradients in a step, at most
    steps: Positive = 1  # of Gauss-Newton: H is made linear so many times
    precision: Literal["float32", "float64"] = "float32"  # of the iterations; H(x) is in double precision


OF_A_LATENT = ("latent", "factor")
OF_A_CLIMATE = ("prior", "smoothing", "share", "localization_km", "localization_ln_p", "leave_one_out")


class ThreeDVar(Incremental, frozen=True, tag="three_d_var"):
    """[neural] method = "three_d_var": latent_3d_var with a static covariance and perturbed observations, or the same
    with the covariance of the climate and, beside it, of the members."""

    covariance: Literal["latent", "climate"] = "latent"
    prior: str = "climate.nc"  # climate: in the work folder; python -m networks climate makes it
    smoothing: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.8  # climate: of alpha^2 that of the time before
    share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0  # climate: w, of the members' own covariances in B
    localization_km: PositiveFloat = 800.0  # L_h of those, as the LETKF's
    localization_ln_p: PositiveFloat = 1.0  # L_v
    leave_one_out: bool = False  # a member's covariances are those of the others

    def __post_init__(self):
        ignored = OF_A_LATENT if self.covariance == "climate" else OF_A_CLIMATE
        said = [one.name for one in msgspec.structs.fields(self)
                if one.name in ignored and getattr(self, one.name) != one.default]
        if said:
            raise ValueError(f'{", ".join(said)} say nothing where covariance = "{self.covariance}": leave them out')
        if self.leave_one_out and not self.share:
            raise ValueError("leave_one_out = true leaves a member out of covariances that have no share: expected "
                             "share above 0, got 0")

    @property
    def needs(self) -> Needs:
        return Needs(carried={ALPHA_SQUARED: 0.0} if self.covariance == "climate" else {})


class Latent3DVar(Incremental, frozen=True, tag="latent_3d_var"):
    """[neural] method = "latent_3d_var"."""

    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0  # share of the members' own variance in that of the latent
    leave_one_out: bool = False  # a member's variance is that of the others
    ensemble_share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0  # w: of the members' own covariances in B
    localization_km: PositiveFloat = 800.0  # L_h of those, as the LETKF's
    localization_ln_p: PositiveFloat = 1.0  # L_v
    ensemble: Literal["perturbed", "recentred", "posterior"] = "perturbed"  # how members come about the mean
    autoencoder: str | None = None  # weights about the latent, as it; none: the latent is linear
    form: Literal["increment", "decode"] = "increment"  # added to the background, or to what the latent holds of it
    write_deviation: bool = False  # standard deviation of background errors as B has it: background_deviation.nc

    def __post_init__(self):
        if self.leave_one_out and (self.alpha + self.ensemble_share == 0 or self.ensemble != "perturbed"):
            raise ValueError("leave_one_out = true needs members that are analysed each by itself with what the others "
                             'say: expected alpha or ensemble_share above 0 and ensemble = "perturbed", got '
                             f'{self.alpha:g}, {self.ensemble_share:g} and "{self.ensemble}"')


class _EnsembleInLatent(OfThisRoom, frozen=True):
    """What the methods share that take their covariance from the members, seen in a latent."""

    latent: str = "latent/eof.safetensors"  # in the work folder; python -m networks latent makes it
    localization: Literal["none", "patch"] = "patch"  # what is not zero of the members' covariance
    inflation: PositiveFloat = 1.0  # β of that covariance
    slots: bool = False  # compare with the background at the slots of [slots]
    precision: Literal["float32", "float64"] = "float32"  # of the latent; H(x) is in double precision

    @property
    def needs(self) -> Needs:
        return Needs(slots=self.slots)


class LatentEnkf(_EnsembleInLatent, frozen=True, tag="latent_enkf"):
    """[neural] method = "latent_enkf"."""

    relaxation: Literal["none", "rtpp", "rtps"] = "rtps"  # of the perturbations, in the latent
    alpha: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.9  # of the relaxation


class FourDEnVar(_EnsembleInLatent, frozen=True, tag="four_d_en_var"):
    """[neural] method = "four_d_en_var"."""

    static: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0  # share of the latent's own covariance in that of both
    factor: PositiveFloat = 2.0  # lambda of that share: errors in units of those that the latent was fitted from
    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0  # relaxation to prior perturbations; 1: recentred
    tolerance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.01  # of the gradient, in units of the first one
    iterations: Positive = 100  # of conjugate gradients, at most


class Latent4DVar(OfThisRoom, frozen=True, tag="latent_4d_var"):
    """[neural] method = "latent_4d_var"; the window is that of [slots], from the analysis time on."""

    latent: str = "latent/eof.safetensors"  # in the work folder; python -m networks latent makes it
    checkpoint: str = "climax_t31"  # the model of the window: a name that comes with the code, or weights.safetensors
    factor: PositiveFloat = 2.0  # lambda: background errors in units of those that the latent was fitted from
    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0  # share of the members' own variance in that of the latent
    ensemble: Literal["perturbed", "recentred"] = "recentred"  # how members come about the mean
    tolerance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05  # of the gradient, in units of the first one
    iterations: Positive = 40  # evaluations of J and its gradient, at most
    recompute: bool = False  # the model's steps on the way back: less memory, and a third more time
    precision: Literal["float32", "float64"] = "float32"  # of latent and model; H(x) is in double precision

    @property
    def needs(self) -> Needs:
        return Needs(slots=True, model=True)


class FlowFilter(OfThisRoom, frozen=True, tag="flow_filter"):
    """[neural] method = "flow_filter"; the members' forecasts are those of the same flow."""

    weights: str = "flow_t31/training/flow_t31.safetensors"  # in the work folder; python -m networks train makes them
    schedule: tuple[Annotated[float, msgspec.Meta(ge=0, le=1)], ...] = (0.2, 0.8)  # shares of the observations'
    # information at the last angles of the flow, the last of them that of the error itself; their sum is 1
    localization_km: PositiveFloat = 800.0  # L_h, as the LETKF's
    localization_ln_p: PositiveFloat = 1.0  # L_v
    inflation: PositiveFloat = 1.0  # β of the members' covariance, at each angle
    alpha: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0  # of a relaxation to the background's spread

    def __post_init__(self):
        if abs(sum(self.schedule) - 1) > 1e-9 or not self.schedule:
            raise ValueError(f"schedule must have a sum of 1, the information of one observation, got "
                             f"{sum(self.schedule):g}")

    @property
    def needs(self) -> Needs:
        return Needs(earlier_analyses=1)


class FromClimate(OfThisRoom, frozen=True):
    """What the analyses from observations alone share."""

    prior: str = "climate.nc"  # in the work folder; python -m networks climate makes it
    tolerance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.02  # of the residual, in units of the first one
    iterations: Positive = 300  # of conjugate gradients, at most
    precision: Literal["float32", "float64"] = "float32"  # of B; all that is observed is in double precision


class Climatology(FromClimate, frozen=True, tag="climatology"):
    """[neural] method = "climatology"."""


class O2A(FromClimate, frozen=True, tag="o2a"):
    """[neural] method = "o2a"."""

    weights: str = "o2a/o2a.safetensors"  # in the work folder, of that prior; python -m networks train makes them
    background: Literal["climate", "ensemble"] = "climate"  # what the prior lies about: its own mean, or the members
    smoothing: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.8  # ensemble: of alpha^2 that of the time before

    @property
    def needs(self) -> Needs:
        return Needs(carried={ALPHA_SQUARED: 0.0} if self.background == "ensemble" else {})


class Guided(OfThisRoom, frozen=True, tag="guided"):
    """[neural] method = "guided"."""

    prior: str = "climate.nc"  # in the work folder; python -m networks climate makes it
    denoiser: str = WIENER  # or weights about that climate: a name that comes with the code, or weights.safetensors
    background: Literal["none", "ensemble"] = "none"  # what the prior lies about: the climate's mean, or the members'
    smoothing: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.8  # ensemble: of alpha^2 that of the time before
    start: Annotated[float, msgspec.Meta(gt=0.01)] = 2.0  # noise of the first level, in units of the prior's scale
    levels: Annotated[int, msgspec.Meta(ge=2)] = 16  # from there down to 0.01
    tolerance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.02  # of the residual, in units of the first one
    iterations: Positive = 300  # of conjugate gradients, at most
    precision: Literal["float32", "float64"] = "float32"  # of B; all that is observed is in double precision

    def __post_init__(self):
        if self.background == "ensemble" and self.denoiser != WIENER:
            raise ValueError('background = "ensemble" asks for a denoiser of forecast errors, and networks are trained '
                             'on states: expected denoiser = "wiener" beside it, or background = "none"')

    @property
    def needs(self) -> Needs:
        return Needs(carried={ALPHA_SQUARED: 0.0} if self.background == "ensemble" else {})


class Hloba(OfThisRoom, frozen=True, tag="hloba"):
    """[neural] method = "hloba"."""

    latent: str = "latent/eof.safetensors"  # in the work folder; python -m networks latent makes it
    weights: str = "o2l/o2l.safetensors"  # in the work folder, of that latent; python -m networks train makes them
    prior: Literal["kept", "removed"] = "kept"  # the climate that the network has learned
    persistence: Annotated[float, msgspec.Meta(ge=1)] = 1.0  # r is multiplied by it: errors that stay are no new ones
    background: Literal["ensemble", "lagged", "climatology"] = "ensemble"  # whose variance b is
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8  # of the ensemble's or lagged variance in b
    amplitude: PositiveFloat = 1.0  # multiplies deviations of the ensemble or of the lagged forecasts
    factor: PositiveFloat = 2.0  # lambda: background errors in units of those that the latent was fitted from
    lagged_hours: tuple[Positive, ...] = (12, 24, 36, 48)  # leads of extended forecasts, where b is "lagged"

    @property
    def needs(self) -> Needs:
        leads = self.lagged_hours if self.background == "lagged" else ()
        return Needs(lagged_forecasts=tuple(timedelta(hours=lead) for lead in leads))


def every() -> tuple[type[MethodSettings], ...]:
    """Settings of all methods: ours and those of installed packages."""
    ours = ThreeDVar, Latent3DVar, Latent4DVar, LatentEnkf, FourDEnVar, Hloba, FlowFilter, Climatology, O2A, Guided
    return (*ours, *(_loaded(point) for point in entry_points(group=GROUP)))


def _loaded(point: EntryPoint) -> type[MethodSettings]:
    """The settings of an installed method; of one that cannot be imported a struct that says so where it is chosen,
    and nowhere else."""
    try:
        return point.load()
    except Exception as error:  # whatever a package does when it is imported
        sentence = (f"{point.value}: the method {point.name} cannot be looked at ({error}); mend or remove the package "
                    "that brings it")

    class Broken(MethodSettings, frozen=True, tag=point.name, forbid_unknown_fields=False):
        def __post_init__(self):
            raise ValueError(sentence)

    return Broken
