"""Modules by name: ours, from a table, and those that installed packages bring by entry points of a group."""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import ModuleType

from contracts.errors import UserError, unknown


def module(name: str, ours: Mapping[str, str], group: str, what: str) -> ModuleType:
    """The module of the `what` called `name`; raises UserError with the known names where there is none."""
    if name in ours:
        return importlib.import_module(ours[name])
    brought = {point.name: point for point in entry_points(group=group)}
    if name not in brought:
        raise UserError(unknown(what, name, sorted({*ours, *brought})))
    return brought[name].load()
