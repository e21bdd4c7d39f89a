"""The models by name: a table of ours, and the entry points `model_server.models` of installed packages.

A model is a module with `Options`, a settings section for `[model.options]`, and `create(space, options)`, which
returns a `ForecastModel`; it may have `PARAMETERS`, what is uncertain in it and may be estimated, `seen(options)`,
which times its weights were made from, as `ForecastModel.seen` but without loading them, and `PACKAGE`, what it imports
when it is made and may have only in an environment of its own (`model_server.environment`).  Another package brings its
own by an entry point, in its setup.cfg:

    [options.entry_points]
    model_server.models =
        mymodel = mypackage.mymodel
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import msgspec

from contracts import brought
from contracts.config import Section
from contracts.errors import UserError, unknown
from contracts.parameters import Parameter
from contracts.state import StateSpace
from model_server.models.base import ForecastModel, NatureModel

GROUP = "model_server.models"
MODELS = {
    "anemoi": "model_server.models.anemoi",
    "climax": "model_server.models.climax",
    "earth2studio": "model_server.models.earth2studio",
    "flow": "model_server.models.flow",
    "gap": "model_server.models.gap",
    "onnx": "model_server.models.onnx",
    "persistence": "model_server.models.persistence",
    "speedy": "model_server.models.speedy",
}
OWN_ENVIRONMENT = ("anemoi", "earth2studio")  # that `make` makes one for


def create(name: str, options: dict[str, Any], space: StateSpace, section: str = "model") -> ForecastModel:
    """The model `name` in `space`; raises UserError on an unknown name, option or a library not installed."""
    with _installed(name):
        module = _module(name)
        model = module.create(space, _options(module, name, options, section))
    if model.history not in (1, 2):
        raise UserError(f"the model {name} needs {model.history} states to begin a step; the cycle carries at most two")
    return model


def create_nature(name: str, options: dict[str, Any], space: StateSpace, section: str) -> NatureModel:
    """The same for a model that can begin a run of its own; raises UserError if it cannot."""
    model = create(name, options, space, section)
    if not isinstance(model, NatureModel):
        raise UserError(f"[{section}] model = {name!r} cannot begin a run of its own; choose speedy")
    return model


def parameters(name: str) -> tuple[Parameter, ...]:
    """What is uncertain in the model `name`, by its own word; raises UserError on an unknown name."""
    with _installed(name):
        return getattr(_module(name), "PARAMETERS", ())


def seen(name: str, options: dict[str, Any]) -> tuple[tuple[datetime, datetime], ...]:
    """First and last times that the model `name` was made from, as far as it says so before it is made; raises
    UserError as `check` does."""
    with _installed(name):
        module = _module(name)
        return module.seen(_options(module, name, options, "model")) if hasattr(module, "seen") else ()


def package(name: str) -> str:
    """What the model `name` imports when it is made and may have in an environment of its own; mostly nothing."""
    with _installed(name):
        return getattr(_module(name), "PACKAGE", "")


def refuse_absent(name: str) -> None:
    """Raises UserError where the package of the model `name` is not installed here."""
    needed = package(name)
    if needed and find_spec(needed) is None:
        raise UserError(_absent(name, needed))


def check(name: str, options: dict[str, Any], section: str) -> None:
    """Raises UserError where `create` would for the name, the options or a library that is not installed."""
    with _installed(name):
        _options(_module(name), name, options, section)


@contextmanager
def _installed(name: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if missing.split(".")[0] == "model_server":
            raise  # a fault of ours, not of the installation
        raise UserError(_absent(name, missing)) from None


def _absent(name: str, missing: str) -> str:
    return f"the model {name} needs the package {missing}, which is not installed; " + (
        f"run `make {name}`, or name in [model] python the interpreter of an environment that has it"
        if name in OWN_ENVIRONMENT else
        "install the extra that brings it: pip install 'letkf-mpi[nwp]' for speedy, [torch] climax, [onnx] onnx")


def _module(name: str) -> ModuleType:
    return brought.module(name, MODELS, GROUP, "model")


def _options(module: ModuleType, name: str, options: dict[str, Any], section: str) -> Section:
    known = [field.name for field in msgspec.structs.fields(module.Options)]
    for option in options:
        if option not in known:
            raise UserError(f"[{section}.options]: {unknown('setting', option, known, f' of the model {name}')}")
    try:
        return msgspec.convert(options, module.Options)
    except msgspec.ValidationError as error:
        raise UserError(f"[{section}.options] of the model {name}: {error}") from None
