"""Kinds of networks by name: a table of ours, and the entry points `networks.kinds` of installed packages.

A kind is a module with

    NetworkCard               the section [network] of its cards, a `networks.card.NetworkCard` whose tag is the kind
    Settings                  the section [network] of experiment files that train one, beside `kind`
    make_task(settings, sizes, data) -> `networks.training.task.Task`   sizes: that section
    make_emulator(weights, space) -> `networks.emulator.Emulator`       of a kind that forecasts
    IGNORES                   settings of [training] that say nothing to it, those of a phase as "phases.noise"

Another package brings its own by an entry point, in its setup.cfg:

    [options.entry_points]
    networks.kinds =
        mine = mypackage.mynetwork
"""

from types import ModuleType
from typing import Any

import msgspec

from contracts import brought
from contracts.config import Section
from contracts.errors import UserError, unknown

GROUP = "networks.kinds"
KINDS = {"autoencoder": "networks.autoencoder", "climax": "networks.climax", "denoiser": "networks.denoiser",
         "downscale": "networks.downscale",
         "flow": "networks.flow", "o2a": "networks.o2a", "o2f": "networks.o2f", "o2l": "networks.o2l"}
DEFAULT = "climax"  # of an experiment file that names none
ENSEMBLES = ("trained", "loss", "members", "alpha")  # of [training], what says nothing to most kinds


def module(kind: str) -> ModuleType:
    """The module of a kind, which imports no torch by itself; raises UserError where none is known by that name."""
    return brought.module(kind, KINDS, GROUP, "kind of network")


def settings(table: dict[str, Any]) -> Section:
    """The section [network] of an experiment file; raises UserError on an unknown kind, setting or value."""
    kind = table.get("kind", DEFAULT)
    struct, own = module(kind).Settings, {name: value for name, value in table.items() if name != "kind"}
    known = [field.name for field in msgspec.structs.fields(struct)]
    for name in own:
        if name not in known:
            raise UserError(f"[network]: {unknown('setting', name, known, f' of the kind {kind}')}")
    try:
        return msgspec.convert(own, struct)
    except msgspec.ValidationError as error:
        raise UserError(f"[network] of the kind {kind}: {error}") from None
