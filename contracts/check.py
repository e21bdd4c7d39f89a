"""Read every file of an experiment: what all steps have used already nobody reads, so its damage would stay unseen.

A flipped bit in a file that later steps still read stops the first of them with a sentence.  In a file that all have
read it changes nothing but that file, until somebody looks at it.  Files that are missing are made again by
`run/cycle.sh`, but for the first background, which it does not make.
"""

from contracts import netcdf
from contracts.config import Experiment
from contracts.errors import ContractError, UserError


def check(experiment: Experiment) -> str:
    """A sentence on the number of files that are whole; raises UserError with a line for each that is not."""
    files, damage = sorted(experiment.folder.folder.rglob("[!.]*.nc")), []
    for path in files:
        try:
            netcdf.read_whole(path)
        except ContractError as error:
            damage.append(str(error))
    first = experiment.folder.at(experiment.times()[0]).background
    if lost := [path.name for path in first.files(experiment.members) if not path.exists()]:
        damage.append(f"{first.folder}: {', '.join(lost)} missing; to make it run: run/prepare.sh EXPERIMENT.toml")
    if damage:
        raise UserError("\n".join([f"{experiment.folder.folder}: {len(files)} files, not all of them whole:", *damage]))
    return f"{experiment.folder.folder}: {len(files)} files, all of them whole"
