"""`train`: shards if they are not there, then the training, both resumed where they stand."""

import logging
from collections.abc import Sequence
from datetime import datetime

from contracts import program, times
from contracts.errors import UserError
from networks.data import sources, spreads
from networks.data.sources import Source
from networks.training import config

log = logging.getLogger("networks.train")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m networks train",
        "Train the network of [network] on the states that [training] names: shards, curves, scores and weights with\n"
        "their card.\n"
        "After a kill the same command goes on, through the same numbers.",
        "python -m networks train run/experiments/train_climax.toml",
    )
    program.add_experiment(parser)
    parser.add_argument("--shards-only", action="store_true",
                        help="write the shards, then stop: to train on them on another machine, "
                        'with [training] source = "shards"')
    options = parser.parse_args(arguments)
    settings = config.load(options.experiment)
    program.log_to_file(settings.folder / "train.log")
    write_shards(settings)
    if options.shards_only:
        return
    try:
        from networks.training import loop
    except ModuleNotFoundError as error:
        raise UserError(f"training needs the package {error.name}: pip install 'letkf-mpi[torch]'") from None
    loop.train(settings)


def write_shards(settings: config.Settings) -> None:
    """Shards of all periods."""
    from networks.data import shards

    source, training = source_of(settings), settings.training
    if source is None:
        return
    folder = shards.ShardFolder(settings.shards_folder)
    shards.write(source, folder, wanted(settings), training.days_per_shard, training.storage)


def source_of(settings: config.Settings) -> Source | None:
    """Where the states to train on come from; None where the shards are all there is."""
    training = settings.training
    if training.source == "spread":
        return spreads.of(settings.space, settings.ensembles)
    return sources.of(training.source, settings.space, settings.nature_folders, training.data)


def wanted(settings: config.Settings) -> list[datetime]:
    """All times of training, validation and test, ascending."""
    periods = (*settings.periods, settings.validation, *([settings.test] if settings.test else []))
    return sorted(time for period in periods for time in times.every(*period, settings.experiment.step))
