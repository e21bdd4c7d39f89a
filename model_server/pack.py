"""A nature run packed into one small file: what an experiment begins with, where there is no room for the run itself.

    python -m model_server pack   EXPERIMENT.toml FILE.h5    from the nature runs that the experiment file names
    python -m model_server nature EXPERIMENT.toml            back into files, where it says [nature] packed

The file is a shard (`training.shards`: float16 anomalies, see there for what that costs) of the states that members
begin as and of the truth, compressed, with the static fields and with where all of it came from.
"""

import hashlib
import json
import logging
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np

from contracts import netcdf, paths, program, state, static, times
from contracts.errors import UserError, brief
from contracts.nature import NatureFolder
from contracts.state import State, StateSpace
from contracts.static import Static
from model_server import config, initial
from networks import starter
from networks.data import shards

log = logging.getLogger("model_server.pack")
COMPRESSION = {"compression": "gzip", "shuffle": True}
STATIC = ("orography", "land_sea_mask")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server pack",
        "Pack the states that members begin as ([initial]) and the truth of the first times ([nature]) into one file.",
        "python -m model_server pack run/experiments/year/climax_600km.toml nature_t31.h5 --members 40 --times 21",
    )
    program.add_experiment(parser)
    parser.add_argument("file", type=Path, metavar="FILE.h5", help="the file to write")
    parser.add_argument("--members", type=int, metavar="N", help="members to begin with (default: of the experiment)")
    parser.add_argument("--times", type=int, metavar="N", help="times of the truth (default: all of the experiment)")
    options = parser.parse_args(arguments)
    settings = config.load(options.experiment)
    count = settings.experiment.members if options.members is None else options.members
    command = shlex.join(["python", "-m", "model_server", "pack", *arguments])
    pack(settings, options.file, count, options.times, command)


def pack(settings: config.Settings, path: Path, members: int, count: int | None, command: str) -> None:
    """Write what `members` members begin as and the truth of the first `count` times; raises UserError where missing.

    `command` is kept in the file: with the nature run's settings it says how to make it again.
    """
    nature, space = NatureFolder(settings.nature_folder), settings.space
    begin, truth = NatureFolder(settings.initial_folder), settings.experiment.times()[:count]
    sources = initial.sources_of(settings, begin, members)
    missing = [time for time in truth if not nature.state(time).exists()]
    if missing:
        raise UserError(f"{nature.state(missing[0])}: no such file; {len(missing)} of {len(truth)} times of the truth "
                        "are missing (python -m model_server nature makes them)")
    files = {time: begin.state(time) for time in sources} | {time: nature.state(time) for time in truth}
    when = sorted(files)
    fields = np.stack([state.read(files[time], space, time).data for time in when])
    fixed = static.read(nature.static, space.grid)
    made = {"command": command, "code": netcdf.version(), "seed": settings.experiment.seed,
            "first_member": times.name(sources[0]), "every_hours": settings.initial.every_hours, "members": members,
            "first_truth": times.name(truth[0]), "times": len(truth),
            "nature": nature.settings.read_text(errors="replace") if nature.settings.exists() else ""}
    _write(path, settings, when, fields, fixed, made)
    log.info("%s: %d states, %.1f MB", path, len(when), path.stat().st_size / 1e6)


def _write(path: Path, settings: config.Settings, when: Sequence[datetime], fields: np.ndarray, fixed: Static,
           made: dict[str, object]) -> None:
    with paths.writing(path) as partial, h5py.File(partial, "w") as file:
        shards.fill(file, settings.space, when, fields, "float16", **COMPRESSION)
        for name in STATIC:
            file.create_dataset(name, data=getattr(fixed, name), fletcher32=True, **COMPRESSION)
        file.attrs.update(made)


def unpack(settings: config.Settings) -> None:
    """Write the states and static fields of [nature] packed as files of a nature run; those that are there stay."""
    path, space = starter.find(settings.nature.packed, ".h5"), settings.space
    folder = NatureFolder(settings.nature_folder)
    if not path.exists():
        raise UserError(f"{path}: no such file; check [nature] packed")
    _refuse_other(folder, path)
    with shards.opened(path, space) as file:
        when = [times.from_seconds(seconds) for seconds in file["time"][:]]
        todo = [number for number, time in enumerate(when) if not folder.state(time).exists()]
        for number in todo:
            anomaly = shards.rows(path, file["fields"], number).astype(np.float32)
            fields = file["offset"][:] + file["scale"][:][:, None, None] * anomaly
            state.write(folder.state(when[number]), _state(path, space, fields, when[number]), experiment=path.stem)
        static.write(folder.static, _static(path, space, file), path.stem)
    log.info("%s: %d states, %d new", folder.folder, len(when), len(todo))


def _state(path: Path, space: StateSpace, fields: np.ndarray, time: datetime) -> State:
    try:
        return State(space, fields, time)
    except ValueError as error:
        raise UserError(f"{path}: {error}; get the file again") from None


def _static(path: Path, space: StateSpace, file: h5py.File) -> Static:
    try:
        return Static(space.grid, *(file[name][:] for name in STATIC))
    except netcdf.WHAT_FILES_DO as error:
        raise UserError(f"{path}: has no orography and mask as it should ({brief(error)}); get the file again"
                        ) from None


def _refuse_other(folder: NatureFolder, path: Path) -> None:
    """A folder holds one run: raises UserError where another is in it."""
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    asked = json.dumps({"packed": path.name, "sha256": checksum}, indent=1) + "\n"
    if folder.settings.exists() and folder.settings.read_bytes() != asked.encode():
        raise UserError(f"{folder.folder}: holds another nature run than {path}; choose another [nature] folder or "
                        "remove this one")
    with paths.atomic(folder.settings) as partial:
        partial.write_text(asked)
