"""The SPEEDY model as three functions of arrays: advance six hours, diagnose fields, add an increment.

JCM (Apache-2.0) provides the model: the dinosaur spectral dynamical core with SPEEDY physics (Molteni 2003,
Climate Dynamics 20, 175) in JAX.  Boundary data (orography, mask, climatology of sea and land surface) come
from the files inside its wheel; nothing is downloaded.  There is no diurnal cycle.

Two changes to the model as it ships, without which it is no usable truth:

- the polar-night stratosphere cools to 115 K: the two uppermost temperatures are relaxed towards 215 and
  212 K in 10 and 30 days, the wind there towards rest in 15 days;
- the dry start gains water and ends near 1002 hPa: ln ps starts lower by ln(985.5/1002).

The state between two calls is the dynamical core's own: spectral vorticity, divergence, temperature
deviation, humidity and ln(ps/p0).  Nothing else needs to be kept: shortwave radiation is recomputed every
third time step, and six hours are nine steps of 40 minutes, so each call begins by recomputing it.

Only `build` imports jcm, which takes seconds; what it makes is kept compiled by `program.py`.
"""

import warnings
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model_server.models.speedy.parameters import PARAMETERS, physics_of

STEP_HOURS = 6  # unless other hours are asked for, which must be whole steps of the dynamics
TIME_STEP_MINUTES = 40.0
STRATOSPHERE_REFERENCE = (215.0, 212.0)  # K, the two uppermost levels
MEAN_PRESSURE_START = np.log(985.5 / 1002.0)  # added to ln ps

Native = dict[str, Any]  # name -> spectral coefficients (level or 1, zonal, total wavenumber), float32


@dataclass(frozen=True)
class Equations:
    """The model at one truncation. Fields on its Gaussian grid are (level, lon, lat)."""

    functions: dict[str, Any]  # "advance", "diagnose", "add", "settle": pure functions of pytrees of arrays
    examples: dict[str, tuple]  # arguments to compile each of them for
    start: Native  # atmosphere at rest from which a nature run begins
    surface: list[np.ndarray]  # boundary data of the whole year, an argument of advance and diagnose
    lat: np.ndarray
    lon: np.ndarray
    sigma: np.ndarray
    orography: np.ndarray  # m (lon, lat), as the dynamics sees it
    land_sea_mask: np.ndarray  # (lon, lat)


def build(truncation: int, step_hours: int = STEP_HOURS, varied: bool = False) -> Equations:
    """The SPEEDY model at triangular `truncation` (21, 31, 42 …), 8 levels, started from rest.

    Of a `varied` one "advance" has a last argument (parameter,), the values of `parameters.PARAMETERS`; with constants
    in their place the compiler makes other bits of the same numbers.
    """
    from jcm.physics.speedy.speedy_coords import get_speedy_coords

    coords = get_speedy_coords(spectral_truncation=truncation)
    terrain, forcing = _boundary(coords)
    model = _model(coords, terrain)
    surface, surface_tree = jax.tree.flatten(forcing)
    functions = _Functions(model, surface_tree, step_hours)

    state, _ = model.bootstrap_state()
    shift = coords.horizontal.to_modal(jnp.full(coords.horizontal.nodal_shape, MEAN_PRESSURE_START))
    start = _native(state.replace(log_surface_pressure=state.log_surface_pressure + shift), model)
    clock = (jnp.int32(0), jnp.int32(0))
    nodal = jnp.zeros(coords.nodal_shape, jnp.float32)
    increments = {"u": nodal, "v": nodal, "temperature": nodal, "humidity": nodal, "log_pressure": nodal[0]}
    horizontal = coords.horizontal
    return Equations(
        functions={name: getattr(functions, name) for name in ("advance", "diagnose", "add", "settle")},
        examples={
            "advance": (start, *clock, surface, *([jnp.zeros(len(PARAMETERS), jnp.float32)] if varied else [])),
            "diagnose": (start, *clock, surface),
            "add": (start, increments),
            "settle": (start,),
        },
        start=jax.tree.map(np.asarray, start),
        surface=[np.asarray(leaf) for leaf in surface],
        lat=np.rad2deg(np.asarray(horizontal.latitudes, np.float64)),
        lon=np.rad2deg(np.asarray(horizontal.longitudes, np.float64)),
        sigma=np.asarray(coords.vertical.centers, np.float64),
        orography=np.asarray(horizontal.to_nodal(model.dycore.primitive.orography)),
        land_sea_mask=np.asarray(terrain.fmask),
    )


def _boundary(coords: Any) -> tuple[Any, Any]:
    """Terrain and the climatological year of the surface, from the files in the wheel."""
    from jcm.forcing import ForcingData
    from jcm.terrain import TerrainData

    folder = resources.files("jcm") / "data" / "bc" / "t30" / "clim"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jcm's notes to its own developers about xarray and pandas
        terrain = TerrainData.from_file(folder / "terrain.nc", coords=coords)
        forcing = ForcingData.from_file(folder / "forcing.nc", coords=coords, align_mode="wrap_year")
    return terrain, forcing


def _model(coords: Any, terrain: Any, parameters: Any = None, dycore: Any = None) -> Any:
    """With these `parameters` of its physics, on this dynamical core where there is one already."""
    from jcm.model import Model
    from jcm.physics.dissipation.upper_temperature_relaxation import UpperTemperatureRelaxation
    from jcm.physics.speedy.speedy_terms import speedy_physics

    day = 86_400.0
    reference = np.zeros(coords.vertical.layers)
    reference[: len(STRATOSPHERE_REFERENCE)] = STRATOSPHERE_REFERENCE
    relaxation = UpperTemperatureRelaxation(
        reference, n_levels=len(STRATOSPHERE_REFERENCE), timescale_s=10 * day, ramp=3.0, wind_timescale_s=15 * day
    )
    return Model(dycore, coords=None if dycore else coords, terrain=terrain, time_step=TIME_STEP_MINUTES,
                 physics=speedy_physics(parameters) + relaxation)


def _native(state: Any, model: Any) -> Native:
    """The dynamical core's state as plain arrays, with the orography it stands on."""
    return {
        "vorticity": state.vorticity,
        "divergence": state.divergence,
        "temperature": state.temperature_variation,
        "humidity": state.tracers["specific_humidity"],
        "log_pressure": state.log_surface_pressure,
        "orography": model.dycore.primitive.orography[None].astype(jnp.float32),
    }


@dataclass(frozen=True)
class _Functions:
    """The functions of one model; `surface` is the list of leaves of the tree of its boundary data."""

    model: Any
    surface_tree: Any
    step_hours: int

    def advance(self, native: Native, days: Any, seconds: Any, surface: list, values: Any = None) -> Native:
        """`step_hours` from the time `days`, `seconds` since 1970; `values` (parameter,) of a model that is varied."""
        model = self.model if values is None else self._with(values)
        run, _ = model.run_from_state_with_carry(
            _state_of(native),
            jax.tree.unflatten(self.surface_tree, surface),
            save_interval=self.step_hours / 24,
            total_time=self.step_hours / 24,
            initial_physics_state=model.initial_physics_carry(),
            initial_time=_date_of(days, seconds),
            initial_step=jnp.int32(0),
        )
        return _native(run.dynamics, model)

    def _with(self, values: Any) -> Any:
        """The same model with other parameters; what `diagnose` gives depends on none of them."""
        model = self.model
        return _model(model.coords, model.terrain, physics_of(values), model.dycore)

    def diagnose(self, native: Native, days: Any, seconds: Any, surface: list) -> dict[str, Any]:
        """Fields on the Gaussian grid: winds, temperature, humidity, geopotential; ps in Pa; 10 m and 2 m."""
        from jcm.date import DateData
        from jcm.physics_interface import compute_physics_step_gridpoint, verify_state

        model = self.model
        date = DateData(_date_of(days, seconds), jnp.int32(0), int(TIME_STEP_MINUTES * 60))
        forcing = jax.tree.unflatten(self.surface_tree, surface).select(date)
        fields = verify_state(model.dycore.to_physics_state(_state_of(native)))
        _, carry = compute_physics_step_gridpoint(
            fields, forcing, model.terrain, model.initial_physics_carry(),
            physics=model.physics, time_step=TIME_STEP_MINUTES * 60,
        )
        near_surface = carry["_surface_flux"]
        return {
            "u": fields.u_wind,
            "v": fields.v_wind,
            "temperature": fields.temperature,
            "humidity": fields.specific_humidity,
            "geopotential": fields.geopotential,
            "surface_pressure": fields.normalized_surface_pressure * model.dycore.constants.p0,
            "u10": near_surface.u0,
            "v10": near_surface.v0,
            "t2": near_surface.t0,
        }

    def add(self, native: Native, increments: dict[str, Any]) -> Native:
        """The state plus gridpoint increments; humidity does not fall below zero; zero changes no bit."""
        from dinosaur.spherical_harmonic import uv_nodal_to_vor_div_modal

        horizontal = self.model.coords.horizontal
        vorticity, divergence = uv_nodal_to_vor_div_modal(horizontal, increments["u"], increments["v"])
        humidity = horizontal.to_nodal(native["humidity"])
        moister = jnp.maximum(humidity + increments["humidity"], 0.0) - jnp.maximum(humidity, 0.0)
        return native | {
            "vorticity": native["vorticity"] + vorticity,
            "divergence": native["divergence"] + divergence,
            "temperature": native["temperature"] + horizontal.to_modal(increments["temperature"]),
            "humidity": native["humidity"] + horizontal.to_modal(moister),
            "log_pressure": native["log_pressure"] + horizontal.to_modal(increments["log_pressure"])[None],
        }

    def settle(self, native: Native) -> Native:
        """A state that stood on another orography, moved hydrostatically to this model's: Δln ps = -g Δz/(R T)."""
        horizontal, constants = self.model.coords.horizontal, self.model.dycore.constants
        own = self.model.dycore.primitive.orography
        rise = horizontal.to_nodal(own - native["orography"][0])
        lowest = self.model.dycore.to_physics_state(_state_of(native)).temperature[-1]
        thinner = -constants.grav * rise / (constants.rd * lowest)
        return native | {
            "log_pressure": native["log_pressure"] + horizontal.to_modal(thinner)[None],
            "orography": own[None].astype(jnp.float32),
        }


def _state_of(native: Native) -> Any:
    """The dynamical core's state from plain arrays."""
    from dinosaur.primitive_equations import State

    return State(
        vorticity=native["vorticity"],
        divergence=native["divergence"],
        temperature_variation=native["temperature"],
        log_surface_pressure=native["log_pressure"],
        tracers={"specific_humidity": native["humidity"]},
        sim_time=jnp.float32(0),
    )


def _date_of(days: Any, seconds: Any) -> Any:
    import jax_datetime

    return jax_datetime.Datetime(jax_datetime.Timedelta(days=days, seconds=seconds))
