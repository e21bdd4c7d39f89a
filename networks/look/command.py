"""`look`: what latents are worth, as tables and a picture."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contracts import paths, program
from contracts.errors import UserError
from networks.look import config

if TYPE_CHECKING:
    from networks.look.looking import Row

log = logging.getLogger("networks.look")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m networks look",
        "Look at the latent of [latent] and those of [look], in errors that they were not fitted to: what they lose,\n"
        "what still goes together in them, and the balance of single observations. Writes look.csv and look.png and\n"
        "prints tables.",
        "python -m networks look run/experiments/latent/look.toml",
    )
    program.add_experiment(parser)
    path = parser.parse_args(arguments).experiment
    settings = config.load(path)
    try:
        from networks import passes, starter
        from networks.look import looking, picture
    except ModuleNotFoundError as error:
        raise UserError(f"the network needs the package {error.name}: pip install 'letkf-mpi[torch]'") from None
    emulator = passes.emulator_of(starter.find(settings.latent.checkpoint, ".safetensors"), settings.space)
    try:
        found = looking.look(settings, passes.Passes.of([emulator]).step, emulator.step)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    write(settings.folder / "look.csv", found.rows)
    picture.draw(settings.folder / "look.png", found.increments, settings.space)
    print("\n\n".join(tables(found.rows, looking.TOLD)))
    log.info("%s: all numbers; look.png beside it", settings.folder / "look.csv")


def write(path: Path, rows: "Sequence[Row]") -> None:
    """All numbers, by rename."""
    with paths.atomic(path) as partial, open(partial, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("about", "what", "of", "value"))
        writer.writerows(rows)


def tables(rows: "Sequence[Row]", told: Sequence[str]) -> list[str]:
    """A table in Markdown for each thing that is told, of the channels only those `told`."""
    found = []
    for about in dict.fromkeys(row.about for row in rows):
        here = [row for row in rows if row.about == about]
        names, whats = list(dict.fromkeys(row.of for row in here)), list(dict.fromkeys(row.what for row in here))
        if len(whats) > len(told) + 1:
            whats = [what for what in whats if what in told]
        value = {(row.what, row.of): f"{row.value:.3g}" for row in here}
        lines = [f"| {about} | {' | '.join(whats)} |", "|---" * (1 + len(whats)) + "|"]
        lines += [f"| {name} | {' | '.join(value.get((what, name), '') for what in whats)} |" for name in names]
        found.append("\n".join(lines))
    return found
