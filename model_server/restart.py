"""Restart files: what is kept of each member for its model alone, in a hidden folder beside the states.

    background/m0001.nc             the state that the programs exchange
    background/.restart/m0001.npz   the model's own state at the same time, and the member one model step earlier

The file names its model and time; one that does not fit is refused.  Zip files carry checksums.
"""

import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from contracts import paths, times
from contracts.errors import ContractError
from model_server.models.base import Restart

MODEL, TIME, BEFORE = "__model__", "__time__", "__before__"


@dataclass(frozen=True)
class Kept:
    """What lies beside a member: `own` of its model, empty where that has kept nothing yet; `before`, where the model
    needs it and the experiment had begun by then, the member one model step earlier, float32 (channel, lat, lon)."""

    own: Restart
    before: np.ndarray | None = None


def write(path: Path, kept: Kept, model: str, time: datetime) -> None:
    """Write atomically; raises UserError if the disk refuses."""
    arrays: dict[str, Any] = {MODEL: model, TIME: np.int64(times.to_seconds(time)), **kept.own}
    if kept.before is not None:
        arrays[BEFORE] = kept.before
    with paths.writing(path) as partial, open(partial, "wb") as stream:
        np.savez(stream, **arrays)


def read(path: Path, kind: str, time: datetime) -> Kept:
    """Read a restart of the model `kind`: "speedy-t21", or "speedy" at any resolution; raises ContractError where
    it does not fit."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        model, found = str(arrays.pop(MODEL)), times.from_seconds(arrays.pop(TIME))
    except FileNotFoundError:
        raise ContractError(
            f"{path}: no such file; the model {kind} needs its own state beside each background member "
            "(python -m model_server initial makes one)"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ContractError(f"{path}: is damaged ({error}); remove it and make it again") from error
    if model != kind and not model.startswith(f"{kind}-"):
        raise ContractError(
            f"{path}: expected a restart of {kind}, got one of {model}; check [model] in the experiment file"
        )
    if found != time:
        raise ContractError(f"{path}: expected the restart of {times.name(time)}, got {times.name(found)}")
    before = arrays.pop(BEFORE, None)
    return Kept(arrays, before)
