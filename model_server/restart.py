"""Restart files: what is kept of each member for its model alone, in a hidden folder beside the states.

    background/m0001.nc             the state that the programs exchange
    background/.restart/m0001.npz   the model's own state at the same time, and the member one model step earlier

Where the states of all members go into one file (`contracts.members`) those of a batch do: `.restart/m0001-0080.npz`.
The file names its model and time; one that does not fit is refused.  Zip files carry checksums.
"""

import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from contracts import paths, times
from contracts.errors import ContractError
from contracts.nature import FOLDER, beside
from contracts.paths import Disk, EnsembleFolder
from model_server.models.base import Restart

MODEL, TIME, BEFORE, MEMBERS = "__model__", "__time__", "__before__", "__members__"
Arrays = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """What lies beside a member: `own` of its model, empty where that has kept nothing yet; `before`, where the model
    needs it and the experiment had begun by then, the member one model step earlier, float32 (channel, lat, lon)."""

    own: Restart
    before: np.ndarray | None = None


def write(path: Path, kept: Kept, model: str, time: datetime) -> None:
    """Write atomically; raises UserError if the disk refuses."""
    _write(path, _arrays(kept), model, time)


def write_members(folder: EnsembleFolder, kept: Mapping[int, Kept], model: str, time: datetime, one_file: bool) -> None:
    """Of these members, by number, beside their states: in a file each or in one, all on the disk when this returns;
    raises UserError if the disk refuses."""
    if not one_file:
        with paths.side_by_side() as disk:
            for number, one in kept.items():
                _write(beside(folder.member(number)), _arrays(one), model, time, disk)
        return
    arrays = {f"{number}/{name}": array for number, one in kept.items() for name, array in _arrays(one).items()}
    _write(beside(folder.part(list(kept))), {MEMBERS: np.array(list(kept)), **arrays}, model, time)


def _arrays(kept: Kept) -> Arrays:
    return {**kept.own, **({} if kept.before is None else {BEFORE: kept.before})}


def _write(path: Path, arrays: Arrays, model: str, time: datetime, disk: Disk | None = None) -> None:
    with paths.writing(path, disk) as partial, open(partial, "wb") as stream:
        np.savez(stream, **{MODEL: model, TIME: np.int64(times.to_seconds(time)), **arrays})


def read(path: Path, kind: str, time: datetime) -> Kept:
    """Read a restart of the model `kind`: "speedy-t21", or "speedy" at any resolution; raises ContractError where
    it does not fit."""
    return _kept(_read(path, kind, time, lambda stored: stored.files))


def read_members(folder: EnsembleFolder, numbers: Sequence[int], kind: str, time: datetime) -> list[Kept]:
    """Of the members with these numbers, in whichever file each is; raises as `read` does."""
    found: dict[int, Kept] = {}
    for path in sorted((folder.folder / FOLDER).glob("m[0-9]*-[0-9]*.npz")):
        first, last = map(int, re.findall(r"\d+", path.stem))
        if any(first <= number <= last for number in numbers):
            found |= _some(path, numbers, kind, time)
    return [found[number] if number in found else read(beside(folder.member(number)), kind, time)
            for number in numbers]


def _some(path: Path, wanted: Sequence[int], kind: str, time: datetime) -> dict[int, Kept]:
    """Of those of the `wanted` members that are in the file."""
    prefixes = tuple(f"{number}/" for number in wanted)
    arrays = _read(path, kind, time, lambda stored: [name for name in stored.files
                                                     if name == MEMBERS or name.startswith(prefixes)])
    return {number: _kept({name.removeprefix(f"{number}/"): array for name, array in arrays.items()
                           if name.startswith(f"{number}/")})
            for number in arrays[MEMBERS].tolist() if number in wanted}


def _kept(arrays: Arrays) -> Kept:
    return Kept({name: array for name, array in arrays.items() if name != BEFORE}, arrays.get(BEFORE))


def _read(path: Path, kind: str, time: datetime, wanted: Callable[[Any], Iterable[str]]) -> Arrays:
    """The arrays `wanted` of a file of the model `kind` at `time`."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in {MODEL, TIME, *wanted(stored)}}
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
    return arrays
