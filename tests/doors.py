"""Doors through which files of others come, and hostile files for each: of any bytes, types and attributes.

    python -m tests.doors --mutants 1000 --seed 1      what became of them, by door

A mutant is a sound file whose bytes were damaged, or, of NetCDF and HDF5, one whose attributes and variables are gone,
of another type or shape, or hold numbers beyond all bounds.  All mutants of a door are read in one process, with
limits: its death, more than a sentence, or an answer that takes seconds or fills the memory is a fault.
"""

import argparse
import os
import random
import resource
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from contracts import check, field, guarded, members, numbers, observations, state, static
from contracts.errors import UserError
from contracts.field import Field
from contracts.paths import EnsembleFolder
from contracts.static import Static
from obsoperator import aircraft_bias
from obsoperator.aircraft_bias import AircraftBias, Biases, Known
from tests import builders
from tests.obsproc.test_hostile import mutant

SECONDS, MEGABYTES, LONGEST = 5.0, 600.0, 1500  # processor time of one file, memory of all, characters of a sentence
LIMITS = guarded.Limits(seconds=1000.0, memory_mb=3000.0)  # of the process that reads all mutants of a door
ONE = guarded.Limits(seconds=3.0, memory_mb=400.0)  # of one that the library of others reads
SPACE = builders.space(4, 8)
WINDOW = (builders.TIME, builders.TIME)
WORDS = ("", "x" * 5000, "\u202e", "seconds since yesterday", "K", "2020-13-45", "observations/1")
NUMBERS = (0.0, -5.0, 1e30, -1e308, np.inf, np.nan, 2.0**62, 1e10, 300.0, 70_000.0)


@dataclass(frozen=True)
class Door:
    """`make(path)` writes a sound file, `read(path)` is what a program does with it."""

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    suffix: str = ".nc"


@dataclass
class Outcome:
    """Of all mutants of a door; `faults` are descriptions of what should not have been."""

    taken: int = 0
    refused: int = 0
    seconds: float = 0.0  # of processor time, the slowest
    megabytes: float = 0.0
    faults: tuple[str, ...] = ()


def made_table(path: Path) -> None:
    rows = builders.observations([1.0, 2.0, 3.0], station=[b"A", b"B", b"C"])
    observations.write(path, rows, observations.Source(builders.TIME, WINDOW, ("a",), ("1",)))


def made_departures(path: Path) -> None:
    rows = builders.observations([1.0, 2.0, 3.0])
    columns = {column.name: getattr(rows, column.name) for column in fields(rows)}
    more = {name: np.arange(3.0) for name in ("background_mean", "background_spread", "analysis_mean",
                                              "analysis_spread")}
    observations.write(path, observations.Departures(**columns, **more), observations.Source(builders.TIME, WINDOW))


def made_field(path: Path) -> None:
    data = np.ones((2, *SPACE.grid.shape))
    field.write(path, Field("inflation", "1", SPACE.grid, np.array([5e4, 1e5]), data, builders.TIME))


class InOneFile(EnsembleFolder):
    """Whose members are in the file that `folder` names."""

    together = property(lambda self: self.folder)


def made_ensemble(path: Path) -> None:
    form = members.Form(SPACE, builders.TIME, one_file_of=3)
    members.write(InOneFile(path), (1, 2, 3), [builders.random_state(SPACE, seed).data for seed in (1, 2, 3)], form,
                  course=[np.array([2.0, 1.0]), None, np.array([3.0, 2.0, 1.5])])


def read_ensemble(path: Path) -> object:
    found, numbers = InOneFile(path), sorted(members.there(InOneFile(path), 3))
    return list(members.read(found, numbers, SPACE, builders.TIME)), list(members.courses(found, numbers))


def made_list(path: Path) -> None:
    path.write_text("quantity,value,lat,lon,time,pressure,station\n" + 5 * (
        "temperature,253.2,52.2,14.1,1989-01-01T05:30:00Z,50000,09393\n"))


def made_ioda(path: Path) -> None:
    from obsproc import ioda_export

    ioda_export.export_file(path, builders.observations([271.0, 272.0], elevation=10.0),
                            observations.Source(builders.TIME, WINDOW, ("a",), ("1",)))


def made_shard(path: Path) -> None:
    from networks.data import shards

    with h5py.File(path, "w") as file:
        shards.fill(file, SPACE, [builders.TIME], builders.random_state(SPACE).data[None], "float16")


def made_weights(path: Path) -> None:
    from networks import checkpoint
    from tests.networks import climax_builders

    checkpoint.write(path, climax_builders.checkpoint(climax_builders.card(climax_builders.small_space())))


def made_lightning(path: Path) -> None:
    import torch

    torch.save({"state_dict": {"net.x": torch.ones(2, 3), "net.y": torch.ones(4)}, "epoch": 3}, path)


def made_prepbufr(path: Path) -> None:
    from tests.obsproc import encode

    levels = [encode.Level(i, [(2732 + i, 1)], 7, False) for i in range(3)]
    path.write_bytes(encode.table_message() + encode.message(102, encode.DATA, [
        encode.subset(encode.Sounding(b"S1", 1000, levels, 1))]))


def read_shard(path: Path) -> object:
    from networks.data import shards

    with shards.opened(path, SPACE) as file:
        return shards.rows(path, file["fields"], slice(None))


def read_wmo(path: Path) -> object:
    """As the service does: every mutant in a process of its own."""
    from obsproc import wmo, wmo_ready

    return guarded.read(wmo.read_file, path, wmo_ready.WHEN, limits=ONE, warm_up=wmo_ready.warm_up, tolerant=True)


@cache
def doors() -> dict[str, Door]:
    """By name; imported here, because torch is among what they need."""
    from networks import checkpoint
    from networks.climax import convert
    from obsproc import ioda_source, table, usage, wmo_ready
    from obsproc.bufr.files import read_file

    levels, at = np.array([5e4, 1e5]), builders.TIME
    biases = Biases(known={(131, b"PLANE"): Known(0.5, 60), (131, b""): Known(0.4, 90)})
    return {
        "observations": Door(made_table, observations.read),
        "departures": Door(made_departures, observations.read_departures),
        "whole file": Door(made_table, check.read_whole),
        "state": Door(lambda path: state.write(path, builders.random_state(SPACE), 1),
                      lambda path: state.read(path, SPACE, at)),
        "ensemble": Door(made_ensemble, read_ensemble),
        "static": Door(lambda path: static.write(path, Static(SPACE.grid, *np.ones((2, *SPACE.grid.shape)))),
                       lambda path: static.read(path, SPACE.grid)),
        "field": Door(made_field, lambda path: field.read(path, "inflation", SPACE.grid, levels)),
        "aircraft's biases": Door(lambda path: aircraft_bias.write(path, biases, at),
                                  lambda path: aircraft_bias.read(path, AircraftBias(), at)),
        "numbers": Door(lambda path: numbers.write(path, {"alpha": 0.5}, at),
                        lambda path: numbers.read(path, ["alpha"], at)),
        "list, CSV": Door(made_list, table.read_file, ".csv"),
        "list, NetCDF": Door(made_table, lambda path: guarded.read(table.read_file, path)),
        "IODA": Door(made_ioda, lambda path: guarded.read(ioda_source.read_file, path, at)),
        "WMO BUFR": Door(lambda path: path.write_bytes(wmo_ready.sounding()), read_wmo, ".bufr"),
        "PREPBUFR": Door(made_prepbufr, read_file, ".prepbufr"),
        "usage": Door(lambda path: path.write_text("types,quantity,use\n120,temperature,use\n"), usage.read, ".csv"),
        "shard": Door(made_shard, read_shard, ".h5"),
        "weights": Door(made_weights, checkpoint.read, ".safetensors"),
        "card": Door(made_weights, lambda path: checkpoint.read(path), ".safetensors"),
        "Lightning": Door(made_lightning, partial(convert._try, trust_pickle=False), ".ckpt"),
    }


def spoil(path: Path, rng: random.Random) -> str:
    """Change one thing in an HDF5 file; returns what."""
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = rng.choice(names)
        owner: Any = rng.choice([file, file[name]])
        match rng.randrange(7):
            case 0:
                del file[name]
                return f"without {name}"
            case 1 if len(owner.attrs):
                attribute = rng.choice(sorted(owner.attrs))
                del owner.attrs[attribute]
                return f"without {owner.name} {attribute}"
            case 2 if len(owner.attrs):
                attribute = rng.choice([each for each in sorted(owner.attrs) if each.isalpha()] or ["units"])
                owner.attrs[attribute] = rng.choice([*WORDS, *NUMBERS, np.zeros(0), np.arange(3)])
                return f"{owner.name} {attribute} is another"
            case 3:
                values = np.full(file[name].shape, rng.choice(NUMBERS))
                return replaced(file, name, values)
            case 4:
                return replaced(file, name, np.full(file[name].shape, 2**62))
            case 5:
                return replaced(file, name, np.full(file[name].shape, b"text", "S4"))
            case _:
                shape = rng.choice([(), (0,), (7,), (1, 1, 1, 1, 1), (10**9,), (3 * 10**4, 10**5)])
                del file[name]
                chunks = tuple(min(side, 10) for side in shape) if shape and all(shape) else None
                file.create_dataset(name, shape, "f8", chunks=chunks)
                return f"{name} of shape {shape}"


def replaced(file: h5py.File, name: str, values: np.ndarray) -> str:
    """Other values, also of another type, under the same attributes."""
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    for key, value in attributes.items():
        if key.isalpha() and key.islower():
            file[name].attrs[key] = value
    return f"{name} is {values.flat[0] if values.size else 'empty'}"


def run(sound: Path, name: str, seed: int, mutants: int) -> Outcome:
    """Read `mutants` of a sound file through a door; in a process of its own, this one."""
    rng, door, outcome = random.Random(f"{name} {seed}"), doors()[name], Outcome()
    door.read(sound)
    path, content = sound.with_name(f"mutant{door.suffix}"), sound.read_bytes()
    is_hdf5 = h5py.is_hdf5(sound)
    beside, card = path.with_suffix(".toml"), sound.with_suffix(".toml")
    if card.exists():
        beside.write_bytes(card.read_bytes())
    before = _megabytes()
    for number in range(mutants):
        path.unlink(missing_ok=True)
        path.write_bytes(content if is_hdf5 and number % 2 else mutant(content, rng))
        what = f"mutant {number}, bytes"
        if is_hdf5 and number % 2:
            what = f"mutant {number}, {spoil(path, rng)}"
        elif name == "card":
            path.write_bytes(content)
            beside.write_bytes(mutant(card.read_bytes(), rng))
        _take(door, path, what, outcome)
    outcome.megabytes = _megabytes() - before
    return outcome


def _take(door: Door, path: Path, what: str, outcome: Outcome) -> None:
    began = _seconds()
    try:
        door.read(path)
        outcome.taken += 1
    except UserError as error:
        outcome.refused += 1
        said = str(error)
        if len(said) > LONGEST or "\n" in said or path.stem not in said:
            outcome.faults += (f"{what}: {said[:400]}",)
    except Exception:
        outcome.faults += (f"{what}: {traceback.format_exc()[-900:]}",)
    took = _seconds() - began
    outcome.seconds = max(outcome.seconds, took)
    if took > SECONDS:
        outcome.faults += (f"{what}: took {took:.1f} s",)


def _seconds() -> float:
    """Of a processor: of this process, of those that it has waited for, and of its nursery with its readers."""
    own = sum(resource.getrusage(whose).ru_utime + resource.getrusage(whose).ru_stime
              for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    nursery = guarded._NURSERY.process
    if nursery is None or nursery.poll() is not None:
        return own
    words = Path(f"/proc/{nursery.pid}/stat").read_text().rpartition(")")[2].split()
    return own + sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def look(folder: Path, name: str, seed: int, mutants: int) -> Outcome:
    """What comes of the mutants of a door, all files in `folder`."""
    door = doors()[name]
    sound = folder / f"sound{door.suffix}"
    door.make(sound)
    return guarded.read(run, sound, name, seed, mutants, limits=LIMITS)


def main() -> None:
    """Print a row for each door."""
    from tempfile import TemporaryDirectory

    parser = argparse.ArgumentParser("python -m tests.doors", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--doors", nargs="+", choices=doors(), metavar="DOOR",
                        help=f"only these of: {', '.join(doors())}")
    chosen = parser.parse_args()
    print(f"{'door':16}{'taken':>8}{'refused':>9}{'slowest s':>11}{'more MB':>9}{'faults':>8}")
    for name in chosen.doors or doors():
        with TemporaryDirectory() as folder:
            found = look(Path(folder), name, chosen.seed, chosen.mutants)
        print(f"{name:16}{found.taken:8}{found.refused:9}{found.seconds:11.2f}{found.megabytes:9.0f}"
              f"{len(found.faults):8}", *found.faults[:3], sep="\n    " if found.faults else "", flush=True)


if __name__ == "__main__":
    from tests import doors as importable  # what another process is asked to run must have a name there

    importable.main()
