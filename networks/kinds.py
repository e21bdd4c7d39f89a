"""Kinds of networks by name: a table of ours, and the entry points `networks.kinds` of installed packages.

A kind is a module with

    NetworkCard       the section [network] of its cards, a `networks.card.NetworkCard` whose tag is the kind

Another package brings its own by an entry point, in its setup.cfg:

    [options.entry_points]
    networks.kinds =
        mine = mypackage.mynetwork
"""

import importlib
from importlib.metadata import entry_points
from types import ModuleType

from contracts.errors import UserError

GROUP = "networks.kinds"
KINDS = {"climax": "networks.climax"}


def module(kind: str) -> ModuleType:
    """The module of a kind, which imports no torch by itself; raises UserError where none is known by that name."""
    if kind in KINDS:
        return importlib.import_module(KINDS[kind])
    brought = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in brought:
        raise UserError(f"unknown kind of network {kind!r}; known: {', '.join(sorted({*KINDS, *brought}))}")
    return brought[kind].load()
