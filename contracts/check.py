"""Read every file of an experiment: what all steps have used already nobody reads, so its damage would stay unseen.

A flipped bit in a file that later steps still read stops the first of them with a sentence.  In a file that all have
read it changes nothing but that file, until somebody looks at it.  Files that are missing are made again by
`run/cycle.sh`, but for the first background, which it does not make.
"""

import math
from pathlib import Path

from contracts import guarded, netcdf, paths
from contracts.config import Experiment
from contracts.errors import ContractError, UserError


def check(experiment: Experiment) -> str:
    """A sentence on the number of files that are whole; raises UserError with a line for each that is not."""
    files, damage = sorted(experiment.folder.folder.rglob("[!.]*.nc")), []
    for path in files:
        try:
            read_whole(path)
        except ContractError as error:
            damage.append(str(error))
    first = experiment.folder.at(experiment.times()[0]).background
    if lost := [path.name for path in first.files(experiment.members) if not path.exists()]:
        damage.append(f"{first.folder}: {', '.join(lost)} missing; to make it run: run/prepare.sh EXPERIMENT.toml")
    if damage:
        raise UserError("\n".join([f"{experiment.folder.folder}: {len(files)} files, not all of them whole:", *damage]))
    return f"{experiment.folder.folder}: {len(files)} files, all of them whole"


def read_whole(path: Path) -> None:
    """Read all of a file of any contract, for its checksums, and then as NetCDF's own library does: what it needs that
    no reader of ours does is damage too; raises ContractError."""
    with netcdf.open_to_read(path, None) as dataset:
        for variable in dataset.variables.values():
            variable[...]
    try:
        guarded.read(_by_netcdf, path, limits=guarded.Limits(largest_mb=math.inf))
    except UserError as error:
        raise ContractError(f"{path}: is damaged, NetCDF's library cannot read it; remove it and make it again"
                            f"{paths.made_again_by(path)}") from error


def _by_netcdf(path: Path) -> None:
    import netCDF4  # here, because a program reads files of ours without it

    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_maskandscale(False)
        for name in dataset.ncattrs():
            dataset.getncattr(name)
        for variable in dataset.variables.values():
            variable[...]
            for name in variable.ncattrs():
                variable.getncattr(name)
