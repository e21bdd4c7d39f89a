"""Prognostic models of Earth2Studio, by their names there.

    [model]
    name = "earth2studio"
    options = { model = "SFNO", package = "weights/sfno", device = "cuda" }

Earth2Studio says of a model what it reads and gives, by variable, lead, latitude and longitude; all else is refused in
words where it does not fit the experiment: a channel of [state] that the model does not give, one that it reads and
nobody has, another grid, more than two states, several leads at once.  `model` may also be `mypackage.mymodule:name`,
a class or function that returns such a model.  Weights are read from the folder `package`, or from where Earth2Studio
keeps what it has downloaded; nothing is downloaded during a forecast.

Earth2Studio: its protocol `PrognosticModel` and `AutoModelMixin`, version 0.19.
"""

import importlib
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contracts.config import Section
from contracts.errors import UserError, brief, shown, unknown
from contracts.state import StateSpace
from model_server.models.foreign import beginning, device, exchange, stepped
from model_server.models.foreign.exchange import Exchange
from model_server.models.foreign.lexicon import EARTH2STUDIO
from model_server.models.foreign.stepped import Foreign, Periods

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

PACKAGE = "earth2studio"
PERSISTENCE = "Persistence"  # the one that has no weights: of any channels on any grid


class Options(Section, frozen=True):
    """[model.options] of earth2studio."""

    model: str  # SFNO, FCN3, Pangu6, Persistence, … or mypackage.mymodule:name
    package: str = ""  # a folder with its weights; default: what Earth2Studio has downloaded
    device: str = "cpu"  # or cuda, cuda:1
    arguments: dict[str, Any] = {}  # of the model itself, such as history of Persistence
    begin: str = ""  # a NetCDF file with what the model reads and [state] has not
    seen: tuple[datetime, datetime] | None = None  # first and last time of its training, which it does not say


def create(space: StateSpace, options: Options) -> Foreign:
    """The model in `space`; raises UserError where package, model, weights, device, channels or grid do not fit."""
    where = device.named(options.device)
    whose = f"earth2studio's {options.model}"
    model = _made(space, options, whose)
    told, later = _coordinates(model, whose)
    (lat, lon), (step, history) = _axes(told, whose), _times(told["lead_time"], later["lead_time"], whose)
    one = Exchange(space, EARTH2STUDIO, tuple(map(str, told["variable"])), tuple(map(str, later["variable"])),
                   exchange.order(*exchange.points(lat, lon), space.grid, whose), whose)
    begin = beginning.beside(one, options.begin)
    log.info("%s: reads %s, on %s", whose, ", ".join(one.reads), where)
    return Foreign(name=f"{PACKAGE}-{options.model.rpartition(':')[2]}", exchange=one, time_step=step, history=history,
                   run=_Run(model.to(where), where, told), begin=begin, seen=seen(options))


def seen(options: Options) -> Periods:
    """Times that its training saw, as far as the options say."""
    return stepped.told(options.seen)


class _Run:
    """A step of a model on a device, by its own coordinates `told`."""

    def __init__(self, model: Any, where: "torch.device", told: Mapping[str, np.ndarray]):
        self.model, self.where, self.told = model, where, told

    def __call__(self, fields: np.ndarray, time: datetime, seed: int) -> np.ndarray:
        """(give, point) of `fields` (history, read, point)."""
        import torch

        torch.manual_seed(seed)
        if hasattr(self.model, "set_rng"):  # those that draw from a generator of their own
            self.model.set_rng(seed)
        told = self.told
        shape = (1, 1, *fields.shape[:2], told["lat"].size, told["lon"].size)
        coordinates = OrderedDict(
            ensemble=np.arange(1), time=np.array([time.replace(tzinfo=None)], "datetime64[ns]"),
            lead_time=told["lead_time"], variable=told["variable"], lat=told["lat"], lon=told["lon"])
        with torch.inference_mode():
            later, _ = self.model(torch.from_numpy(fields.reshape(shape)).to(self.where), coordinates)
        return later.reshape(-1, fields.shape[-1]).float().cpu().numpy()


# How a model is found, and its weights.

def _made(space: StateSpace, options: Options, whose: str) -> Any:
    """The model with its weights."""
    if options.model == PERSISTENCE:
        return _persistence(space, options, whose)
    found = _brought(options.model) if ":" in options.model else _named(options.model)
    try:
        return _loaded(found, options, whose)
    except ImportError as error:
        raise UserError(f"{whose} needs packages that are not installed{_extra(found, error)}") from None
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise UserError(f"{whose} cannot be made of {options.package or 'what was downloaded'} ({brief(error)}); check "
                        "package and arguments of [model.options]") from None


def _persistence(space: StateSpace, options: Options, whose: str) -> Any:
    from earth2studio.models.px import Persistence

    names = [EARTH2STUDIO.name(channel.name) for channel in space.channels]
    if not all(names):
        nameless = [channel.name for name, channel in zip(names, space.channels, strict=True) if not name]
        raise UserError(f"{whose}: Earth2Studio has no name for {', '.join(nameless)}; take it out of [state]")
    try:
        return Persistence(names, OrderedDict(lat=space.grid.lat[::-1].copy(), lon=space.grid.lon.copy()),
                           **options.arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{whose} cannot be made ({brief(error)}); check arguments of [model.options]") from None


def _brought(name: str) -> Any:
    """What stands under `module:name`."""
    module, _, inside = name.partition(":")
    try:
        return getattr(importlib.import_module(module), inside)
    except (ImportError, AttributeError) as error:
        raise UserError(f"[model.options] model = {shown(name)}: {brief(error)}; expected mypackage.mymodule:name, on "
                        "PYTHONPATH or installed in this environment") from None


def _named(name: str) -> Any:
    from earth2studio.models import px
    from earth2studio.models.auto import AutoModelMixin

    known = {key: one for key, one in vars(px).items() if isinstance(one, type) and issubclass(one, AutoModelMixin)}
    if name not in known:
        raise UserError(f"[model.options] model: {unknown('model', name, sorted([*known, PERSISTENCE]))}")
    return known[name]


def _loaded(found: Any, options: Options, whose: str) -> Any:
    if not hasattr(found, "load_model"):
        return found(**({"package": options.package} if options.package else {}), **options.arguments)
    return found.load_model(_package(found, options, whose), **options.arguments)


def _package(found: Any, options: Options, whose: str) -> Any:
    """Where the weights are, in a folder or among what was downloaded."""
    from earth2studio.models.auto import Package

    if options.package:
        folder = Path(os.path.expandvars(options.package)).expanduser()
        if not folder.is_dir():
            raise UserError(f"[model.options] package = {options.package!r}: there is no folder {folder}; it must hold "
                            f"the weights of {whose}")
        return Package(str(folder.resolve()))
    package = found.load_default_package()
    kept = Path(package.cache_options["cache_storage"])
    if not kept.is_dir() or not any(kept.iterdir()):
        name = found.__name__
        load = f"from {found.__module__} import {name}; {name}.load_model({name}.load_default_package())"
        raise UserError(f"the weights of {whose} are not here ({kept}): where there is a network, download them from "
                        f"{package.root} by `python -c '{load}'` here, or name in [model.options] package "
                        "a folder that holds them")
    return package


def _extra(found: Any, error: ImportError) -> str:
    """What Earth2Studio says of packages that a model needs beyond its own."""
    from earth2studio.utils.imports import OptionalDependencyFailure

    file = getattr(importlib.import_module(found.__module__), "__file__", "")
    failed = OptionalDependencyFailure.failures.get(file or "")
    if failed is None:
        return f" ({brief(error)})"
    return f" ({failed.import_exception}); pip install 'earth2studio[{failed.group_name}]' in this environment"


# What a model says of itself.

def _coordinates(model: Any, whose: str) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]:
    """Coordinates of what it reads and of what it gives."""
    try:
        told = model.input_coords()
        return told, model.output_coords(told)
    except AttributeError as error:
        raise UserError(f"{whose} is no prognostic model ({brief(error)}); expected input_coords, output_coords and a "
                        "call, as of earth2studio.models.px") from None


def _axes(told: Mapping[str, np.ndarray], whose: str) -> tuple[np.ndarray, np.ndarray]:
    axes = {name: np.asarray(told[name], float) for name in ("lat", "lon") if name in told}
    if len(axes) < 2 or any(axis.ndim != 1 for axis in axes.values()):
        stands = ", ".join(name for name in told if name != "batch")
        raise UserError(f"{whose} stands on {stands}; expected rows lat and columns lon of the globe")
    return axes["lat"], axes["lon"]


def _times(read: np.ndarray, given: np.ndarray, whose: str) -> tuple[timedelta, int]:
    """Its step, and how many states it reads."""
    leads, later = ([timedelta(seconds=int(lead / np.timedelta64(1, "s"))) for lead in each] for each in (read, given))
    if len(later) != 1 or not later[0]:
        raise UserError(f"{whose} gives {len(later)} leads at once, {', '.join(map(str, later))}; expected one")
    return later[0], stepped.history(leads, later[0], whose)
